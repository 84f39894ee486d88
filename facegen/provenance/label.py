"""The visible label: text in a corner that discloses AI generation, in a chosen language."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.encoding import LabelLanguage
from facegen.media import Frame

TEXTS: Mapping[LabelLanguage, str] = {
    "en": "AI-generated",
    "de": "KI-generiert",
    "es": "Generado por IA",
    "ja": "AI生成",
    "ko": "AI 생성",
    "zh": "AI 生成",
}
"""The words by language; the other choices write none."""
SMALLEST = 64
"""Shorter side below which nothing is written."""
_SHARE, _LEAST_PIXELS = 1 / 24, 9
"""Height of the letters against the shorter side, and at least."""
_GROUND, _LETTERS, _LETTERS_HDR = 0.1, 0.9, 0.55
"""Luma of the box and of the letters, as a share of the highest value; of HDR it stands for far more light."""
_COVER = 0.7
"""How much of the picture the box hides."""


def draw_label_on_frame(frame: Frame, language: LabelLanguage) -> Frame:
    """The frame with the label in its luma; the same frame where the language names none or there is no room.

    Args:
        frame: as displayed.
        language: whose words.
    """
    if not _is_written(language, frame.size_hw):
        return frame
    box, letters = _covers(frame.size_hw, language)
    level = _LETTERS_HDR if frame.color.hdr else _LETTERS
    return frame.cover_luma(box, _GROUND).cover_luma(letters, level)


def draw_label(image_rgb: NDArray[np.uint8], language: LabelLanguage) -> NDArray[np.uint8]:
    """The picture, (H, W, 3), with the label; itself where the language names none or there is no room."""
    size_hw = image_rgb.shape[0], image_rgb.shape[1]
    if not _is_written(language, size_hw):
        return image_rgb
    drawn = image_rgb.astype(np.float32)
    for cover, level in zip(_covers(size_hw, language), (_GROUND, _LETTERS), strict=True):
        drawn += cover[..., None] * (level * 255 - drawn)
    return np.rint(drawn).astype(np.uint8)


def _is_written(language: LabelLanguage, size_hw: tuple[int, int]) -> bool:
    return language in TEXTS and min(size_hw) >= SMALLEST


@lru_cache(maxsize=8)
def _covers(size_hw: tuple[int, int], language: LabelLanguage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(H, W) each: how much of each pixel the box and the letters cover, 0 to 1, at the lower left."""
    height, width = size_hw
    pixels = max(_LEAST_PIXELS, round(min(size_hw) * _SHARE))
    font: Any = cv2.FontFace("uni")  # OpenCV's own, with the letters of all languages
    canvas = np.zeros((3 * pixels, width), np.uint8)
    cv2.putText(canvas, TEXTS[language], (pixels, 2 * pixels), 255, font, pixels, 500)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    words = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32) / 255
    margin = max(3, pixels // 2)
    box, letters = np.zeros(size_hw, np.float32), np.zeros(size_hw, np.float32)
    top = height - 2 * margin - words.shape[0]
    right = min(width, 3 * margin + words.shape[1])
    box[top - margin : height - margin, margin:right] = _COVER
    letters[top : top + words.shape[0], 2 * margin : 2 * margin + words.shape[1]] = words[:, : width - 2 * margin]
    for cover in (box, letters):
        cover.flags.writeable = False
    return box, letters
