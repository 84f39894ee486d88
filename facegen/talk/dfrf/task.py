"""Training task of a radiance field, of one person or of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from facegen import config
from facegen.config import check
from facegen.errors import InputError
from facegen.talk.dfrf.dataset import PeopleDataset, Scene, SceneDataset
from facegen.talk.dfrf.expression import EYES_SIZE, UPPER_FACE_SIZE
from facegen.talk.dfrf.fast_field import FastConfig
from facegen.talk.dfrf.model import RadianceField, initialize, load_weights
from facegen.talk.dfrf.preparation import prepare_people
from facegen.talk.dfrf.reference_field import ReferenceConfig
from facegen.talk.dfrf.rendering import FrameRenderer, measure_head_errors
from facegen.training.task import Task, TrainingData

_PREVIEW_FRAMES = 4


@dataclass(frozen=True, kw_only=True)
class DfrfTask(Task):
    """Trains the field of one person; or, on several people, a base from which further fields start."""

    kind: Literal["fast", "reference"] = "fast"
    """`reference` is DFRF part by part; `fast` does the same with tri-planes, few samples and a decoder."""
    references: int = field(default=5, metadata={"min": 1, "max": 16, "step": 1})
    """Number of reference pictures."""
    surface: bool = False
    """Condition the field also on how the skin above the cheeks moves, by optical flow, besides lids, brows and gaze."""
    fast: FastConfig = field(default_factory=FastConfig)
    """Sizes of the `fast` field."""
    reference: ReferenceConfig = field(default_factory=ReferenceConfig, metadata={"formerly": "faithful"})
    """Sizes of the `reference` field."""
    start: str = ""
    """A run to start from: that of a base over several people. Empty: random weights."""
    measured: int = field(default=8, metadata={"min": 0, "max": 1000, "step": 1})
    """Held-out frames that are rendered and measured at each checkpoint."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> PeopleDataset:
        """Opens a prepared folder, or several in one, or prepares the videos in it: several people make a base."""
        if folder is None:
            raise InputError("Expected a folder with a video of somebody who speaks, found none; name it with --data.")
        people = prepare_people(Path(folder))
        return PeopleDataset(
            [SceneDataset(Scene(person.path, self.references, device, has_surface=self.surface)) for person in people]
        )

    def build_model(self) -> nn.Module:
        """A field with random weights, or with those of another run."""
        upper_face = UPPER_FACE_SIZE if self.surface else EYES_SIZE
        model = RadianceField(self.kind, self.references, self.fast, self.reference, upper_face)
        if self.start:
            initialize(model, load_weights(self.start))
        return model

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Differences of colour and of detail, of the mouth predicted from the audio code, and the size of offsets."""
        losses: dict[str, Tensor] = model(batch)
        return losses

    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """On held-out frames: mean squared error in the head, and its PSNR in decibels."""
        assert isinstance(data, PeopleDataset)
        assert isinstance(model, RadianceField)
        count = -(-self.measured // len(data.people))
        errors = np.concatenate(
            [
                measure_head_errors(FrameRenderer(model, person.scene), _choose_held_out(person, count))
                for person in data.people
            ]
        )
        if not len(errors):
            return {}
        return {"head_error": float(np.mean(errors)), "head_psnr": float(np.mean(-10 * np.log10(errors)))}

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """Held-out frames of the first person above, rendered ones below."""
        assert isinstance(data, PeopleDataset)
        assert isinstance(model, RadianceField)
        person = data.people[0]
        renderer, folder = FrameRenderer(model, person.scene), person.scene.folder
        frames = _choose_held_out(person, _PREVIEW_FRAMES if self.measured else 0)
        if not frames:
            return None
        real = np.concatenate([folder.read_picture("com_imgs", index) for index in frames], 1)
        return np.concatenate([real, np.concatenate([renderer.render_video_frame(index) for index in frames], 1)])

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Weights, and the settings that rebuild the network; rendering needs the prepared folder beside them."""
        from safetensors.torch import save_file

        weights, settings = folder / "field.safetensors", folder / "field.json"
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, weights)
        # the weights include those of the start
        config.save(settings, replace(self, start=""))
        return {"weights": weights, "settings": settings}


def _choose_held_out(data: SceneDataset, count: int) -> list[int]:
    """Held-out frames, evenly spread."""
    frames = data.held_out
    positions = np.linspace(0, len(frames) - 1, count).astype(int)
    return sorted({frames[index] for index in positions}) if len(frames) else []
