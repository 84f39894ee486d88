"""The generator as a diffusers pipeline: `FacePipeline.from_pretrained(folder)(eyes=0.9, seed=7).images`."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.outputs import BaseOutput
from PIL import Image

from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.vae import VaeNetwork
from facegen.generate.sliders import Sliders


class ConditionalVae(VaeNetwork, ModelMixin, ConfigMixin):
    """`VaeNetwork` with diffusers' `from_pretrained`, `save_pretrained` and `push_to_hub`."""

    config_name = "config.json"  # type: ignore[assignment]

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        texture_codes: int = 160,
        shape_codes: int = 32,
        anchors: int = 3200,
        widths: tuple[int, int, int, int] = (40, 72, 112, 128),
        latents: tuple[int, int, int] = (12, 6, 2),
    ) -> None:
        super().__init__(texture_codes, shape_codes, anchors, widths, latents)


@dataclass
class FacePipelineOutput(BaseOutput):
    """The faces, PIL pictures of 128x128 pixels."""

    images: list[Image.Image]


class FacePipeline(DiffusionPipeline):
    """Draws faces that do not exist.

    Args:
        vae: the generator.
    """

    vae: ConditionalVae

    def __init__(self, vae: ConditionalVae) -> None:
        super().__init__()
        self.register_modules(vae=vae)  # type: ignore[no-untyped-call]

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str], **options: Any) -> FacePipeline:  # type: ignore[override]
        """Loads a pipeline that `save_pretrained` or `push_to_hub` wrote.

        diffusers' own loader refuses models of other packages that come from the Hub.

        Args:
            path: a folder, or «owner/name» on the Hub.
            options: as `ConditionalVae.from_pretrained` takes them: revision, token, torch_dtype and so on.
        """
        return cls(ConditionalVae.from_pretrained(path, subfolder="vae", **options))

    def __call__(
        self,
        eyes: float = Sliders.eyes,
        mouth: float = Sliders.mouth,
        hair: float = Sliders.hair,
        background: float = Sliders.background,
        head: float = Sliders.head,
        *,
        seed: int = 0,
        count: int = 1,
        temperature: float = 0.8,
    ) -> FacePipelineOutput:
        """Draws `count` faces of the seeds `seed`, `seed + 1` and so on.

        Raises:
            InputError: a slider is out of bounds.
        """
        sliders = Sliders(eyes=eyes, mouth=mouth, hair=hair, background=background, head=head)
        generator = FaceGenerator(self.vae, str(self.device))
        pictures = generator.draw(generator.sample(range(seed, seed + count), temperature), sliders)
        return FacePipelineOutput(images=[Image.fromarray(picture) for picture in pictures])


def write_pipeline(exported: Path, folder: Path) -> None:
    """Writes an exported generator as a pipeline that diffusers knows by its layout: model_index.json and vae/."""
    FacePipeline(ConditionalVae.from_pretrained(exported)).save_pretrained(folder)
