"""Sound and subtitle streams from one file to another: packets are copied where the container accepts them."""

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from facegen.media.info import read_origin
from facegen.media.source import translate_read_errors

BIT_RATE = 192_000
"""Bits a second of sound that had to be encoded again."""


_AAC_RATES = (96000, 48000, 44100, 32000, 24000, 22050, 16000)


@dataclass(frozen=True, eq=False, kw_only=True)
class StreamMapping:
    """A stream of the source and the stream of the output that it is written to."""

    source: Stream
    target: Stream
    how: str
    """`copy`, `encode` (sound to AAC, in WebM to Opus), `to_srt` or `to_mov_text` (the same text in another packet format)."""


def open_tracks(
    source: InputContainer, target: OutputContainer, kind: str, *, for_browsers: bool = False
) -> tuple[list[StreamMapping], list[str]]:
    """Makes a stream in `target` (a container of `kind`) for every sound and subtitle stream of `source`.

    Args:
        source: the open file.
        target: the container that is written.
        kind: its format.
        for_browsers: whether bare samples in mp4, which browsers do not play, are encoded, too.

    Returns:
        The tracks, and a notice for each stream that changes or is left out.
    """
    tracks: list[StreamMapping] = []
    notices: list[str] = []
    for number, stream in enumerate(source.streams.audio, 1):
        if stream.codec_context is None:
            notices.append(f"Sound track {number} is in an unknown codec and was left out.")
        elif container_accepts(kind, stream) and not (
            _is_pcm_in_mp4(kind, stream) and (for_browsers or _has_no_layout(stream))
        ):
            tracks.append(StreamMapping(source=stream, target=copy_stream(target, stream), how="copy"))
        else:
            codec = stream.codec_context.codec.canonical_name
            tracks.append(StreamMapping(source=stream, target=_add_encoded_stream(target, stream, kind), how="encode"))
            mixed = " and mixed to stereo" if stream.codec_context.channels > 2 else ""
            notices.append(
                f"Sound track {number} was encoded again as {'Opus' if kind == 'webm' else 'AAC'} at 192 kbit/s{mixed}: {_encoding_reason(kind, stream, codec)}."
            )
    for number, text in enumerate(source.streams.subtitles, 1):
        track = _map_subtitles(text, target, kind)
        if track is None:
            notices.append(f"Subtitle track {number} was left out: {kind} does not take its kind.")
        else:
            tracks.append(track)
    if source.streams.data or source.streams.attachments:
        notices.append("Data tracks and attachments (time codes, sensors, fonts) were left out.")
    return tracks, notices


def track_packets(
    source: InputContainer,
    tracks: list[StreamMapping],
    path: str | os.PathLike[str],
    window: tuple[Fraction, Fraction] | None = None,
) -> Iterator[tuple[Fraction, Packet]]:
    """Yields the packets of `tracks`, ready for the muxer, with their times in seconds.

    Args:
        source: the open file.
        tracks: from `open_tracks`.
        path: of `source`, for messages.
        window: first and last second to keep, the first becoming 0; a packet belongs where it begins.

    Raises:
        InputError: the file is damaged.
    """
    if not tracks:
        return
    origin = read_origin(source)
    by_index = {track.source.index: track for track in tracks}
    encoders = {track.source.index: _Encoder(track, origin, window) for track in tracks if track.how == "encode"}
    with translate_read_errors(path, "a file with sound"):
        for packet in source.demux([track.source for track in tracks]):
            track = by_index[packet.stream.index]
            if track.how == "encode":
                yield from encoders[packet.stream.index].packets(packet)
            elif packet.size > (2 if track.how == "to_srt" else 0) and packet.dts is not None:
                tick = packet.pts if packet.pts is not None else packet.dts
                if _is_within(tick * packet.time_base - origin, window):
                    yield _retime(packet, track, round(_time_offset(origin, window) / packet.time_base))


def _is_within(time: Fraction, window: tuple[Fraction, Fraction] | None) -> bool:
    return window is None or window[0] <= time < window[1]


