"""The face enhancers of the Hub: a record each, and the one code path that runs them.

Facts of FaceFusion 3.8 (face_enhancer), which publishes the files; none of them was run here with its real weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facegen.errors import InputError, WeightsError
from facegen.hub import WeightFile, fetch
from facegen.hub.facefusion import APACHE, NONE_STATED, Terms, facefusion_file
from facegen.hub.fetch import require

if TYPE_CHECKING:
    import numpy as np

FIDELITY = 0.5
"""How faithful CodeFormer stays to what it is given, 0..1 (its `weight`)."""
STRENGTH = 0.8
"""How strong an enhancer is whose strength is not said."""
RESTORER_NAME = "restorer"
"""The embedded restorer's place in a chain."""
EDGE = 0.06
"""Share of the crop over which an enhancement fades at the crop's border."""


@dataclass(frozen=True, kw_only=True)
class EnhancerModel:
    """One model: input `input` (1, 3, size, size) RGB in -1..1, output in the same range."""

    weight: WeightFile
    """Its file; the enhancer has the same name."""
    template: str
    """How its crop is aligned, see `faces.align.TEMPLATES`."""
    size: int
    """Side of the crop, pixels."""
    has_fidelity: bool = False
    """Whether it has a second input `weight`, see `FIDELITY`."""

    @property
    def name(self) -> str:
        """What a chain calls it."""
        return self.weight.name


_CODEFORMER = Terms(
    "S-Lab-1.0", "S-Lab allows non-commercial use alone.", "https://github.com/sczhou/CodeFormer/blob/master/LICENSE"
)
_GFPGAN = Terms(
    "Apache-2.0 with NVIDIA's parts",
    "GFPGAN is Apache-2.0, but builds on StyleGAN2, whose code NVIDIA gives for non-commercial use.",
    "https://github.com/TencentARC/GFPGAN/blob/master/LICENSE",
)
_file = functools.partial(facefusion_file, "3.0.0", purpose="redraws the details of a face")

ENHANCERS: tuple[EnhancerModel, ...] = (
    EnhancerModel(
        weight=_file("gfpgan_1.4.onnx", _GFPGAN, sets=("best",)),
        template="ffhq-512",
        size=512,
    ),
    EnhancerModel(weight=_file("gfpgan_1.3.onnx", _GFPGAN), template="ffhq-512", size=512),
    EnhancerModel(weight=_file("gfpgan_1.2.onnx", _GFPGAN), template="ffhq-512", size=512),
    EnhancerModel(
        weight=_file(
            "restoreformer_plus_plus.onnx",
            APACHE,
            name="restoreformer",
            sha256="f4db5a89902b6a2d452446f5721245a6f7185f699b6aec7b77285adb4d504337",
            size=294264812,
            sets=("best-permissive",),
        ),
        template="ffhq-512",
        size=512,
    ),
    EnhancerModel(weight=_file("codeformer.onnx", _CODEFORMER), template="ffhq-512", size=512, has_fidelity=True),
    EnhancerModel(weight=_file("gpen_bfr_256.onnx", NONE_STATED, sets=("fast",)), template="arcface-128", size=256),
    *(
        EnhancerModel(
            weight=_file(f"gpen_bfr_{side}.onnx", NONE_STATED, sha256=sha256, size=size),
            template="ffhq-512",
            size=side,
        )
        for side, sha256, size in (
            (512, "d5f066b9068a8b74217f9712e28e875a6144629b108a6f7355acbdb3a2832c54", 284340240),
            (1024, "bcd31aa52110a2005efc96abbab4546d57e42482648f08715b552423d96b381b", 285203703),
            (2048, "66d12a637118d71b00f5a290b8dac13c81c1c0326a127a1978799c6e17bb8d1f", 285582766),
        )
    ),
)
ENHANCER_NAMES: tuple[str, ...] = (RESTORER_NAME, *(model.name for model in ENHANCERS))
"""What a chain may name."""
WEIGHTS: tuple[WeightFile, ...] = tuple(model.weight for model in ENHANCERS)


