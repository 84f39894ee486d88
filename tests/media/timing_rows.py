"""Rows of docs/media.md, «Times, sound and damage»."""

import itertools
import struct
import wave
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from facegen.media import frame_times, probe, read_audio, read_frames
from tests.factories import gradient_rgb, moving_portrait, write_clip
from tests.media.clips import named
from tests.media.reading import shown_times, sound_packets, sound_samples
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


def _joined_parts(folder: Path) -> Path:
    """A head in two transport streams of different sizes, one behind the other: both clocks begin anew."""
    parts = [write_clip(folder / f"{size}.ts", moving_portrait(8, size), has_sound=True) for size in (192, 96)]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def _parts_follow_each_other(source: Path, output: Path) -> None:
    if output.is_dir():
        assert len(list(output.glob("*_0.*"))) == 16
        return
    times = shown_times(output)
    assert len(times) == 16
    assert all(Fraction(3, 100) < after - before < Fraction(1, 5) for before, after in itertools.pairwise(times))
    assert {frame.size_hw for frame in read_frames(output)} == {(192, 192)}
    heard = len(read_audio(output)) / 16000
    assert abs(heard - float(times[-1])) < 0.15


def _transport_without(folder: Path, choose: Callable[[list[int]], set[int]], pid: int = 257) -> Path:
    """A transport stream that lost some packets of 188 bytes, chosen among those of one stream (257 is the sound)."""
    data = replace(named("transport"), pts=tuple(range(0, 30 * 3600, 3600))).write(folder).read_bytes()
    packets = [data[begin : begin + 188] for begin in range(0, len(data), 188)]
    own = [n for n, packet in enumerate(packets) if (packet[1] & 0x1F) << 8 | packet[2] == pid]
    lost = choose(own)
    path = folder / "lost.ts"
    path.write_bytes(b"".join(packet for number, packet in enumerate(packets) if number not in lost))
    return path


def _keeps_the_picture(source: Path, output: Path) -> None:
    """All frames are there, and sound for most of the time."""
    assert len(shown_times(output)) == len(shown_times(source))
    assert sum(len(track) for track in sound_packets(output)) > 20


def _is_heard(source: Path, output: Path) -> None:
    """The clip's tone from beginning to end, beside its picture."""
    before, after = read_audio(source), read_audio(output)
    assert abs(len(before) - len(after)) < 1600
    for samples in (before, after):
        assert np.abs(samples[800:6000]).max() > 0.1
    start = shown_times(source)[0]
    assert np.allclose(np.array(shown_times(output), float), np.array(shown_times(source), float), atol=1e-3), start


def _dv_camera(folder: Path) -> Path:
    """Ten frames as a DV camera records them."""
    path = folder / "camera.dv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("dvvideo", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 720, 576, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        assert isinstance(sound, av.AudioStream)
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(gradient_rgb(576, 720, number / 24), format="rgb24")
            container.mux(video.encode(picture))
            tone = (6000 * np.sin(2 * np.pi * 300 * np.arange(1920) / 48000)).astype(np.int16)
            chunk = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
            chunk.sample_rate = 48000
            container.mux(sound.encode(chunk))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return path


def _has_25_frames_a_second(source: Path, output: Path) -> None:
    assert probe(source).frame_rate == probe(output).frame_rate == 25
    assert shown_times(output) == [Fraction(number, 25) for number in range(10)]


def _cut_off_fragments(folder: Path) -> Path:
    """A recording in fragments that was broken off."""
    path = folder / "broken_off.mp4"
    options = {"movflags": "frag_keyframe+empty_moov"}
    whole = replace(named("plain"), pts=tuple(range(0, 30 * 512, 512))).write(folder)
    with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
        copies = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def _plays_what_is_there(source: Path, output: Path) -> None:
    assert 5 < len(list(read_frames(source))) == len(shown_times(output)) == len(frame_times(source)[0])
    assert len(read_audio(output)) > 4000


def _float_wave_with_holes(folder: Path) -> Path:
    """Two seconds of a tone in floating point, with samples that are no number and one that is infinite."""
    samples = (0.3 * np.sin(2 * np.pi * 300 * np.arange(32000) / 16000)).astype("<f4")
    samples[5000:5200], samples[[3000, 9000]] = np.nan, np.inf
    data = samples.tobytes()
    header = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 3, 1, 16000, 64000, 4, 32)
    path = folder / "holes.wav"
    path.write_bytes(header + struct.pack("<4sI", b"data", len(data)) + data)
    return path


