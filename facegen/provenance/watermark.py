"""The invisible watermark: a fixed faint pattern added to the luma of everything that facegen writes.

The picture is divided into cells, 48 along its shorter side, so that the pattern scales with the picture and survives
rescaling. A cell holds one of six low-to-middle DCT waves of 8x8 with a fixed pseudo-random sign. Half of the cells
(a chequerboard) say «made by facegen»; the other half repeat 32 bits: the 24-bit id of the installation and 8 check
bits, each bit turning the signs of its cells. The waves are those that x264 and JPEG quantise gently. The signs are
published with this source: the mark tells what a file is to anyone who asks, and is no secret and no proof.
"""

import hashlib
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.provenance.keys import get_installation_key

CELLS = 48
"""Cells along the shorter side of a picture."""
WAVES = ((1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2))
"""Vertical and horizontal DCT index of the waves."""
STEP = 8
"""Samples along a side of a cell on the canonical grid."""
PAYLOAD_BITS = 32
_PAYLOAD_IDS = 1 << 24
_PLAN_CELLS = 256
"""Cells along a side of the fixed plan of signs; wider pictures repeat it."""
_DEVIATION = 1.0
"""Standard deviation of the pattern in steps of 255, at 480 lines and above: about 48 dB."""
_DEVIATION_SMALL = 1.4
"""The most it rises to in smaller pictures, whose fine waves encoders drop first: about 45 dB."""


class Watermark:
    """The pattern for pictures of one size, built once a clip.

    Attributes:
        size_hw: height and width of the displayed picture.
        payload: the 24-bit id that it carries.
        luma_delta: (H, W) int8, read-only; added to the 8-bit luma (or equally to R, G and B) with saturation;
            all zero where the picture is smaller than 96 pixels, which leaves no room for the mark.
    """

    def __init__(self, size_hw: tuple[int, int], payload: int | None = None) -> None:
        """Builds the pattern for a size.

        Args:
            size_hw: height and width in pixels.
            payload: 0 to 2**24 - 1; this installation's id where None.

        Raises:
            ResourceError: the installation's key, whose id is wanted, cannot be written.
        """
        self.size_hw = size_hw
        self.payload = get_installation_key().installation_id if payload is None else payload
        self.luma_delta = _build_delta(size_hw, self.payload)


def mark_picture(image_rgb: NDArray[np.uint8], payload: int | None = None) -> NDArray[np.uint8]:
    """A copy of a picture that carries the mark.

    Args:
        image_rgb: (H, W, 3) uint8 RGB; one smaller than 96 pixels has no room for the mark and comes back as it is.
        payload: as in `Watermark`.
    """
    delta = Watermark((image_rgb.shape[0], image_rgb.shape[1]), payload).luma_delta[..., None]
    return np.clip(image_rgb.astype(np.int16) + delta, 0, 255).astype(np.uint8)


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


def has_room(size_hw: tuple[int, int]) -> bool:
    """Whether a picture is large enough for the mark: at least two pixels a cell."""
    return min(size_hw) >= 2 * CELLS


def encode_payload(payload: int) -> NDArray[np.bool_]:
    """The 32 embedded bits: the 24-bit id and its check bits, most significant first.

    Raises:
        ValueError: the id does not fit.
    """
    if not 0 <= payload < _PAYLOAD_IDS:
        raise ValueError(f"Expected a payload from 0 to {_PAYLOAD_IDS - 1}, found {payload}.")
    content = payload.to_bytes(3, "big")
    return np.unpackbits(np.frombuffer(content + _check_bits(content), np.uint8)).astype(bool)


def payload_signs(payload: int, rows: int, columns: int) -> NDArray[np.float32]:
    """(rows, columns): -1 for the cells whose bit is 0, which turns their waves, and 1 for all others."""
    slot = payload_slots(rows, columns)
    return np.where((slot >= 0) & ~encode_payload(payload)[slot], -1, 1).astype(np.float32)


def decode_payload(bits: NDArray[np.bool_]) -> int | None:
    """The id in 32 received bits, or None where the check bits do not agree."""
    word = np.packbits(bits.astype(np.uint8)).tobytes()
    return int.from_bytes(word[:3], "big") if _check_bits(word[:3]) == word[3:] else None


def _check_bits(content: bytes) -> bytes:
    return hashlib.sha256(b"facegen" + content).digest()[:1]


@lru_cache(maxsize=8)
def _build_delta(size_hw: tuple[int, int], payload: int) -> NDArray[np.int8]:
    rows, columns = cell_grid(size_hw)
    if not has_room(size_hw):
        return np.zeros(size_hw, np.int8)
    signs, waves = (tile_plan(part, rows, columns) for part in cell_plan())
    signs = signs * payload_signs(payload, rows, columns)
    cells = signs[..., None, None] * wave_patterns()[waves]
    canvas = cells.transpose(0, 2, 1, 3).reshape(rows * STEP, columns * STEP)
    height, width = size_hw
    shrinks = height * width < canvas.size
    scaled = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    deviation = np.clip(_DEVIATION * np.sqrt(480 / min(size_hw)), _DEVIATION, _DEVIATION_SMALL)
    delta = np.rint(scaled * (deviation / scaled.std())).astype(np.int8)
    delta.flags.writeable = False
    return delta
