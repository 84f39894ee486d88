"""Packets of a file with corrected timestamps, and a dry pass over all of them before anything is decoded."""

import bisect
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from facegen.errors import InputError
from facegen.media.apart import apart
from facegen.media.info import has_free_times, read_frame_rate, read_origin
from facegen.media.source import (
    check_readable,
    display_name,
    file_key,
    main_video,
    open_input,
    translate_read_errors,
)

Jump = tuple[int, Fraction]
"""Byte of a file from which times are shifted, and by how many seconds."""

_BACKWARD, _FORWARD = Fraction(1, 10), Fraction(10)
"""Seconds between two packets of a stream beyond which its clock was set anew."""
_KEYS, _KEY_SECONDS = 60, 10
"""Key frames that are decoded to learn their size: the first ones, then one in so many seconds."""


@dataclass(frozen=True, kw_only=True)
class PictureSurvey:
    """What the packets of the picture say."""

    times: tuple[int, ...]
    """When each frame is shown, in units of `time_base`, rising."""
    time_base: Fraction
    """Unit of the times, in seconds."""
    keys: tuple[int, ...]
    """Indices of the frames at which decoding can begin."""
    jumps: tuple[Jump, ...]
    """Where the clock of the file was set anew."""
    notices: tuple[str, ...]
    """What is missing, damaged or changes on the way, a sentence each."""


class Clock:
    """Gives each frame in turn a timestamp that grows, counted from the origin of the file."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.time_base = stream.time_base or Fraction(1, 1000)
        self.origin = round(read_origin(container) / self.time_base)
        self._step = max(1, round(1 / (read_frame_rate(stream) * self.time_base)))
        self._last: int | None = None

    def tick(self, pts: int | None) -> int:
        """The timestamp of the next frame: its own, or one step after the last where it has none or runs backwards."""
        if pts is not None:
            tick = pts - self.origin
            if self._last is not None and tick <= self._last:
                tick = self._last + 1
        else:
            tick = 0 if self._last is None else self._last + self._step
        self._last = tick
        return tick


@apart
def survey_picture(path: str | os.PathLike[str]) -> PictureSurvey:
    """Reads all packets of a video once, without decoding them but for some key frames; kept while the file is the same.

    Raises:
        InputError: the file cannot be read or holds no frame.
    """
    check_readable(path)
    return _survey_picture(file_key(path))


def read_packets(
    container: InputContainer, streams: Sequence[Stream], path: str | os.PathLike[str]
) -> Iterator[Packet]:
    """The packets of some streams of an open file, from where it stands, with times that go on where its clock was set anew.

    Empty packets are left out. A file that is damaged so that its packets cannot be told apart ends there.
    """
    jumps: tuple[Jump, ...] = ()
    if has_free_times(container):
        # a file of sound alone keeps its times
        with suppress(InputError):
            jumps = survey_picture(path).jumps
    yield from _shift_packets(_demux(container, streams), jumps)


def _demux(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet]:
    try:
        yield from (packet for packet in container.demux(streams) if packet.size)
    except av.error.FFmpegError:
        return


def _shift_packets(packets: Iterator[Packet], jumps: Sequence[Jump]) -> Iterator[Packet]:
    positions: dict[int, int] = {}
    for packet in packets:
        if jumps:
            shift = _shift_at(_position(packet, positions), jumps)
            _shift(packet, shift)
        yield packet


def _position(packet: Packet, positions: dict[int, int]) -> int:
    """The byte where a packet begins; of one that shares its place with the packet before it, that one's."""
    if packet.pos is not None and packet.pos >= 0:
        positions[packet.stream.index] = packet.pos
    return positions.get(packet.stream.index, 0)


def _shift_at(position: int, jumps: Sequence[Jump]) -> Fraction:
    index = bisect.bisect_right(jumps, position, key=lambda jump: jump[0]) - 1
    return jumps[index][1] if index >= 0 else Fraction(0)


def _shift(packet: Packet, seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base) if seconds else 0
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