def _holes_are_silent(source: Path, output: Path) -> None:
    heard = np.load(output)
    assert heard.shape == (32000,)
    assert not heard[5000:5200].any()
    assert not heard[[3000, 9000]].any()
    assert np.abs(heard).max() < 0.31


def _copies_finite_samples(source: Path, output: Path) -> None:
    assert [sound.codec for sound in probe(output).audio] == ["pcm_f32le"]
    assert np.abs(sound_samples(output)).max() < 0.31


def _is_played_by_browsers(source: Path, output: Path) -> None:
    assert [sound.codec for sound in probe(source).audio] == ["pcm_s16le"]
    assert [sound.codec for sound in probe(output).audio] == ["aac"]
    _is_heard(source, output)


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
    Row(
        input="picture size and clock change in the middle (two TS parts joined by `cat`)",
        result="one clip in the first size, scaled and centred on black; the parts follow each other",
        said="The picture changes its size on the way, from 192 x 192 to 96 x 96",
        make=_joined_parts,
        check=_parts_follow_each_other,
        jobs=("rewrite", "swap", "extract"),
    ),
    Row(
        input="MPEG-TS with one lost packet of sound",
        result="the damaged sound is left out, the rest copied",
        said="Sound track 1 is damaged: 1 of … packets were left out.",
        make=lambda folder: _transport_without(folder, lambda own: {own[len(own) // 2]}),
        check=_keeps_the_picture,
    ),
    Row(
        input="MPEG-TS that lost a third of its sound, into .mkv",
        result="the picture is kept, and what can be heard",
        said="Sound track 1 …packets",
        make=lambda folder: _transport_without(folder, lambda own: set(own[1::3])),
        check=_keeps_the_picture,
        suffix=".mkv",
    ),
    Row(
        input="WMA sound, some of whose frames carry no time",
        result="encoded as AAC, in step",
        said="Sound track 1 was encoded again as AAC at 192 kbit/s: mp4 does not take wmav2.",
        make=lambda folder: replace(named("matroska"), suffix=".wmv", codec="wmv2", sound=("wmav2",)).write(folder),
        check=_is_heard,
    ),
    Row(
        input="ADPCM sound",
        result="encoded as AAC, in step",
        said="Sound track 1 was encoded again as AAC at 192 kbit/s: mp4 does not take adpcm_ms.",
        make=lambda folder: replace(
            named("plain"), suffix=".avi", codec="mpeg4", time_base=Fraction(1, 25), pts=range(12), sound=("adpcm_ms",)
        ).write(folder),
        check=_is_heard,
    ),
    Row(
        input="bare samples (PCM) into .mp4",
        result="encoded as AAC; .mov and .mkv keep them",
        said="Sound track 1 was encoded again as AAC at 192 kbit/s: pcm_s16le in mp4 is not played by browsers",
        make=lambda folder: named("quicktime").write(folder),
        check=_is_played_by_browsers,
    ),
    Row(
        input="NaN and infinity in a float WAV",
        result="silence there",
        make=_float_wave_with_holes,
        check=_holes_are_silent,
        jobs=("hear",),
        suffix=".npy",
    ),
    Row(
        input="NaN and infinity in floating-point samples, copied into .mkv",
        result="silence there",
        make=_float_wave_with_holes,
        check=_copies_finite_samples,
        jobs=("replace-sound",),
        suffix=".mkv",
    ),
    Row(
        input="file of a DV camera",
        result="25 frames a second, whatever it states; progressive",
        said="interlaced",
        make=_dv_camera,
        check=_has_25_frames_a_second,
    ),
    Row(
        input="MPEG-TS that begins between two key frames",
        result="begins with the first frame that can be decoded",
        said="cannot be decoded without what came before",
        make=lambda folder: _transport_without(folder, lambda own: set(own[:4]), pid=256),
        check=_plays_what_is_there,
    ),
    Row(
        input="recording in MP4 fragments that was broken off",
        result="what is there is used",
        said="Sound track 1 is damaged",
        make=_cut_off_fragments,
        check=_plays_what_is_there,
    ),
)
