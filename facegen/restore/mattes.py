"""Matting networks of the Hub: a record each, and the code path that runs them.

Facts of FaceFusion 3.8 (background_remover), which publishes the files; none of them was run here with its real weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facegen.hub import WeightFile, fetch
from facegen.hub.facefusion import APACHE, MIT, NON_COMMERCIAL, Terms, facefusion_file
from facegen.hub.fetch import require

if TYPE_CHECKING:
    import numpy as np

Colour = tuple[float, float, float]
_ZERO, _HALF, _ONE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class MatteModel:
    """One model: input `input` (1, 3, size, size) RGB of the whole frame, stretched; first output its matte in 0..1."""

    weight: WeightFile
    """Its file; the step has the same name."""
    size: int
    """Side of what it is given, pixels."""
    mean: Colour
    """Subtracted from RGB in 0..1."""
    std: Colour
    """By which that is divided."""

    @property
    def name(self) -> str:
        """What a chain calls it."""
        return self.weight.name


def _model(
    stem: str,
    size: int,
    range_: tuple[Colour, Colour],
    terms: Terms,
    *,
    stated: int | None = None,
    is_best: bool = False,
) -> MatteModel:
    weight = facefusion_file(
        "3.5.0",
        f"{stem}.onnx",
        terms,
        purpose="tells the person from the background",
        size=stated,
        sets=("best-permissive", "best") if is_best else (),
    )
    return MatteModel(weight=weight, size=size, mean=range_[0], std=range_[1])


MATTES: tuple[MatteModel, ...] = (
    _model("modnet", 512, (_HALF, _HALF), APACHE, stated=25901946, is_best=True),
    _model("birefnet_portrait", 1024, (_ZERO, _ONE), MIT),
    _model("birefnet_general", 1024, (_ZERO, _ONE), MIT),
    _model("ben_2", 1024, (_ZERO, _ONE), MIT),
    _model("isnet_general", 1024, (_HALF, _ONE), APACHE),
    _model("ormbg", 1024, (_ZERO, _ONE), APACHE),
    _model("u2net_general", 320, _IMAGENET, APACHE),
    _model("u2net_human", 320, _IMAGENET, APACHE),
    _model("u2netp", 320, _IMAGENET, APACHE),
    _model("silueta", 320, _IMAGENET, APACHE),
    _model("rmbg_1.4", 1024, (_HALF, _ONE), NON_COMMERCIAL),
    _model("rmbg_2.0", 1024, _IMAGENET, NON_COMMERCIAL),
)
WEIGHTS: tuple[WeightFile, ...] = tuple(model.weight for model in MATTES)


class Matting:
    """A matting model at work; may be called from several threads at once.

    Args:
        model: its record.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """

    def __init__(self, model: MatteModel) -> None:
        from facegen.inference import OnnxNetwork

        require([model.weight], f"the matting {model.name}", "another one")
        self._network, self._model = OnnxNetwork(fetch(model.weight), name=model.name, threads=2), model
        self._network.check_inputs({"input": (3, model.size, model.size)})
        self._output = next(iter(self._network.outputs))

    def find(self, image_rgb: np.ndarray) -> np.ndarray:
        """Who is seen before the background.

        Args:
            image_rgb: (H, W, 3) uint8.

        Returns:
            (H, W) uint8: 255 on the person, 0 on the background.
        """
        import cv2
        import numpy as np

        size, (height, width) = self._model.size, image_rgb.shape[:2]
        small = cv2.resize(image_rgb, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        tensor = (small - np.array(self._model.mean, np.float32)) / np.array(self._model.std, np.float32)
        (made,) = self._network.run({"input": tensor.transpose(2, 0, 1)[None]}, [self._output])
        matte = np.clip(made.reshape(made.shape[-2:]) * 255 + 0.5, 0, 255).astype(np.uint8)
        return cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)


@functools.cache
def load_matting(model: MatteModel) -> Matting:
    """The matting of a record, loaded once.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """
    return Matting(model)
