"""The smallest real engine: an oval in the source's mean colour, its brightness calm over time, with a little noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegen.faces import Face
from facegen.media import Patch
from facegen.swap.options import SwapOptions


@dataclass(frozen=True, eq=False, kw_only=True)
class OvalPrediction:
    """One face: where the oval goes, and (its statistic) how bright the face is."""

    box: tuple[int, int, int, int]
    color: np.ndarray
    statistics: float


class OvalEngine:
    """Covers a face with an oval."""

    name = "oval"
    window_radius = 2

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> np.ndarray:
        """The mean colour of the faces."""
        return np.mean([_region(image, _box(face)).mean(axis=(0, 1)) for image, face in pictures], axis=0)

    def predict(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: np.ndarray,
        options: SwapOptions,
        previous: OvalPrediction | None = None,
    ) -> OvalPrediction:
        """Measure the brightness."""
        return OvalPrediction(box=_box(face), color=identity, statistics=float(_region(image_rgb, _box(face)).mean()))

    def smooth(self, window: Sequence[float], centre: int, options: SwapOptions) -> float:
        """The mean brightness of the frames around."""
        return sum(window) / len(window)

    def composite(self, prediction: OvalPrediction, statistics: float, options: SwapOptions, *, seed: int) -> Patch:
        """The oval, as bright as the face, with noise from the seed."""
        x0, y0, x1, y1 = prediction.box
        y, x = np.mgrid[-1 : 1 : (y1 - y0) * 1j, -1 : 1 : (x1 - x0) * 1j]
        noise = np.random.default_rng(seed).normal(0, 4, (y1 - y0, x1 - x0, 1))
        image = np.clip(prediction.color * statistics / max(float(prediction.color.mean()), 1.0) + noise, 0, 255)
        alpha = np.clip((1 - np.hypot(x, y)) * 8, 0, 1).astype(np.float32)
        return Patch(x=x0, y=y0, image_rgb=image.astype(np.float32), alpha=alpha)


def _box(face: Face) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(value) for value in face.box_xyxy)
    return x0, y0, x1 + 1, y1 + 1


def _region(image_rgb: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = np.clip(box, 0, None)
    return image_rgb[y0:y1, x0:x1]
