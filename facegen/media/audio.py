"""Reads the sound of any file as mono samples, synchronous with its picture."""

import itertools
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.packet import Packet

from facegen.errors import InputError
from facegen.media.info import read_origin
from facegen.media.packets import read_packets
from facegen.media.sound import SoundDecoder, SoundResampler
from facegen.media.source import display_name, open_input, translate_read_errors


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
