"""Spans of time of a file, put one after the other: when each of its packets and chapters comes in the output."""

import bisect
import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from av.container import InputContainer

Span = tuple[Fraction, Fraction]
"""Begin and end, in seconds of a file."""
END = Fraction(1 << 40)
"""Seconds that no file lasts."""


@dataclass(frozen=True)
class Excerpt:
    """What is kept of a file."""

    spans: tuple[Span, ...]
    """In order, not touching."""
    start: Fraction = Fraction(0)
    """When the first span begins in the output, seconds; each later one follows the one before it."""

    @cached_property
    def _starts(self) -> tuple[Fraction, ...]:
        lengths = (end - begin for begin, end in self.spans[:-1])
        return tuple(itertools.accumulate(lengths, initial=self.start))

    def shift(self, seconds: Fraction) -> Fraction | None:
        """How many seconds earlier comes what begins at a time of the file; None where it is left out.

        A first span that begins with the file keeps what lies before time 0, which decoders need.
        """
        index = max(bisect.bisect_right(self.spans, seconds, key=lambda span: span[0]) - 1, 0)
        begin, end = self.spans[index]
        is_before = seconds < begin and begin > 0
        return None if is_before or seconds >= end else begin - self._starts[index]

    def position(self, seconds: Fraction) -> Fraction:
        """When a moment of the file comes in the output; of one that is left out, when the next span begins."""
        return self.start + sum((max(min(seconds, end) - begin, Fraction(0)) for begin, end in self.spans), Fraction(0))


def excerpt_chapters(source: InputContainer, excerpt: Excerpt | None) -> list[Any]:
    """The chapters of a file as libav takes them, those of which nothing is kept left out; None keeps the whole file."""
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = chapter["start"] * base, chapter["end"] * base
        if excerpt is not None:
            start, end = excerpt.position(start), excerpt.position(end)
        if end > start:
            chapters.append({**chapter, "start": round(start / base), "end": round(end / base), "time_base": base})
    return chapters
