"""Rows of docs/media.md, «Times, sound and damage»."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from facegen.media import read_audio
from tests.factories import moving_portrait, write_clip
from tests.media.clips import named
from tests.media.reading import shown_times, sound_packets
from tests.media.table import Row


def _is_in_step(source: Path, output: Path) -> None:
    """Every frame is shown when it was, and so is every packet of sound."""
    assert shown_times(output) == shown_times(source)
    assert sound_packets(output) == sound_packets(source)


def _late_portrait(folder: Path) -> Path:
    """A head whose picture begins at half a second."""
    path = folder / "late.mp4"
    with (
        av.open(str(write_clip(folder / "begins.mp4", moving_portrait(30, 192)))) as source,
        av.open(str(path), "w") as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                offset = round(Fraction(1, 2) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                target.mux(packet)
    return path


def _begins_with_its_words(source: Path, output: Path) -> None:
    """The picture begins at 0, and what is heard then is the beginning of words.wav."""
    assert shown_times(source)[0] == Fraction(1, 2)
    assert [time - Fraction(1, 2) for time in shown_times(source)] == shown_times(output)
    with wave.open(str(output.parent / "words.wav")) as file:
        words = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32)
    heard = read_audio(output)
    length = min(len(words), len(heard))
    lags = np.fft.irfft(np.fft.rfft(heard[:length], 2 * length) * np.conj(np.fft.rfft(words[:length], 2 * length)))
    assert abs((int(np.argmax(lags)) + length) % (2 * length) - length) <= 80  # 5 ms


ROWS: tuple[Row, ...] = (
    Row(
        input="variable frame rate",
        result="every frame keeps its own time",
        make=lambda folder: named("variable_rate").write(folder),
        check=_is_in_step,
    ),
    Row(
        input="a picture that begins later than 0",
        result="begins as late",
        make=lambda folder: named("late_start").write(folder),
        check=_is_in_step,
    ),
    Row(
        input="a video that begins at 0.5 s, given other words",
        result="picture and words begin together at 0",
        make=_late_portrait,
        check=_begins_with_its_words,
        jobs=("talk", "other-words"),
    ),
)
