"""Detects the watermark: the picture is resampled to the canonical grid and correlated with the published signs.

For each cell the amplitude of its wave is measured, compressed so that strong texture does not dominate, and
multiplied by the published sign. In a picture without the mark the signs have nothing to do with the content, so the
normalised sum behaves as a draw from the standard normal distribution, whatever the picture shows; `THRESHOLD` lies six
standard deviations out.
"""

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.media import Frame, frame_times, key_frames, probe, read_frames, read_picture
from facegen.provenance.watermark import (
    PAYLOAD_BITS,
    STEP,
    cell_grid,
    cell_plan,
    decode_payload,
    has_room,
    payload_signs,
    payload_slots,
    tile_plan,
    wave_patterns,
)

THRESHOLD = 6.0
"""A score above this is the mark: of comparisons without the mark, one in 10^9 lies above it (normal distribution)."""

POSITIONS = 6
"""Positions in a video at which the mark is searched."""
MAX_COMPARISONS = 16 * (2 * POSITIONS + 2)
"""The most comparisons in one file: 16 for each frame or mean of frames."""

_OWN_THRESHOLD = 5.0
_OWN_SHARE = 0.75
"""Least part of the payload's strength that the own id explains; another that differs in 5 of 32 bits explains 0.69."""
_FRAMES, _EVERY = 16, 2


@dataclass(frozen=True, kw_only=True)
class MarkScore:
    """The result of a detection in one picture or in the mean of several frames."""

    score: float
    """Standard deviations above chance, the highest of the eight orientations."""
    payload: int | None
    """The installation's 24-bit id, where the mark was found and can be read."""
    orientation: str
    """How the picture is turned against the marked one: «upright», «mirrored», «turned 90» and so on."""

    @property
    def is_found(self) -> bool:
        """Whether the score is above `THRESHOLD`."""
        return self.score > THRESHOLD


def to_canonical_grid(image_rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The luma of a picture on the canonical grid: (rows * 8, columns * 8) float32.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
    """
    size_hw = (image_rgb.shape[0], image_rgb.shape[1])
    rows, columns = cell_grid(size_hw)
    luma = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    shrinks = luma.size > rows * columns * STEP * STEP
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(luma, (columns * STEP, rows * STEP), interpolation=interpolation), np.float32)


def average_on_canonical_grid(images: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The mean of several frames on the canonical grid.

    The mark is still while the content moves, so the mean keeps the mark and reduces the content.

    Raises:
        ValueError: there are no images, or their sizes differ.
    """
    total: NDArray[np.float32] | None = None
    count = 0
    for image in images:
        luma = to_canonical_grid(image)
        total = luma if total is None else total + luma
        count += 1
    if total is None:
        raise ValueError("Expected at least one picture, found none.")
    return total / np.float32(count)


def detect_mark(luma: NDArray[np.float32], own_id: int | None = None) -> MarkScore:
    """Detects the mark in any of eight orientations.

    Args:
        luma: (rows * 8, columns * 8) from `to_canonical_grid` or `average_on_canonical_grid`.
        own_id: an installation's id; its own marks are detected at lower scores, because all their signs are known.
    """
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
    return MarkScore(
        score=score,
        payload=_read_id(values, own_id) if score > THRESHOLD else None,
        orientation=", ".join(words) or "upright",
    )


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
    return decode_payload(sums > 0)


@dataclass(frozen=True, kw_only=True)
class MarkSearch:
    """The result of a search for the watermark in a file."""

    best: MarkScore | None
    """The highest score; None where the picture is too small for a mark."""
    positions: int
    """Positions searched: 1 in a picture, up to `POSITIONS` in a video."""
    marked_positions: int
    """Those of them with the mark."""


def search_picture(path: str | os.PathLike[str], own_id: int | None) -> MarkSearch:
    """Searches a picture.

    Raises:
        InputError: it cannot be read as a picture.
    """
    image = read_picture(path)
    if not has_room((image.shape[0], image.shape[1])):
        return MarkSearch(best=None, positions=0, marked_positions=0)
    best = detect_mark(to_canonical_grid(image), own_id)
    return MarkSearch(best=best, positions=1, marked_positions=int(best.is_found))


def search_video(path: str | os.PathLike[str], own_id: int | None) -> MarkSearch:
    """Searches a video at several positions spread over it.

    At each position there are two comparisons: a key frame alone, which encoders keep best and whose mark motion
    compensation has not moved, and the mean of the frames that follow, in which a still mark stands out of moving content.
    A marked scene among others is found at its own position, a faint mark by the means over all positions.

    Raises:
        InputError: it cannot be read as a video.
    """
    if not has_room(probe(path).size_hw):
        return MarkSearch(best=None, positions=0, marked_positions=0)
    pairs = list(_sample_video(path))
    scores = [max((detect_mark(luma, own_id) for luma in pair), key=_score) for pair in pairs]
    whole = (
        [detect_mark(np.mean(lumas, axis=0), own_id) for lumas in zip(*pairs, strict=True)] if len(pairs) > 1 else []
    )
    return MarkSearch(
        best=max(scores + whole, key=_score),
        positions=len(scores),
        marked_positions=sum(score.is_found for score in scores),
    )


def _score(mark: MarkScore) -> float:
    return mark.score


def _sample_video(path: str | os.PathLike[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The first frame and the mean frame of each position, on the canonical grid."""
    for start in _choose_positions(path):
        frames = cast(Generator[Frame], read_frames(path, start_index=start, every=_EVERY))
        with closing(frames):
            images = [frame.image_rgb for frame in islice(frames, _FRAMES)]
        yield to_canonical_grid(images[0]), average_on_canonical_grid(images)


def _choose_positions(path: str | os.PathLike[str]) -> list[int]:
    """Indices of frames to start at: key frames spread over the video, and others between them where they are few."""
    keys, count = key_frames(path) or (0,), len(frame_times(path)[0])
    positions = {keys[index * len(keys) // POSITIONS] for index in range(POSITIONS)}
    spread = (index * count // POSITIONS for index in range(POSITIONS))
    distant = (start for start in spread if all(abs(start - other) >= _FRAMES * _EVERY for other in set(positions)))
    return sorted(positions | set(islice(distant, POSITIONS - len(positions))))
