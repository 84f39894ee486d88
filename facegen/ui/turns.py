"""Estimated waiting times of queued runs, computed at most once a second."""

import threading
import time

from facegen.jobs import Run, Turn, estimate_turns
from facegen.ui.handlers import duration

_SECONDS = 1.0


class Turns:
    """The turns of the studio's queue."""

    def __init__(self, at_once: int) -> None:
        """Nothing is looked up yet.

        Args:
            at_once: runs that work at the same time.
        """
        self._at_once, self._lock = at_once, threading.Lock()
        self._turns: dict[str, Turn] = {}
        self._until = 0.0

    def describe(self, run: Run) -> str:
        """What somebody reads whose run waits; nothing where nobody is before it."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._turns = estimate_turns(at_once=self._at_once)
                self._until = time.monotonic() + _SECONDS
            turn = self._turns.get(run.name)
        if turn is None or not turn.before:
            return ""
        if turn.seconds is None:
            return f"Waiting for its turn: {turn.before} before it."
        return f"Waiting for its turn: {turn.before} before it, probably done within {duration(turn.seconds)}."
