"""Detects the former watermark of facegen, for one more release; it is no longer written.

A grid of cells, 48 along the shorter side, each with one of six low-to-middle DCT waves of 8x8 with a published sign.
Half of the cells (a chequerboard) say «made by facegen»; the other half repeat 32 bits: the 24-bit id of the
installation and 8 check bits. The grid is counted from the edges, so it does not survive a crop or a turn. Its score
behaves in unmarked pictures as a draw from the standard normal distribution.
"""

import hashlib
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.provenance.watermark import decode_payload, encode_payload

FIRST_THRESHOLD = 6.0
"""A score above this is the mark: of comparisons without it, one in 10^9 lies above (normal distribution)."""
FIRST_LOOKS = 224
"""The most comparisons in one file: 16 for each frame or mean of frames."""

CELLS = 48
"""Cells along the shorter side of a picture."""
WAVES = ((1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
"""Vertical and horizontal DCT index of the waves."""
STEP = 8
"""Samples along a side of a cell on the canonical grid."""
PAYLOAD_BITS = 32
_PLAN_CELLS = 256
"""Cells along a side of the fixed plan of signs; wider pictures repeat it."""
_OWN_THRESHOLD = 5.0
_OWN_SHARE = 0.75
"""Least part of the payload's strength that the own id explains; another that differs in 5 of 32 bits explains 0.69."""


def cell_grid(size_hw: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of cells of a picture: `CELLS` along the shorter side, nearly square cells."""
    height, width = size_hw
    shorter = min(height, width)
    return max(CELLS, round(CELLS * height / shorter)), max(CELLS, round(CELLS * width / shorter))


@lru_cache(maxsize=1)
def cell_plan() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The published plan: sign (-1 or 1) and wave number of each cell, both (256, 256).

    SHAKE-256 rather than a random generator: the plan must be the same in every version of every library.
    """
    stream = hashlib.shake_256(b"facegen watermark 1").digest(2 * _PLAN_CELLS * _PLAN_CELLS)
    numbers = np.frombuffer(stream, np.uint8).reshape(2, _PLAN_CELLS, _PLAN_CELLS)
    signs = (numbers[0] & 1).astype(np.float32) * 2 - 1
    return signs, (numbers[1] % len(WAVES)).astype(np.intp)


def tile_plan(array: NDArray[Any], rows: int, columns: int) -> NDArray[Any]:
    """The upper left part of the plan, repeated where a picture is longer than it."""
    return array.take(range(rows), axis=0, mode="wrap").take(range(columns), axis=1, mode="wrap")


@lru_cache(maxsize=1)
def wave_patterns() -> NDArray[np.float32]:
    """(6, 8, 8) DCT waves of unit norm and zero mean, in the order of `WAVES`."""
    steps = (2 * np.arange(STEP) + 1) * np.pi / (2 * STEP)
    patterns = np.stack([np.outer(np.cos(steps * down), np.cos(steps * across)) for down, across in WAVES])
    return (patterns / np.sqrt((patterns**2).sum(axis=(1, 2), keepdims=True))).astype(np.float32)


def payload_slots(rows: int, columns: int) -> NDArray[np.int64]:
    """(rows, columns): the payload bit, 0 to 31, of each cell, or -1 for the cells of the fixed pattern.

    Every 8x8 group of cells holds each bit once.
    """
    row, column = np.mgrid[:rows, :columns]
    bit = (row % 8) * 4 + (column % 8) // 2
    return np.where((row + column) % 2 == 0, -1, bit)


def find_first_mark(luma: NDArray[np.float32], own_id: int | None = None) -> tuple[float, int | None, str]:
    """Detects the mark in any of eight orientations.

    Args:
        luma: (H, W) float32 luma of a picture or the mean of several.
        own_id: an installation's id; its own marks are detected at lower scores, because all their signs are known.

    Returns:
        The score, in standard deviations above chance; the id, where the mark was found and can be read; and how the picture
        is turned.
    """
    rows, columns = cell_grid((luma.shape[0], luma.shape[1]))
    shrinks = luma.size > rows * columns * STEP * STEP
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    luma = np.asarray(cv2.resize(luma, (columns * STEP, rows * STEP), interpolation=interpolation), np.float32)
    comparisons = []
    for mirrored in (False, True):
        oriented = luma[:, ::-1] if mirrored else luma
        for turns in range(4):
            values = _cell_values(np.ascontiguousarray(np.rot90(oriented, turns)))
            comparisons.append((_z_score(values[payload_slots(*values.shape) < 0]), mirrored, turns, values))
            if own_id is not None:
                comparisons.append((_z_score(values * payload_signs(own_id, *values.shape)), mirrored, turns, values))
    score, mirrored, turns, values = max(comparisons, key=lambda comparison: comparison[0])
    words = [word for word, applies in (("mirrored", mirrored), (f"turned {turns * 90}", turns)) if applies]
    payload = _read_id(values, own_id) if score > FIRST_THRESHOLD else None
    return score, payload, ", ".join(words) or "upright"


def _cell_values(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(rows, columns): correlation of each cell with its published wave and sign, in [-1, 1]."""
    rows, columns = luma.shape[0] // STEP, luma.shape[1] // STEP
    signs, waves = (tile_plan(part, rows, columns) for part in cell_plan())
    cells = luma.reshape(rows, STEP, columns, STEP)
    amplitudes = np.einsum("rich,wih->wrc", cells, wave_patterns(), optimize=True)
    # each amplitude is normalised by its neighbourhood, so that many cells decide and not a few edges
    local = np.stack([cv2.blur(np.abs(amplitude), (5, 5)) for amplitude in amplitudes])
    compressed = np.tanh(2 * amplitudes / (local + 0.5))
    return np.take_along_axis(compressed, waves[None], axis=0)[0] * signs


def _z_score(values: NDArray[np.float32]) -> float:
    """Standard deviations of a sum of correlations above chance."""
    return float(values.sum() / np.sqrt((values**2).sum() + 1e-6))


def _read_id(values: NDArray[np.float32], own_id: int | None) -> int | None:
    """The id in the cells: the own one if the payload's cells alone confirm it, else one whose check bits agree.

    A strong mark of another installation shares about half its bits with the own id, some of them by chance more; the own
    id is confirmed only where it explains the cells about as well as the bits that are read from them.
    """
    slot = payload_slots(*values.shape)
    carries = slot >= 0
    sums = np.bincount(slot[carries], weights=values[carries], minlength=PAYLOAD_BITS)
    if own_id is not None:
        own = values * payload_signs(own_id, *values.shape)
        is_explained = float(own[carries].sum()) >= _OWN_SHARE * float(np.abs(sums).sum())
        if _z_score(own[carries]) > _OWN_THRESHOLD and is_explained:
            return own_id
    return decode_payload(np.packbits((sums > 0).astype(np.uint8)).tobytes())


def payload_signs(payload: int, rows: int, columns: int) -> NDArray[np.float32]:
    """(rows, columns): -1 for the cells whose bit is 0, which turns their waves, and 1 for all others."""
    bits = np.unpackbits(np.frombuffer(encode_payload(payload), np.uint8)).astype(bool)
    slot = payload_slots(rows, columns)
    return np.where((slot >= 0) & ~bits[slot], -1, 1).astype(np.float32)