class _JumpFinder:
    """Corrects the times of packets in the order of the file, and notes where its clock was set anew."""

    def __init__(self) -> None:
        self.jumps: list[Jump] = []
        self._positions: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}
        self._end = Fraction(0)

    def correct(self, packet: Packet) -> None:
        """Shifts the times of the next packet."""
        position, index = _position(packet, self._positions), packet.stream.index
        shift = _shift_at(position, self.jumps)
        if packet.dts is not None:
            raw = packet.dts * packet.time_base
            if not self._fits(index, raw + shift):
                # the other streams' packets from after a jump may lie before it in the file
                if self.jumps and position < self.jumps[-1][0] and self._fits(index, raw + self.jumps[-1][1]):
                    shift = self.jumps.pop()[1]
                else:
                    shift = self._end - raw
                self.jumps = [jump for jump in self.jumps if jump[0] < position] + [(position, shift)]
            seconds = raw + shift
            self._last[index] = seconds
            self._end = max(self._end, seconds + (packet.duration or 0) * packet.time_base)
        _shift(packet, shift)

    def _fits(self, index: int, seconds: Fraction) -> bool:
        last = self._last.get(index)
        return last is None or last - _BACKWARD <= seconds <= max(last, self._end) + _FORWARD


class _KeyFrameSizes:
    """Decodes some key frames to learn whether the picture changes its size on the way."""

    def __init__(self, stream: VideoStream) -> None:
        self.sizes: list[tuple[int, int]] = []
        codec = stream.codec_context
        decoder = av.CodecContext.create(codec.codec.name, "r")
        assert isinstance(decoder, VideoCodecContext)
        self._decoder = decoder
        self._decoder.extradata = codec.extradata
        self._count, self._next = 0, Fraction(0)

    def look(self, packet: Packet) -> None:
        """Notes the size of a key frame, where its turn has come."""
        seconds = Fraction(0) if packet.pts is None else packet.pts * packet.time_base
        if self._count >= _KEYS and seconds < self._next:
            return
        self._count, self._next = self._count + 1, seconds + _KEY_SECONDS
        try:
            frames = [*self._decoder.decode(packet), *self._decoder.decode(None)]
            self._decoder.flush_buffers()
        except av.error.FFmpegError:
            return
        self.sizes += [(frame.width, frame.height) for frame in frames if (frame.width, frame.height) not in self.sizes]


@lru_cache(maxsize=32)
def _survey_picture(key: tuple[str, int, int]) -> PictureSurvey:
    path = key[0]
    with open_input(path) as container, translate_read_errors(path):
        stream = main_video(container, path)
        clock, sizes = Clock(container, stream), _KeyFrameSizes(stream)
        finder = _JumpFinder() if has_free_times(container) else None
        # a jump is the same for all streams, so all of them are needed to find it
        wanted = [s for s in container.streams if s.type in ("video", "audio")] if finder else [stream]
        raw: list[int | None] = []
        keys: list[int | None] = []
        lead = damaged = 0
        for packet in _demux(container, wanted):
            if finder is not None:
                finder.correct(packet)
            if packet.stream.index != stream.index:
                continue
            damaged += packet.is_corrupt
            tick = packet.pts if packet.pts is not None else packet.dts
            if packet.is_keyframe:
                if not keys:
                    lead = len(raw)
                keys.append(tick)
                sizes.look(packet)
            if not packet.is_discard:
                raw.append(tick)
    # without what came before a file that begins on the way, frames cannot be decoded up to its first key frame
    notices = []
    if keys and lead:
        frames = "The first frame" if lead == 1 else f"The first {lead:,} frames"
        notices.append(f"{frames} of {display_name(path)} cannot be decoded without what came before: left out.")
        raw = raw[lead:]
    known = sorted(tick for tick in raw if tick is not None)
    if len(known) < len(raw):
        known = [None] * len(raw)  # type: ignore[list-item]
    times = tuple(clock.tick(tick) for tick in known)
    if not times:
        raise InputError(
            f"Expected a video with frames, found none in {display_name(path)}: export or download it again."
        )
    jumps = tuple(finder.jumps) if finder is not None else ()
    if jumps:
        notices.append(f"The clock of {display_name(path)} was set anew on the way; its parts follow each other.")
    # the packet before a jump is taken for damaged, too
    if damaged > len(jumps):
        notices.append(
            f"{damaged:,} of {len(raw):,} packets of the picture of {display_name(path)} are damaged: frames may be missing "
            "or show blocks there."
        )
    if len(sizes.sizes) > 1:
        (width, height), *others = sizes.sizes
        found = ", ".join(f"{w} x {h}" for w, h in others)
        notices.append(
            f"The picture changes its size on the way, from {width} x {height} to {found}; all of it is brought to the first."
        )
    index_at = {tick: index for index, tick in enumerate(times)}
    return PictureSurvey(
        times=times,
        time_base=clock.time_base,
        keys=tuple(sorted(index_at[t - clock.origin] for t in keys if t is not None and t - clock.origin in index_at)),
        jumps=jumps,
        notices=tuple(notices),
    )