class Enhancer:
    """An enhancer at work; may be called from several threads at once.

    Args:
        model: its record.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """

    def __init__(self, model: EnhancerModel) -> None:
        from facegen.inference import OnnxNetwork

        require([model.weight], f"the enhancer {model.name}", f"the enhancer {RESTORER_NAME}")
        path = fetch(model.weight)
        self._network = OnnxNetwork(path, name=model.name, threads=2)
        shapes = self._network.inputs
        wanted = {"input", "weight"} if model.has_fidelity else {"input"}
        if set(shapes) != wanted or list(shapes["input"][1:]) != [3, model.size, model.size]:
            raise WeightsError(
                f"Expected the model {model.name} with an input (1, 3, {model.size}, {model.size}) in {path}, found "
                f"{shapes}; fetch it again."
            )
        self._model = model

    def enhance(self, image_rgb: np.ndarray, points5: np.ndarray, strength: float) -> np.ndarray:
        """The picture with its face enhanced.

        What is added is the difference that the model makes, so that detail finer than its crop stays.

        Args:
            image_rgb: (H, W, 3) uint8.
            points5: (5, 2) the face in it.
            strength: 0..1.

        Returns:
            (H, W, 3) uint8.
        """
        import numpy as np

        from facegen.faces import align, blend

        size = self._model.size
        matrix = align.similarity(points5, align.TEMPLATES[self._model.template], size)
        crop = align.warp(image_rgb, matrix, size)
        tensor = crop.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
        feeds: dict[str, np.ndarray] = {"input": tensor[None]}
        if self._model.has_fidelity:
            feeds["weight"] = np.array([FIDELITY], np.float64)
        made = self._network.run(feeds)[0][0]
        change = (np.clip(made, -1, 1) - tensor).transpose(1, 2, 0) * np.float32(127.5 * strength)
        edge = np.clip(np.minimum(np.arange(size), np.arange(size)[::-1]) / np.float32(EDGE * size), 0, 1)
        share = np.minimum(edge[:, None], edge[None]).astype(np.float32)
        whole = np.array([0, 0]), np.array(image_rgb.shape[1::-1])
        back, share = blend.warp_back(change, share, matrix, *whole)
        enhanced: np.ndarray = np.clip(image_rgb + back * share[..., None] + 0.5, 0, 255).astype(np.uint8)
        return enhanced


def split_chain(text: str) -> list[tuple[str, str | None]]:
    """Name and strength, None where none is set, of each part of a text such as «gfpgan-1-4=0.8, restorer»."""
    parts = (part.partition("=") for part in text.split(",") if part.strip())
    return [(name.strip(), value.strip() if equals else None) for name, equals, value in parts]


def parse_strength(name: str, value: str | None) -> float:
    """The strength of a part of a chain; `STRENGTH` where none is set.

    Raises:
        InputError: it is no number above 0 and up to 1.
    """
    try:
        strength = STRENGTH if value is None else float(value)
    except ValueError:
        strength = -1.0
    if not 0 < strength <= 1:
        raise InputError(f"Expected a strength above 0 and up to 1 for {name}, found {value!r}; change it.")
    return strength


@functools.lru_cache(maxsize=64)
def parse_chain(text: str) -> tuple[tuple[str, float], ...]:
    """The enhancers that a text such as «gfpgan-1-4=0.8, restorer» names, in order, with strengths up to 1.

    Raises:
        InputError: there is no such enhancer, or a strength is out of bounds.
    """
    chain = []
    for name, value in split_chain(text):
        if name not in ENHANCER_NAMES:
            raise InputError(
                f"Expected an enhancer of {', '.join(ENHANCER_NAMES)}, found {name!r}; choose one of these."
            )
        chain.append((name, parse_strength(name, value)))
    return tuple(chain)


@functools.cache
def load_enhancer(name: str) -> Enhancer:
    """The enhancer of a name, loaded once.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """
    return Enhancer(next(model for model in ENHANCERS if model.name == name))
