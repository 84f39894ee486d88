"""`SwapTimeline`: the frames of the target that the result shows, and their timestamps."""

import bisect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.swap.options import SwapOptions


@dataclass(frozen=True, kw_only=True)
class SwapTimeline:
    """The frames from `first` up to, but not including, `last`, some of them left out."""

    first: int
    """Index in the target of the first frame."""

    last: int
    """One more than the index of the last frame."""

    time_base: Fraction
    """Unit of the times, in seconds."""

    ticks: np.ndarray
    """(last - first + 1,) int64: when each frame begins in the target, and when the last one ends."""

    is_kept: np.ndarray
    """(last - first,) bool: the frame is part of the result."""

    def frames(self, target: str, begin: int, *, keeps_alpha: bool = False) -> Iterator[media.Frame]:
        """Decode the frames from index `begin` on."""
        frames = media.read_frames(target, start_index=begin, keeps_alpha=keeps_alpha)
        return itertools.takewhile(lambda frame: frame.index < self.last, frames)

    @property
    def frame_count(self) -> int:
        """Frames of the target that are read."""
        return self.last - self.first

    def is_shown(self, index: int) -> bool:
        """Whether a frame of the target is part of the result."""
        position = index - self.first
        return position >= len(self.is_kept) or bool(self.is_kept[position])

    def kept_indices(self) -> Iterator[int]:
        """Index in the target of every frame of the result, in order."""
        return (self.first + int(position) for position in np.flatnonzero(self.is_kept))

    def shift(self, index: int) -> int:
        """Ticks by which a frame comes earlier than in the target, because frames before it are left out."""
        return int(self._shifts[min(index - self.first, len(self.is_kept))])

    @cached_property
    def _shifts(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(np.diff(self.ticks) * ~self.is_kept)])

    def kept_spans(self) -> list[tuple[Fraction, Fraction]]:
        """Begin and end of every part of the target that is in the result, seconds, in order."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.is_kept, [False]]).astype(np.int8)))
        return [
            (int(self.ticks[begin]) * self.time_base, int(self.ticks[end]) * self.time_base)
            for begin, end in zip(edges[::2], edges[1::2], strict=True)
        ]


def read_timeline(target: str, options: SwapOptions, is_kept: Callable[[int], bool] | None = None) -> SwapTimeline:
    """Read the frame times of a target, trimmed.

    Args:
        target: a video.
        options: where it begins and ends.
        is_kept: whether the result shows the frame of an index; without it all are shown.

    Raises:
        InputError: the target cannot be read, or has no frame between start and end.
    """
    times, time_base = media.frame_times(target)

    def index_at(seconds: float) -> int:
        # by its decimals: as a binary fraction 0.4 is a little more, and would miss the frame at 0.4
        return bisect.bisect_left(times, Fraction(repr(seconds)) / time_base)

    first = index_at(options.start_seconds)
    last = len(times) if options.end_seconds is None else index_at(options.end_seconds)
    if first >= last:
        length = float(times[-1] * time_base)
        raise InputError(
            f"Expected a part of the target with frames in it, which ends at {length:.2f} s; widen the trim."
        )
    step = times[-1] - times[-2] if len(times) > 1 else 1
    ticks = (*times, times[-1] + step)[first : last + 1]
    kept = [is_kept is None or is_kept(index) for index in range(first, last)]
    return SwapTimeline(
        first=first,
        last=last,
        time_base=time_base,
        ticks=np.array(ticks, np.int64),
        is_kept=np.array(kept, bool),
    )
