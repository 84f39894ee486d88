"""Sound and subtitles from one file into another: packet for packet where the container takes them."""

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

from facegen.media.info import origin_of
from facegen.media.source import reading

AAC_BIT_RATE = 192_000
"""Bits a second of sound that had to be encoded again."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Track:
    """A stream of the source and the one it goes to."""

    source: Stream
    target: Stream
    how: str
    """`copy`, `encode` (sound to AAC), `to_srt` or `to_mov_text` (the same text in another wrapping)."""


def open_tracks(
    source: InputContainer, target: OutputContainer, kind: str, *, for_browsers: bool = False
) -> tuple[list[Track], list[str]]:
    """Makes a stream in `target` (a container of `kind`) for every sound and subtitle stream of `source`.

    Args:
        source: the open file.
        target: the container that is written.
        kind: its format.
        for_browsers: whether bare samples in mp4, which browsers do not play, are encoded, too.

    Returns:
        The tracks, and a notice for each stream that changes or is left out.
    """
    tracks: list[Track] = []
    notices: list[str] = []
    for number, stream in enumerate(source.streams.audio, 1):
        if stream.codec_context is None:
            notices.append(f"Sound track {number} is in an unknown codec and was left out.")
        elif takes(kind, stream) and not (_is_bare_in_mp4(kind, stream) and (for_browsers or _has_no_layout(stream))):
            tracks.append(Track(source=stream, target=copy_stream(target, stream), how="copy"))
        else:
            codec = stream.codec_context.codec.canonical_name
            tracks.append(Track(source=stream, target=_aac_like(target, stream), how="encode"))
            mixed = " and mixed to stereo" if stream.codec_context.channels > 2 else ""
            notices.append(
                f"Sound track {number} was encoded again as AAC at 192 kbit/s{mixed}: {_refusal(kind, stream, codec)}."
            )
    for number, text in enumerate(source.streams.subtitles, 1):
        track = _subtitle_track(text, target, kind)
        if track is None:
            notices.append(f"Subtitle track {number} was left out: {kind} does not take its kind.")
        else:
            tracks.append(track)
    if source.streams.data or source.streams.attachments:
        notices.append("Data tracks and attachments (time codes, sensors, fonts) were left out.")
    return tracks, notices


def track_packets(
    source: InputContainer,
    tracks: list[Track],
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
    origin = origin_of(source)
    by_index = {track.source.index: track for track in tracks}
    encoders = {track.source.index: _Encoder(track, origin, window) for track in tracks if track.how == "encode"}
    with reading(path, "a file with sound"):
        for packet in source.demux([track.source for track in tracks]):
            track = by_index[packet.stream.index]
            if track.how == "encode":
                yield from encoders[packet.stream.index].packets(packet)
            elif packet.size > (2 if track.how == "to_srt" else 0) and packet.dts is not None:
                tick = packet.pts if packet.pts is not None else packet.dts
                if _is_within(tick * packet.time_base - origin, window):
                    yield _moved(packet, track, round(_shift(origin, window) / packet.time_base))


def _is_within(time: Fraction, window: tuple[Fraction, Fraction] | None) -> bool:
    return window is None or window[0] <= time < window[1]


def _shift(origin: Fraction, window: tuple[Fraction, Fraction] | None) -> Fraction:
    return origin if window is None else origin + window[0]


def _moved(packet: Packet, track: Track, offset: int) -> tuple[Fraction, Packet]:
    if track.how != "copy":
        packet = _rewrapped(packet, track.how)
    if packet.pts is not None:
        packet.pts -= offset
    assert packet.dts is not None
    packet.dts -= offset
    packet.stream = track.target
    return packet.dts * packet.time_base, packet


def _rewrapped(packet: Packet, how: str) -> Packet:
    """The same line of text: mov_text puts two bytes of length before it (and styles after it), SubRip nothing.

    An empty mov_text packet, which only ends the line before it, has no place in SubRip and does not come here.
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
    """Sound that the container refuses, decoded and encoded again as AAC."""

    def __init__(self, track: Track, origin: Fraction, window: tuple[Fraction, Fraction] | None) -> None:
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
                frame.pts -= round(_shift(self._origin, self._window) / frame.time_base)
                for piece in self._resampler.resample(frame):
                    yield from self._timed(self._target.encode(piece))
        if not packet.size:
            for piece in self._resampler.resample(None):
                yield from self._timed(self._target.encode(piece))
            yield from self._timed(self._target.encode(None))

    def _timed(self, packets: list[Packet]) -> Iterator[tuple[Fraction, Packet]]:
        for packet in packets:
            assert packet.dts is not None
            yield packet.dts * packet.time_base, packet


def takes(kind: str, stream: Stream) -> bool:
    """True when a container of `kind` takes the packets of `stream`: asked by writing a header to memory."""
    trial = av.open(io.BytesIO(), "w", format=kind)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _refusal(kind: str, stream: AudioStream, codec: str) -> str:
    if takes(kind, stream):
        return f"{codec} in {kind} is not played by browsers (.mov and .mkv keep it as it is)"
    return f"{kind} does not take {codec}"


def _is_bare_in_mp4(kind: str, stream: AudioStream) -> bool:
    return kind == "mp4" and stream.codec_context.name.startswith("pcm_")


def _has_no_layout(stream: AudioStream) -> bool:
    """Channels whose places are not named (many WAV files): the header is written, but mp4 cannot be finished."""
    return stream.codec_context.layout.name.endswith("channels")


def copy_stream(target: OutputContainer, stream: Stream) -> Stream:
    """Makes a stream in `target` for the packets of `stream`, with its language, title and role."""
    copy = target.add_stream_from_template(stream, opaque=True)
    return _tagged(copy, stream)


def _tagged(copy: Stream, stream: Stream) -> Stream:
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _aac_like(target: OutputContainer, stream: AudioStream) -> Stream:
    rate = stream.codec_context.sample_rate
    copy = target.add_stream("aac", rate=rate if rate in (96000, 48000, 44100, 32000, 24000, 22050, 16000) else 48000)
    assert isinstance(copy, AudioStream)
    copy.codec_context.layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    copy.codec_context.bit_rate = AAC_BIT_RATE
    return _tagged(copy, stream)


def _subtitle_track(stream: Stream, target: OutputContainer, kind: str) -> Track | None:
    if stream.codec_context is None:
        return None
    if takes(kind, stream):
        return Track(source=stream, target=copy_stream(target, stream), how="copy")
    name = stream.codec_context.codec.canonical_name
    if name == "mov_text" and kind == "matroska":
        return Track(source=stream, target=_tagged(target.add_mux_stream("subrip"), stream), how="to_srt")
    if name == "subrip" and kind != "matroska":
        return Track(source=stream, target=_tagged(target.add_mux_stream("mov_text"), stream), how="to_mov_text")
    return None
