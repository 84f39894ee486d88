"""Sound, subtitles and chapters go from one container into another, or a notice says what became of them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facegen.media import SegmentWriter, join_segments, probe, read_audio, read_frames, replace_sound, write_video
from tests.media.clips import Clip, named
from tests.media.reading import shown_times, sound_packets, sound_samples, subtitle_lines

LINES = ((0.0, 0.1, "One"), (0.1, 0.1, "Two, naïve"), (0.24, 0.2, "Three\nlines"))


def with_subtitles(clip: Path, output: Path, codec: str) -> Path:
    """A copy of `clip` with three lines of text and two chapters."""
    with av.open(str(clip)) as source, av.open(str(output), "w") as target:
        streams = {s.index: target.add_stream_from_template(s, opaque=True) for s in source.streams}
        text = target.add_mux_stream(codec, time_base=Fraction(1, 1000))
        text.metadata["language"] = "fra"
        chapter = {"id": 1, "start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {"title": "First"}}
        target.set_chapters([chapter, {**chapter, "id": 2, "start": 200, "end": 480, "metadata": {"title": "Second"}}])
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
        for start, length, line in LINES:
            data = line.encode()
            packet = av.Packet(len(data).to_bytes(2, "big") + data if codec == "mov_text" else data)
            packet.time_base, packet.stream = Fraction(1, 1000), text
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round(length * 1000)
            target.mux(packet)
    return output


@pytest.mark.parametrize(("codec", "source"), [("mov_text", ".mp4"), ("subrip", ".mkv")])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_and_chapters_go_along(codec: str, source: str, suffix: str, tmp_path: Path) -> None:
    clip = with_subtitles(named("plain").write(tmp_path), tmp_path / f"text{source}", codec)
    output = tmp_path / f"out{suffix}"
    write_video(output, read_frames(clip), probe(clip), sound_from=clip)
    assert [stream.language for stream in probe(output).subtitles] == ["fra"]
    for (start, _), (_, _, line), (time, text) in zip(subtitle_lines(clip), LINES, subtitle_lines(output), strict=True):
        assert time == pytest.approx(start, abs=0.002)
        assert line in text
    with av.open(str(output)) as container:
        titles = [chapter["metadata"]["title"] for chapter in container.chapters()]
    assert titles == ["First", "Second"]


def test_sound_that_mp4_refuses_is_encoded_again_and_said_so(tmp_path: Path) -> None:
    clip = Clip(name="mulaw", suffix=".mov", sound=("pcm_mulaw", "aac")).write(tmp_path)
    output = tmp_path / "out.mp4"
    notices = write_video(output, read_frames(clip), probe(clip), sound_from=clip)
    assert len(notices) == 1
    assert "Sound track 1" in notices[0]
    assert "pcm_mulaw" in notices[0]
    assert [sound.codec for sound in probe(output).audio] == ["aac", "aac"]
    assert sound_packets(output)[1] == sound_packets(clip)[1]
    before, after = read_audio(clip), read_audio(output)
    shared = min(before.size, after.size)
    assert abs(before.size - after.size) < 1600
    middle = slice(shared // 4, 3 * shared // 4)
    assert np.corrcoef(before[middle], after[middle])[0, 1] > 0.98


def test_language_and_role_of_a_track_are_kept(tmp_path: Path) -> None:
    plain, clip = named("two_tracks").write(tmp_path), tmp_path / "tagged.mp4"
    with av.open(str(plain)) as source, av.open(str(clip), "w") as target:
        streams = {s.index: target.add_stream_from_template(s, opaque=True) for s in source.streams}
        for stream, language in zip(list(streams.values())[1:], ("eng", "deu"), strict=True):
            stream.metadata["language"] = language
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    write_video(tmp_path / "out.mp4", read_frames(clip), probe(clip), sound_from=clip)
    assert [sound.language for sound in probe(tmp_path / "out.mp4").audio] == ["eng", "deu"]


def test_read_audio_keeps_time(tmp_path: Path) -> None:
    late = read_audio(named("late_sound").write(tmp_path))
    silent = np.flatnonzero(np.abs(late) > 0.02)[0] / 16000
    assert silent == pytest.approx(0.2, abs=0.03)
    plain = read_audio(named("plain").write(tmp_path))
    assert plain.dtype == np.float32
    assert plain.size / 16000 == pytest.approx(0.48, abs=0.05)
    pitch = np.argmax(np.abs(np.fft.rfft(plain[2000:6000]))) * 16000 / 4000
    assert pitch == pytest.approx(300, abs=5)
    assert np.abs(plain).max() <= 1.0


def test_samples_survive_a_copy(tmp_path: Path) -> None:
    clip = named("plain").write(tmp_path)
    write_video(tmp_path / "out.mp4", read_frames(clip), probe(clip), sound_from=clip)
    assert np.array_equal(sound_samples(clip), sound_samples(tmp_path / "out.mp4"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_subtitles_and_chapters_follow_frames_that_are_left_out(suffix: str, tmp_path: Path) -> None:
    """Frames 3 to 6, from 0.12 to 0.28 s, are left out."""
    clip = with_subtitles(named("plain").write(tmp_path), tmp_path / "text.mp4", "mov_text")
    info, output, step = probe(clip), tmp_path / f"out{suffix}", Fraction(1, 25)
    kept = [frame for frame in read_frames(clip) if not 3 <= frame.index < 7]
    gap = round(4 * step / info.time_base)
    with SegmentWriter(tmp_path / "segments", like=info) as writer:
        for frame in kept:
            writer.write(frame if frame.index < 3 else frame.replace(pts=frame.pts - gap))
    spans = [(0 * step, 3 * step), (7 * step, 12 * step)]
    join_segments(writer.segments, output, like=info, sound_from=clip, spans=spans)
    assert [float(time) for time in shown_times(output)] == pytest.approx([n / 25 for n in range(8)], abs=0.001)
    assert [time for time, text in subtitle_lines(output) if text.strip("\0")] == pytest.approx([0.0, 0.1], abs=0.002)
    with av.open(str(output)) as container:
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
    assert [title for *_, title in chapters] == ["First", "Second"]
    assert [time for begin, end, _ in chapters for time in (begin, end)] == pytest.approx(
        [0, 0.12, 0.12, 0.32], abs=1e-3
    )
    assert len(read_audio(output)) / 16000 == pytest.approx(0.32, abs=0.05)


def test_sound_that_ends_before_the_picture_is_said(tmp_path: Path) -> None:
    short = named("plain").write(tmp_path)
    clip = Clip(name="long", pts=tuple(range(0, 30 * 512, 512)), sound=()).write(tmp_path)
    notices = write_video(tmp_path / "out.mp4", read_frames(clip), probe(clip), sound_from=short)
    assert notices == ("Sound track 1 ends 0.7 s before the picture.",)


def test_bare_samples_that_are_no_numbers_are_copied_as_silence(tmp_path: Path) -> None:
    samples = np.full(24000, 0.25, "<f4")
    samples[3000], samples[4000:4100] = np.inf, np.nan
    sound = tmp_path / "holes.mkv"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
    for suffix in (".mkv", ".mp4"):
        replace_sound(named("silent").write(tmp_path), sound, tmp_path / f"out{suffix}")
        assert np.abs(sound_samples(tmp_path / f"out{suffix}")).max() < 0.4
    heard = sound_samples(tmp_path / "out.mkv").ravel()
    assert probe(tmp_path / "out.mkv").audio[0].codec == "pcm_f32le"
    assert np.array_equal(heard, np.where(np.isfinite(samples), samples, 0)[: heard.size])
