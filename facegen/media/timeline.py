"""Timestamps: presentation and decoding times of joined segments, and of packets that excerpts keep."""

import bisect
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facegen.media.info import VideoInfo
from facegen.media.read import frame_times
from facegen.media.segments import segment_offset
from facegen.media.source import open_input, translate_read_errors


class PacketTimeline:
    """Timestamps of all packets of the segments, with decoding times that fit them.

    Attributes:
        start: when the first frame is shown, in seconds.
        end: when the last frame ends, in seconds.
        frame_count: how many frames there are.
    """

    def __init__(self, segments: Sequence[Path], like: VideoInfo) -> None:
        self._segments, self._base, self._offset = segments, like.time_base, segment_offset(like)
        coded: list[int] = []
        for segment in segments:
            with open_input(segment) as container, translate_read_errors(segment):
                stream = container.streams.video[0]
                ratio = _time_base(stream) / like.time_base
                coded += [round(p.pts * ratio) - self._offset for p in container.demux(stream) if p.pts is not None]
        self._pts = sorted(coded)
        self.frame_count = len(coded)
        depth = 0
        # The smallest delay by which every frame is decoded no later than it is shown.
        for position, tick in enumerate(coded):
            while position - depth >= 0 and self._pts[position - depth] > tick:
                depth += 1
        self._depth = depth
        self._last_duration = last_duration(self._pts, like)
        # Readers of mp4 add up the steps of decoding time, so these must span as much time as the frames are shown.
        span = self._pts[-1] + self._last_duration - self._pts[-1 - depth] - self._duration(coded[-1])
        self._lead = max(span, depth)
        self.start = self._pts[0] * self._base
        self.end = (self._pts[-1] + self._last_duration) * self._base

    def packets(self, stream: VideoStream, shift: Fraction) -> Iterator[tuple[Fraction, Packet]]:
        """Yields all packets for `stream`, `shift` seconds earlier, each with its decoding time in seconds."""
        offset = round(shift / self._base)
        position = 0
        for segment in self._segments:
            with open_input(segment) as container, translate_read_errors(segment):
                source = container.streams.video[0]
                ratio = _time_base(source) / self._base
                for packet in container.demux(source):
                    if packet.pts is None:
                        continue
                    tick = round(packet.pts * ratio) - self._offset
                    packet.time_base = self._base
                    packet.pts, packet.dts = tick - offset, self._decoding_tick(position) - offset
                    packet.duration = self._duration(tick)
                    packet.stream = stream
                    yield (self._decoding_tick(position) - offset) * self._base, packet
                    position += 1

    def _decoding_tick(self, position: int) -> int:
        if position >= self._depth:
            return self._pts[position - self._depth]
        return self._pts[0] - self._lead * (self._depth - position) // self._depth

    def _duration(self, tick: int) -> int:
        index = bisect.bisect_left(self._pts, tick) + 1
        return self._pts[index] - tick if index < len(self._pts) else self._last_duration


def last_duration(shown_ticks: Sequence[int], like: VideoInfo) -> int:
    """How long the last frame stays: as in the source, else as long as the frame before."""
    step = shown_ticks[-1] - shown_ticks[-2] if len(shown_ticks) > 1 else round(1 / (like.frame_rate * like.time_base))
    step = max(step, 1)
    if not like.path:
        return step
    times, _ = frame_times(like.path)
    after = bisect.bisect_right(times, shown_ticks[-1])
    if after < len(times):
        return times[after] - shown_ticks[-1]
    left = like.end_pts - shown_ticks[-1] if like.end_pts is not None else 0
    return left if left > 0 else step


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


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
