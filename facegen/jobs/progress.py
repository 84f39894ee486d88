"""Progress of a job: reported to its caller and to the run folder at once, with the time left."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

OnProgress = Callable[[float, str], None]
"""`on_progress(fraction 0..1, text)`; raising `Cancelled` in it stops the work."""

WINDOW_SECONDS = 30.0
"""How far back the pace looks: long enough to be steady, short enough to follow a slower passage."""

_SPACING_SECONDS = 0.5


class Updatable(Protocol):
    """Where progress is written: a run."""

    def update(self, progress: float, text: str, *, rate: str | None = None, **figures: Any) -> None:
        """Write how far the work is."""


class Pace:
    """The time left, from the progress of the last half minute."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, float]] = deque()

    def time_left(self, now: float, progress: float) -> float | None:
        """Seconds until progress reaches 1, or None while there is too little to tell.

        Args:
            now: seconds on a clock that never goes back.
            progress: 0 to 1.
        """
        if not self._history or now - self._history[-1][0] >= _SPACING_SECONDS:
            self._history.append((now, progress))
        while len(self._history) > 2 and now - self._history[0][0] > WINDOW_SECONDS:
            self._history.popleft()
        since, before = self._history[0]
        if progress <= before or now - since < 1.0:
            return None
        return round((1.0 - progress) * (now - since) / (progress - before), 1)


class Progress:
    """The progress of one job through its passes.

    Args:
        on_progress: called with the fraction of the whole job and a text.
        run: also written there.
    """

    def __init__(self, on_progress: OnProgress | None = None, run: Updatable | None = None) -> None:
        self._on_progress = on_progress
        self._run = run
        self._low, self._high = 0.0, 1.0
        self._started, self._first = time.perf_counter(), 0

    def enter(self, low: float, high: float, first: int = 0) -> None:
        """Begin a pass that takes the progress from `low` to `high`; `first` frames of it were done before."""
        self._low, self._high = low, high
        self._started, self._first = time.perf_counter(), first

    def report_frames(self, doing: str, done: int, total: int) -> None:
        """Report that a pass has reached frame `done` of `total`; `doing` is a participle, such as «Drawing»."""
        seconds = time.perf_counter() - self._started
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        self.report(done / max(total, done, 1), f"{doing} frame {done} of {max(total, done)}", f"{rate:.1f} frames/s")

    def report(self, share: float, text: str, rate: str | None = None) -> None:
        """Report how far the present pass is.

        Args:
            share: 0..1 of this pass.
            text: what is being done.
            rate: how fast, with its unit.

        Raises:
            Cancelled: somebody stopped the work.
        """
        fraction = self._low + (self._high - self._low) * min(share, 1.0)
        if self._run is not None:
            self._run.update(fraction, text, rate=rate)
        if self._on_progress is not None:
            self._on_progress(fraction, f"{text}, {rate}" if rate else text)
