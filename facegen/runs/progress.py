"""How far a piece of work is, told to whoever asked and to the run folder at once."""

import time
from collections.abc import Callable

from facegen.runs.run import Run

OnProgress = Callable[[float, str], None]
"""`on_progress(fraction 0..1, text)`; raising `Cancelled` in it stops the work."""


class Progress:
    """The progress of one piece of work through its passes."""

    def __init__(self, on_progress: OnProgress | None = None, run: Run | None = None) -> None:
        self._on_progress = on_progress
        self._run = run
        self._low, self._high = 0.0, 1.0
        self._started, self._first = time.perf_counter(), 0

    def enter(self, low: float, high: float, first: int = 0) -> None:
        """Begin a pass that takes the progress from `low` to `high`; `first` frames of it were done before."""
        self._low, self._high = low, high
        self._started, self._first = time.perf_counter(), first

    def frames(self, doing: str, done: int, total: int) -> None:
        """Say that a pass has come to frame `done` of `total`."""
        seconds = time.perf_counter() - self._started
        rate = (done - self._first) / seconds if seconds > 0 else 0.0
        self.say(done / max(total, done, 1), f"{doing} frame {done} of {max(total, done)}", f"{rate:.1f} frames/s")

    def say(self, share: float, text: str, rate: str | None = None) -> None:
        """Say how far the present pass is.

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
