"""Sound and subtitle streams from one file to another: packets are copied where the container accepts them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from facegen.media.info import has_free_times, read_origin
from facegen.media.packets import read_packets
from facegen.media.sound import SoundDecoder, SoundResampler, silence_non_numbers, silent_frames
from facegen.media.source import NullFile, check_readable, file_key, open_input, translate_read_errors
from facegen.media.timeline import Excerpt

BIT_RATE = 192_000
"""Bits a second of sound that had to be encoded again."""

Wanted = Literal["all", "first sound", "subtitles"]
"""Which streams of a file are kept: sound and subtitles, or some of them."""

_WORST = 0.25
"""Share of damaged packets up to which the others are copied; beyond it the sound is encoded again."""


_AAC_RATES = (96000, 48000, 44100, 32000, 24000, 22050, 16000)


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamMapping:
    """A stream of the source and the stream of the output that it is written to."""

    source: Stream
    target: Stream
    how: str
    """See `TrackPlan`."""
    refused: frozenset[int] = frozenset()
    """See `TrackPlan`."""


@dataclass(frozen=True, kw_only=True)
class TrackPlan:
    """What becomes of a stream in a container."""

    index: int
    """Of the stream in its file."""
    how: str
    """`copy`, `encode` (sound to AAC, in WebM to Opus, in WAV to samples), `to_srt` or `to_mov_text` (the same text in another packet format)."""
    refused: frozenset[int] = frozenset()
    """Packets, counted from 0, that the container does not take: they are damaged, and left out."""


@dataclass(frozen=True, kw_only=True)
class _Trial:
    """How many packets of a stream were tried, and the numbers of those that a container refused."""

    count: int
    refused: frozenset[int]

    @property
    def is_good(self) -> bool:
        """Whether the packets that are left are worth copying."""
        return len(self.refused) <= self.count * _WORST


def plan_tracks(
    path: str | os.PathLike[str], kind: str, wanted: Wanted = "all"
) -> tuple[tuple[TrackPlan, ...], tuple[str, ...]]:
    """Finds out what becomes of every sound and subtitle stream of a file in a container, by a dry pass over its packets.

    Args:
        path: the file.
        kind: format of the container.
        wanted: which streams.

    Returns:
        The streams that are kept, and a notice for each one that changes or is left out. Kept while the file is the same.

    Raises:
        InputError: the file cannot be read.
    """
    check_readable(path)
    return _plan_tracks(file_key(path), kind, wanted)


@lru_cache(maxsize=32)
def _plan_tracks(key: tuple[str, int, int], kind: str, wanted: Wanted) -> tuple[tuple[TrackPlan, ...], tuple[str, ...]]:
    path = key[0]
    plans: list[TrackPlan] = []
    notices: list[str] = []
    with open_input(path, "a file with sound") as source, translate_read_errors(path, "a file with sound"):
        sounds = () if wanted == "subtitles" else source.streams.audio[: 1 if wanted == "first sound" else None]
        texts = () if wanted == "first sound" else source.streams.subtitles
        copies = [s for s in (*sounds, *texts) if s.codec_context is not None and _can_copy(kind, s)]
        trials = _try_packets(source, copies, path, kind)
        for number, stream in enumerate(sounds, 1):
            plan, notice = _plan_sound(stream, trials.get(stream.index), kind, path)
            plans += [plan] if plan else []
            notices += [f"Sound track {number} {notice}"] if notice else []
        for number, text in enumerate(texts, 1):
            plan = _plan_subtitles(text, trials.get(text.index), kind)
            plans += [plan] if plan else []
            notices += [] if plan else [f"Subtitle track {number} was left out: {kind} does not take its kind."]
    return tuple(plans), tuple(notices)


def _plan_sound(stream: AudioStream, trial: _Trial | None, kind: str, path: str) -> tuple[TrackPlan | None, str | None]:
    """What becomes of a sound stream, and the end of a sentence that says so where it changes."""
    if stream.codec_context is None:
        return None, "is in an unknown codec and was left out."
    if trial is not None and trial.is_good:
        refused = len(trial.refused)
        said = f"is damaged: {refused:,} of {trial.count:,} packets were left out." if refused else None
        return TrackPlan(index=stream.index, how="copy", refused=trial.refused), said
    if not _is_decodable(path, stream.index):
        return None, "cannot be decoded and was left out."
    codec = stream.codec_context.codec.canonical_name
    mixed = " and mixed to stereo" if stream.codec_context.channels > 2 else ""
    if kind == "wav":
        return TrackPlan(index=stream.index, how="encode"), "was mixed to stereo." if mixed else None
    if trial is not None:
        reason = f"{len(trial.refused):,} of its {trial.count:,} packets are damaged"
    elif container_accepts(kind, stream):
        reason = f"{codec} in {kind} is not played by browsers (.mov and .mkv keep it as it is)"
    else:
        reason = f"{kind} does not take {codec}"
    return TrackPlan(
        index=stream.index, how="encode"
    ), f"was encoded again as {_encoding(kind)} at 192 kbit/s{mixed}: {reason}."


def _encoding(kind: str) -> str:
    return "Opus" if kind == "webm" else "AAC"


def _plan_subtitles(stream: Stream, trial: _Trial | None, kind: str) -> TrackPlan | None:
    if stream.codec_context is None:
        return None
    if trial is not None:
        return TrackPlan(index=stream.index, how="copy", refused=trial.refused)
    name = stream.codec_context.codec.canonical_name
    if name == "mov_text" and kind == "matroska":
        return TrackPlan(index=stream.index, how="to_srt")
    return TrackPlan(index=stream.index, how="to_mov_text") if name == "subrip" and kind != "matroska" else None


def _is_decodable(path: str, index: int) -> bool:
    with open_input(path, "a file with sound") as source:
        stream = source.streams[index]
        assert isinstance(stream, AudioStream)
        decoder = SoundDecoder(stream)
        packets = read_packets(source, [stream], path)
        return any(True for packet in packets for _ in decoder.decode(packet))


def _can_copy(kind: str, stream: Stream) -> bool:
    # bare samples in mp4 are not played by browsers; some without a layout of channels cannot be finished;
    # of a sequence of pictures the sound is samples of one kind
    return (
        kind != "wav"
        and container_accepts(kind, stream)
        and not (isinstance(stream, AudioStream) and _is_pcm_in_mp4(kind, stream))
    )


def _try_packets(source: InputContainer, streams: list[Stream], path: str, kind: str) -> dict[int, _Trial]:
    """Writes the packets of each stream into a container that keeps nothing, by index of the stream."""
    outputs = {stream.index: av.open(NullFile(), "w", format=kind) for stream in streams}
    copies = {stream.index: copy_stream(outputs[stream.index], stream) for stream in streams}
    counts = dict.fromkeys(outputs, 0)
    refused: dict[int, list[int]] = {index: [] for index in outputs}
    for packet in read_packets(source, streams, path) if streams else ():
        index = packet.stream.index
        packet.stream = copies[index]
        try:
            # of a transport stream, whole packets beside a lost one are marked, too
            if packet.is_corrupt and not has_free_times(source):
                raise ValueError("cut off")
            outputs[index].mux_one(packet)
        except (av.error.FFmpegError, ValueError):
            refused[index].append(counts[index])
        counts[index] += 1
    for output in outputs.values():
        with suppress(av.error.FFmpegError, ValueError):
            output.close()
    return {index: _Trial(count=counts[index], refused=frozenset(refused[index])) for index in outputs}


def open_tracks(
    source: InputContainer,
    target: OutputContainer,
    path: str | os.PathLike[str],
    kind: str,
    wanted: Wanted = "all",
) -> tuple[list[StreamMapping], tuple[str, ...]]:
    """Makes a stream in `target` (a container of `kind`) for every sound and subtitle stream of `source` that is kept.

    Args:
        source: the open file.
        target: the container that is written.
        path: of `source`.
        kind: format of the container.
        wanted: which streams.

    Returns:
        The tracks, and a notice for each stream that changes or is left out.
    """
    plans, notices = plan_tracks(path, kind, wanted)
    tracks = []
    for plan in plans:
        stream = source.streams[plan.index]
        if plan.how == "encode":
            assert isinstance(stream, AudioStream)
            copy: Stream = _add_encoded_stream(target, stream, kind)
        elif plan.how == "copy":
            copy = copy_stream(target, stream)
        else:
            copy = _copy_tags(target.add_mux_stream("subrip" if plan.how == "to_srt" else "mov_text"), stream)
        tracks.append(StreamMapping(source=stream, target=copy, how=plan.how, refused=plan.refused))
    return tracks, notices


def track_packets(
    source: InputContainer,
    tracks: list[StreamMapping],
    path: str | os.PathLike[str],
    excerpt: Excerpt | None = None,
) -> Iterator[tuple[Fraction, Packet]]:
    """Yields the packets of `tracks`, ready for the muxer, with their times in seconds.

    Args:
        source: the open file.
        tracks: from `open_tracks`.
        path: of `source`, for messages.
        excerpt: what is kept of the file; a packet belongs where it begins.

    Raises:
        InputError: the file is damaged.
    """
    if not tracks:
        return
    origin = read_origin(source)
    by_index = {track.source.index: track for track in tracks}
    encoders = {track.source.index: _Encoder(track, origin, excerpt) for track in tracks if track.how == "encode"}
    counts = dict.fromkeys(by_index, -1)
    with translate_read_errors(path, "a file with sound"):
        for packet in read_packets(source, [track.source for track in tracks], path):
            track = by_index[packet.stream.index]
            counts[track.source.index] += 1
            if track.how == "encode":
                yield from encoders[track.source.index].packets(packet)
            elif counts[track.source.index] in track.refused or packet.size <= (2 if track.how == "to_srt" else 0):
                continue
            elif packet.dts is not None:
                tick = packet.pts if packet.pts is not None else packet.dts
                shift = _shift(tick * packet.time_base - origin, excerpt)
                if shift is not None:
                    yield _retime(packet, track, round((origin + shift) / packet.time_base))
        for encoder in encoders.values():
            yield from encoder.finish()


def _shift(time: Fraction, excerpt: Excerpt | None) -> Fraction | None:
    return Fraction(0) if excerpt is None else excerpt.shift(time)


def _retime(packet: Packet, track: StreamMapping, offset: int) -> tuple[Fraction, Packet]:
    if track.how != "copy":
        packet = _with_data(packet, _convert_text(bytes(packet), track.how))
    elif (samples := silence_non_numbers(packet)) is not None:
        packet = _with_data(packet, samples)
    if packet.pts is not None:
        packet.pts -= offset
    assert packet.dts is not None
    packet.dts -= offset
    packet.stream = track.target
    return packet.dts * packet.time_base, packet


def _convert_text(data: bytes, how: str) -> bytes:
    """The same line of text: mov_text puts two bytes of length before it (and styles after it), SubRip nothing.

    An empty mov_text packet only ends the line before it; SubRip has none, so that the caller leaves it out.
    """
    if how == "to_srt":
        (length,) = struct.unpack(">H", data[:2])
        return data[2 : 2 + length]
    return struct.pack(">H", len(data)) + data


def _with_data(packet: Packet, data: bytes) -> Packet:
    """A packet with other content at the same time."""
    copy = Packet(data)
    copy.pts, copy.dts, copy.duration, copy.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return copy


class _Encoder:
    """Decodes sound that the container does not accept and encodes it."""

    def __init__(self, track: StreamMapping, origin: Fraction, excerpt: Excerpt | None) -> None:
        assert isinstance(track.source, AudioStream)
        assert isinstance(track.target, AudioStream)
        self._source, self._target = track.source, track.target
        self._origin, self._excerpt = origin, excerpt
        context = self._target.codec_context
        self._decoder = SoundDecoder(self._source)
        self._resampler = SoundResampler(
            format=context.format.name, layout=context.layout.name, rate=context.sample_rate
        )
        self._position: int | None = None

    def packets(self, packet: Packet | None) -> Iterator[tuple[Fraction, Packet]]:
        """Encodes what `packet` holds."""
        for frame in self._decoder.decode(packet):
            assert frame.pts is not None
            assert frame.time_base is not None
            shift = _shift(frame.pts * frame.time_base - self._origin, self._excerpt)
            if shift is not None:
                frame.pts -= round((self._origin + shift) / frame.time_base)
                yield from self._encode(self._resampler.resample(frame))

    def finish(self) -> Iterator[tuple[Fraction, Packet]]:
        """Encodes what is left."""
        yield from self.packets(None)
        yield from self._encode(self._resampler.resample(None))
        yield from self._with_times(self._target.encode(None))

    def _encode(self, pieces: Iterator[av.AudioFrame]) -> Iterator[tuple[Fraction, Packet]]:
        """Encodes pieces one after the other; gaps are silent, and what would overlap is put behind."""
        for piece in pieces:
            base = Fraction(1, piece.sample_rate)
            start = self._position or 0
            if piece.pts is not None and piece.time_base is not None:
                stated = round(piece.pts * piece.time_base / base)
                start = stated if self._position is None else start
                if stated > start + piece.sample_rate // 50:
                    for silence in silent_frames(piece, start, stated):
                        yield from self._with_times(self._target.encode(silence))
                    start = stated
            piece.pts, piece.time_base = start, base
            self._position = start + piece.samples
            yield from self._with_times(self._target.encode(piece))

    def _with_times(self, packets: list[Packet]) -> Iterator[tuple[Fraction, Packet]]:
        for packet in packets:
            assert packet.dts is not None
            yield packet.dts * packet.time_base, packet


def container_accepts(kind: str, stream: Stream) -> bool:
    """True when a container of `kind` accepts the packets of `stream`, by writing a header to memory."""
    try:
        trial = av.open(NullFile(), "w", format=kind)
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _is_pcm_in_mp4(kind: str, stream: AudioStream) -> bool:
    return kind == "mp4" and stream.codec_context.name.startswith("pcm_")


def copy_stream(target: OutputContainer, stream: Stream) -> Stream:
    """Makes a stream in `target` for the packets of `stream`, with its language, title and role."""
    copy = target.add_stream_from_template(stream, opaque=True)
    return _copy_tags(copy, stream)


def _copy_tags(copy: Stream, stream: Stream) -> Stream:
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _add_encoded_stream(target: OutputContainer, stream: AudioStream, kind: str) -> Stream:
    rate = stream.codec_context.sample_rate
    codec, rates = ("libopus", (48000,)) if kind == "webm" else ("aac", _AAC_RATES)
    if kind == "wav":
        codec, rates = "pcm_s16le", (rate,)
    copy = target.add_stream(codec, rate=rate if rate in rates else 48000)
    assert isinstance(copy, AudioStream)
    copy.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    if kind != "wav":
        copy.codec_context.bit_rate = BIT_RATE
    return _copy_tags(copy, stream)
