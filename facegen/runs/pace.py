"""Progress turned into time left."""

from collections import deque

WINDOW_SECONDS = 30.0
"""How far back the pace looks: long enough to be steady, short enough to follow a slower passage."""

_SPACING_SECONDS = 0.5


class Pace:
    """Remembers the last half minute of progress."""

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
