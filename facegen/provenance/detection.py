"""Finding the mark again: the picture is brought back to the canonical grid and compared with the published signs.

For each cell the strength of its wave is measured, squeezed so that strong texture cannot outvote the rest, and
multiplied by the published sign. In a picture without the mark the signs have nothing to do with the content, so the
normalised sum behaves as a draw from the standard normal distribution, whatever the picture shows; `THRESHOLD` lies six
standard deviations out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.provenance.watermark import (
    PAYLOAD_BITS,
    STEP,
    cut,
    grid,
    payload_signs,
    plan,
    read_payload,
    slots,
    wave_patterns,
)

THRESHOLD = 6.0
"""A score above this is the mark: by the normal law, one unmarked look in a thousand million lies above it."""

_OWN_THRESHOLD = 5.0


@dataclass(frozen=True, kw_only=True)
class MarkScore:
    """The result of looking for the mark in one picture or the mean of several frames."""

    score: float
    """Standard deviations above chance: the best look in the eight orientations."""
    payload: int | None
    """The installation's 24-bit id, where the mark was found and can be read."""
    orientation: str
    """How the picture is turned against the marked one: «upright», «mirrored», «turned 90» and so on."""

    @property
    def is_found(self) -> bool:
        """Whether the score is above `THRESHOLD`."""
        return self.score > THRESHOLD


def canonical(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The luma of a picture on the canonical grid: (rows * 8, columns * 8) float32.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
    """
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    rows, columns = grid(size_hw)
    luma = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    shrinks = luma.size > rows * columns * STEP * STEP
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma, (columns * STEP, rows * STEP), interpolation=interpolation), np.float32)


def mean_canonical(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The mean of several frames on the canonical grid.

    The mark stands still while the content moves, so the mean keeps the one and thins the other.

    Raises:
        ValueError: there are no images, or their sizes differ.
    """
    total: NDArray[np.float32] | None = None
    count = 0
    for image in images:
        one = canonical(image)
        total = one if total is None else total + one
        count += 1
    if total is None:
        raise ValueError("images must hold at least one frame, but got none")
    return total / np.float32(count)


def find_mark(luma: NDArray[np.float32], own_id: int | None = None) -> MarkScore:
    """Look for the mark in all eight orientations.

    Args:
        luma: (rows * 8, columns * 8) from `canonical` or `mean_canonical`.
        own_id: an installation's id; its marks are found further down, since all their signs are then known.
    """
    looks = []
    for mirrored in (False, True):
        seen = luma[:, ::-1] if mirrored else luma
        for turns in range(4):
            values = _cell_values(np.ascontiguousarray(np.rot90(seen, turns)))
            looks.append((_excess(values[slots(*values.shape) < 0]), mirrored, turns, values))
            if own_id is not None:
                looks.append((_excess(values * payload_signs(own_id, *values.shape)), mirrored, turns, values))
    score, mirrored, turns, values = max(looks, key=lambda look: look[0])
    words = [word for word, said in (("mirrored", mirrored), (f"turned {turns * 90}", turns)) if said]
    return MarkScore(
        score=score,
        payload=_payload(values, own_id) if score > THRESHOLD else None,
        orientation=", ".join(words) or "upright",
    )


def _cell_values(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns): how much each cell agrees with its published wave and sign, in [-1, 1]."""
    rows, columns = luma.shape[0] // STEP, luma.shape[1] // STEP
    signs, waves = (cut(part, rows, columns) for part in plan())
    cells = luma.reshape(rows, STEP, columns, STEP)
    strengths = np.einsum("rich,wih->wrc", cells, wave_patterns(), optimize=True)
    # Each wave is judged against its neighbourhood: the sum is then ruled by many cells and not by a few edges.
    usual = np.stack([cv2.blur(np.abs(strength), (5, 5)) for strength in strengths])
    squeezed = np.tanh(2 * strengths / (usual + 0.5))
    return np.take_along_axis(squeezed, waves[None], axis=0)[0] * signs


def _excess(values: NDArray[np.float32]) -> float:
    """Standard deviations by which a sum of agreements lies above chance."""
    return float(values.sum() / np.sqrt((values**2).sum() + 1e-6))


def _payload(values: NDArray[np.float32], own_id: int | None) -> int | None:
    """The id in the cells: the own one where these cells alone speak for it, else what passes its check bits."""
    slot = slots(*values.shape)
    carries = slot >= 0
    if own_id is not None and _excess((values * payload_signs(own_id, *values.shape))[carries]) > _OWN_THRESHOLD:
        return own_id
    return read_payload(np.bincount(slot[carries], weights=values[carries], minlength=PAYLOAD_BITS) > 0)
