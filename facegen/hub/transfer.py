"""How far a download is, how fast it goes, and how long it takes still."""

import time
from collections import deque

_WINDOW_SECONDS = 10.0


class Transfer:
    """The course of one download; an `OnBytes`, to be given to `fetch`."""

    def __init__(self, name: str, size: int | None = None) -> None:
        """Begin.

        Args:
            name: of the file, for people.
            size: bytes in all, where known beforehand.
        """
        self.name, self.size, self.done = name, size, 0
        self._history: deque[tuple[float, int]] = deque()

    def __call__(self, done: int, size: int | None) -> None:
        """Take down that `done` of `size` bytes are here."""
        now = time.monotonic()
        if self._history and done < self._history[-1][1]:
            self._history.clear()  # it began anew
        self.done, self.size = done, size or self.size
        self._history.append((now, done))
        while len(self._history) > 2 and now - self._history[0][0] > _WINDOW_SECONDS:
            self._history.popleft()

    @property
    def fraction(self) -> float:
        """0 to 1; 0 where the size is not known."""
        return min(self.done / self.size, 1.0) if self.size else 0.0

    @property
    def bytes_per_second(self) -> float | None:
        """Over the last ten seconds; None where there is too little to tell."""
        if len(self._history) < 2:
            return None
        (since, before), (now, done) = self._history[0], self._history[-1]
        return (done - before) / (now - since) if now - since >= 0.2 and done > before else None

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None where that is not known."""
        rate = self.bytes_per_second
        return (self.size - self.done) / rate if self.size and rate else None

    @property
    def text(self) -> str:
        """«parser: 3.1 of 7.3 MB, 1.2 MB/s, 4 s left»."""
        of = f"of {self.size / 1e6:.1f} MB" if self.size else "MB"
        words = [f"{self.name}: {self.done / 1e6:.1f} {of}"]
        if self.bytes_per_second:
            words.append(f"{self.bytes_per_second / 1e6:.1f} MB/s")
        if self.seconds_left is not None:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            words.append(f"{minutes} min {seconds} s left" if minutes else f"{seconds} s left")
        return ", ".join(words)
