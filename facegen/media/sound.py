"""Decodes and resamples sound, also damaged sound: every frame has a timestamp, every sample is finite."""

import itertools
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet

from facegen.errors import InputError
from facegen.media.apart import apart, each_apart
from facegen.media.info import read_origin
from facegen.media.packets import read_packets
from facegen.media.source import display_name, open_input, translate_read_errors

_LOUDEST = 1e6
"""Samples of floating point beyond this, 1 being full scale, are no sound (nor are NaN and infinity): silence is heard."""

_FLOATS = {"pcm_f32le": "<f4", "pcm_f64le": "<f8", "pcm_f32be": ">f4", "pcm_f64be": ">f8"}


class SoundDecoder:
    """Decodes the packets of one stream in order; a packet that is damaged beyond decoding is left out.

    Attributes:
        failure: the last error of the decoder.
        is_empty: nothing was decoded so far.
    """

    def __init__(self, stream: AudioStream) -> None:
        self._stream = stream
        self._end: Fraction | None = None
        self.failure: av.error.FFmpegError | None = None
        self.is_empty = True

    def decode(self, packet: Packet | None) -> Iterator[av.AudioFrame]:
        """The frames of a packet, None for the last ones; those without a time follow the frame before them."""
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError as error:
            self.failure = error
            return
        for frame in frames:
            if not frame.samples:
                continue
            # a resampler takes the unit of its first frame for that of all
            time_base = frame.time_base or self._stream.time_base or Fraction(1, frame.sample_rate)
            if frame.pts is None:
                frame.pts = round(self._next_start(packet) / time_base)
            frame.time_base = time_base
            self._end = frame.pts * time_base + Fraction(frame.samples, frame.sample_rate)
            self.is_empty = False
            yield _with_finite_samples(frame)

    def _next_start(self, packet: Packet | None) -> Fraction:
        if self._end is not None:
            return self._end
        if packet is not None and packet.pts is not None:
            return packet.pts * packet.time_base
        if self._stream.start_time is not None and self._stream.time_base is not None:
            return self._stream.start_time * self._stream.time_base
        return Fraction(0)


class SoundResampler:
    """Brings frames to one format, layout and rate, also where those of the source change on the way."""

    def __init__(self, *, format: str, layout: str, rate: int) -> None:
        self._target = {"format": format, "layout": layout, "rate": rate}
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[str, str, int] | None = None

    def resample(self, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
        """What a frame becomes, None for the rest."""
        kind = None if frame is None else (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is not None and kind != self._kind:
            yield from self._resampler.resample(None)
            self._resampler = None
        if frame is not None:
            if self._resampler is None:
                self._resampler, self._kind = av.AudioResampler(**self._target), kind  # type: ignore[arg-type]
            yield from self._resampler.resample(frame)


def silent_frames(like: av.AudioFrame, start: int, end: int) -> Iterator[av.AudioFrame]:
    """Silence from sample `start` up to `end`, in frames of at most a second, in the format of `like`."""
    for first in range(start, end, like.sample_rate):
        count = min(like.sample_rate, end - first)
        frame = av.AudioFrame(format=like.format.name, layout=like.layout.name, samples=count)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts, frame.time_base = like.sample_rate, first, Fraction(1, like.sample_rate)
        yield frame


def silence_non_numbers(packet: Packet) -> bytes | None:
    """The content of a packet of bare floating-point samples with silence where they are no sound; None where all are."""
    kind = _FLOATS.get(packet.stream.codec_context.name) if packet.stream.type == "audio" else None
    if kind is None:
        return None
    samples = np.frombuffer(bytes(packet), kind, packet.size // np.dtype(kind).itemsize)
    is_sound = np.abs(samples) < _LOUDEST
    return None if is_sound.all() else np.where(is_sound, samples, 0).astype(kind).tobytes()


def _with_finite_samples(frame: av.AudioFrame) -> av.AudioFrame:
    if not frame.format.name.startswith(("flt", "dbl")):
        return frame
    samples = frame.to_ndarray()
    is_sound = np.abs(samples) < _LOUDEST
    if is_sound.all():
        return frame
    for plane, values in zip(frame.planes, np.where(is_sound, samples, 0).astype(samples.dtype), strict=True):
        plane.update(np.ascontiguousarray(values).tobytes().ljust(plane.buffer_size, b"\0"))
    return frame


@each_apart
def read_audio_windows(
    path: str | os.PathLike[str], rate: int = 16000, *, window_seconds: float = 10.0
) -> Iterator[np.ndarray]:
    """Decodes the first sound track chunk by chunk; memory does not grow with its length.

    Sample 0 is time 0 of the clip: a track that begins later starts with silence, what lies before 0 is left out, and
    gaps are filled with silence.

    Args:
        path: a sound or video file.
        rate: samples a second of the result.
        window_seconds: length of a chunk; the last one is shorter.

    Yields:
        (n,) float32 mono in [-1, 1].

    Raises:
        InputError: the file cannot be read or has no sound.
    """
    size = max(1, round(window_seconds * rate))
    waiting: list[np.ndarray] = []
    held = 0
    for chunk in _decode(path, rate):
        waiting.append(chunk)
        held += chunk.size
        while held >= size:
            samples = np.concatenate(waiting)
            yield samples[:size]
            waiting, held = [samples[size:]], held - size
    if held:
        yield np.concatenate(waiting)


def read_audio(path: str | os.PathLike[str], rate: int = 16000) -> np.ndarray:
    """Decodes the whole first sound track; see `read_audio_windows`. Returns (n,) float32 mono in [-1, 1]."""
    return np.concatenate([*read_audio_windows(path, rate), np.zeros(0, np.float32)])


@apart
def stated_seconds(path: str | os.PathLike[str]) -> float:
    """How long a sound (or a video) says it is, without decoding it; 0 where it does not say."""
    with open_input(path, "sound") as container:
        return (container.duration or 0) / av.time_base


def _decode(path: str | os.PathLike[str], rate: int) -> Iterator[np.ndarray]:
    with open_input(path, "sound") as container, translate_read_errors(path, "sound"):
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            raise InputError(f"Expected sound, found none in {display_name(path)}: give a file with a sound track.")
        stream = container.streams.audio[0]
        origin = read_origin(container)
        decoder = SoundDecoder(stream)
        position = 0
        for frame in _resample(decoder, read_packets(container, [stream], path), rate):
            samples = frame.to_ndarray()[0]
            if frame.pts is not None and frame.time_base is not None:
                start = round((Fraction(frame.pts) * frame.time_base - origin) * rate)
                if start > position + rate // 50:
                    yield np.zeros(start - position, np.float32)
                    position = start
                elif start < 0 and position == 0:
                    samples = samples[-start:]
            position += samples.size
            if samples.size:
                yield samples
        if decoder.is_empty and decoder.failure is not None:
            raise decoder.failure


def _resample(decoder: SoundDecoder, packets: Iterator[Packet], rate: int) -> Iterator[av.AudioFrame]:
    resampler = SoundResampler(format="fltp", layout="mono", rate=rate)
    for packet in itertools.chain(packets, (None,)):
        for frame in decoder.decode(packet):
            yield from resampler.resample(frame)
    yield from resampler.resample(None)
