"""The engine `live-portrait`: moves the target's own face by LivePortrait's sliders; without a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegen.faces import Face
from facegen.hub.fetch import require
from facegen.media import Patch
from facegen.reenact.crop import ReenactmentCrop, warp_crop
from facegen.reenact.editing import parse_sliders
from facegen.reenact.weights import WEIGHTS
from facegen.swap.options import LIVE_PORTRAIT, SwapOptions

Array = np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class EditedFace:
    """One face of one frame as LivePortrait draws it.

    Attributes:
        drawn: (512, 512, 3) float32 RGB 0..255.
        matrix: (2, 3) from pixels of the frame to those of the drawing.
        size_hw: of the frame.
        statistics: none; what moves a face is measured on the frame itself, so that its noise cancels out.
    """

    drawn: Array
    matrix: Array
    size_hw: tuple[int, ...]
    statistics: None = None


class LivePortraitEngine:
    """Changes expression and pose of a face as `SwapOptions.sliders` says.

    The drawing holds the head with hair and what is round it, and fades at the border of its crop: outline, light and
    occlusion are those of the frame.

    Raises:
        WeightsError: a file of LivePortrait is not on this machine.
    """

    name = LIVE_PORTRAIT
    window_radius = 0

    def __init__(self) -> None:
        require(WEIGHTS, "the engine live-portrait", "the engine mesh")

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> None:
        """See `Engine.prepare`: there is no source."""

    def predict(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: None,
        options: SwapOptions,
        previous: EditedFace | None = None,
    ) -> EditedFace:
        """See `Engine.predict`."""
        crop = ReenactmentCrop.of(image_rgb, face)
        drawn = crop.draw(crop.edit(parse_sliders(options.sliders)))
        return EditedFace(drawn=drawn, matrix=crop.matrix, size_hw=image_rgb.shape[:2])

    def smooth(self, window: Sequence[None], centre: int, options: SwapOptions) -> None:
        """See `Engine.smooth`: there are no statistics."""

    def composite(self, prediction: EditedFace, statistics: None, options: SwapOptions, *, seed: int) -> Patch:
        """See `Engine.composite`."""
        (x, y), picture, alpha = warp_crop(prediction.drawn, prediction.matrix, prediction.size_hw)
        image_rgb = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return Patch(x=int(x), y=int(y), image_rgb=image_rgb, alpha=alpha)