def _time_offset(origin: Fraction, window: tuple[Fraction, Fraction] | None) -> Fraction:
    return origin if window is None else origin + window[0]


def _retime(packet: Packet, track: StreamMapping, offset: int) -> tuple[Fraction, Packet]:
    if track.how != "copy":
        packet = _convert_text(packet, track.how)
    if packet.pts is not None:
        packet.pts -= offset
    assert packet.dts is not None
    packet.dts -= offset
    packet.stream = track.target
    return packet.dts * packet.time_base, packet


def _convert_text(packet: Packet, how: str) -> Packet:
    """The same line of text: mov_text puts two bytes of length before it (and styles after it), SubRip nothing.

    An empty mov_text packet only ends the line before it; SubRip has none, so that the caller leaves it out.
    """
    data = bytes(packet)
    if how == "to_srt":
        (length,) = struct.unpack(">H", data[:2])
        data = data[2 : 2 + length]
    else:
        data = struct.pack(">H", len(data)) + data
    text = Packet(data)
    text.pts, text.dts, text.duration, text.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return text


class _Encoder:
    """Decodes sound that the container does not accept and encodes it."""

    def __init__(self, track: StreamMapping, origin: Fraction, window: tuple[Fraction, Fraction] | None) -> None:
        assert isinstance(track.source, AudioStream)
        assert isinstance(track.target, AudioStream)
        self._source, self._target = track.source, track.target
        self._origin, self._window = origin, window
        context = self._target.codec_context
        self._resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)

    def packets(self, packet: Packet) -> Iterator[tuple[Fraction, Packet]]:
        """Encodes what `packet` holds; an empty one flushes."""
        for frame in self._source.decode(packet):
            assert frame.pts is not None
            assert frame.time_base is not None
            if _is_within(frame.pts * frame.time_base - self._origin, self._window):
                frame.pts -= round(_time_offset(self._origin, self._window) / frame.time_base)
                for piece in self._resampler.resample(frame):
                    yield from self._with_times(self._target.encode(piece))
        if not packet.size:
            for piece in self._resampler.resample(None):
                yield from self._with_times(self._target.encode(piece))
            yield from self._with_times(self._target.encode(None))

    def _with_times(self, packets: list[Packet]) -> Iterator[tuple[Fraction, Packet]]:
        for packet in packets:
            assert packet.dts is not None
            yield packet.dts * packet.time_base, packet


def container_accepts(kind: str, stream: Stream) -> bool:
    """True when a container of `kind` accepts the packets of `stream`, by writing a header to memory."""
    trial = av.open(io.BytesIO(), "w", format=kind)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _encoding_reason(kind: str, stream: AudioStream, codec: str) -> str:
    if container_accepts(kind, stream):
        return f"{codec} in {kind} is not played by browsers (.mov and .mkv keep it as it is)"
    return f"{kind} does not take {codec}"


def _is_pcm_in_mp4(kind: str, stream: AudioStream) -> bool:
    return kind == "mp4" and stream.codec_context.name.startswith("pcm_")


def _has_no_layout(stream: AudioStream) -> bool:
    """Channels without a layout (many WAV files): the header is written, but mp4 cannot be finished."""
    return stream.codec_context.layout.name.endswith("channels")


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
    copy = target.add_stream(codec, rate=rate if rate in rates else 48000)
    assert isinstance(copy, AudioStream)
    copy.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    copy.codec_context.bit_rate = BIT_RATE
    return _copy_tags(copy, stream)


def _map_subtitles(stream: Stream, target: OutputContainer, kind: str) -> StreamMapping | None:
    if stream.codec_context is None:
        return None
    if container_accepts(kind, stream):
        return StreamMapping(source=stream, target=copy_stream(target, stream), how="copy")
    name = stream.codec_context.codec.canonical_name
    if name == "mov_text" and kind == "matroska":
        return StreamMapping(source=stream, target=_copy_tags(target.add_mux_stream("subrip"), stream), how="to_srt")
    if name == "subrip" and kind != "matroska":
        return StreamMapping(
            source=stream, target=_copy_tags(target.add_mux_stream("mov_text"), stream), how="to_mov_text"
        )
    return None
