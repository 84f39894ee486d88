"""A clip decoded, pasted into, encoded and joined keeps its frames, times, size, tags and sound."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facegen.encoding import EncodeOptions
from facegen.errors import InputError, ResourceError
from facegen.media import (
    Frame,
    Patch,
    SegmentWriter,
    join_segments,
    last_index,
    list_segments,
    probe,
    read_frames,
    write_video,
)
from tests.factories import noise_rgb
from tests.media.clips import CLIPS, Clip, named
from tests.media.reading import end_of_picture, shown_times, sound_packets, sound_samples

SPOT = Patch(x=8, y=8, image_rgb=noise_rgb(16, 16), alpha=np.ones((16, 16), np.float32))


def through(path: Path, output: Path, **options: object) -> tuple[str, ...]:
    """The whole way: decode, paste, encode, join."""
    frames = (frame.paste([SPOT]) for frame in read_frames(path))
    return write_video(output, frames, probe(path), sound_from=path, **options)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_frames_times_size_tags_and_sound_stay(clip: Clip, tmp_path: Path) -> None:
    # bare samples are kept in .mov alone, see tests/media/timing_rows.py
    path, output = clip.write(tmp_path), tmp_path / ("out.mov" if clip.suffix == ".mov" else "out.mp4")
    assert through(path, output) == ()
    before, after = probe(path), probe(output)
    start = before.origin
    assert shown_times(output) == [time - start for time in shown_times(path)]
    assert (after.width, after.height, after.rotation_deg) == (before.width, before.height, 0)
    assert after.color == before.color
    assert after.bit_depth == before.bit_depth
    if clip.suffix == ".ts":  # mp4 takes the same sound without the seven bytes before each packet
        assert np.array_equal(sound_samples(output), sound_samples(path))
        return
    assert sound_packets(output) == sound_packets(path)
    if clip.suffix != ".mkv":
        assert end_of_picture(output) == end_of_picture(path)


@pytest.mark.parametrize("name", ["plain", "variable_rate", "late_sound", "ten_bit", "odd_size", "two_tracks"])
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_other_containers_keep_the_same(name: str, suffix: str, tmp_path: Path) -> None:
    path, output = named(name).write(tmp_path), tmp_path / f"out{suffix}"
    notices = through(path, output)
    tolerance = Fraction(0) if suffix == ".mov" else Fraction(1, 2000)
    for a, b in zip(shown_times(path), shown_times(output), strict=True):
        assert abs(a - b) <= tolerance
    for before, after in zip(sound_packets(path), sound_packets(output), strict=True):
        assert [data for _, data in before] == [data for _, data in after]
        assert all(abs(a - b) <= Fraction(1, 1000) for (a, _), (b, _) in zip(before, after, strict=True))
    assert [notice for notice in notices if "milliseconds" in notice] == list(notices)
    assert bool(notices) == (suffix == ".mkv")


def test_pixel_aspect_is_carried_and_turned(tmp_path: Path) -> None:
    clip = named("rotated_90").write(tmp_path)
    info = probe(clip)
    stretched = type(info)(**{**info.__dict__, "pixel_aspect": Fraction(3, 4)})
    write_video(tmp_path / "out.mp4", read_frames(clip), stretched)
    assert probe(tmp_path / "out.mp4").pixel_aspect == Fraction(3, 4)


def test_the_picture_outside_the_patch_is_the_one_that_went_in(tmp_path: Path) -> None:
    path, output = named("plain").write(tmp_path), tmp_path / "out.mp4"
    through(path, output, encode=EncodeOptions(crf=1))
    for before, after in zip(read_frames(path), read_frames(output), strict=True):
        error = np.abs(before.image_rgb[32:, 32:].astype(float) - after.image_rgb[32:, 32:])
        assert error.mean() < 1.5


@pytest.mark.parametrize("stop", [1, 4, 7, 11])
def test_going_on_after_a_stop_gives_the_same_file(stop: int, tmp_path: Path) -> None:
    # at other widths x264 reads beyond the rows of its macroblock tree, and not every run gives the same bits
    path = replace(named("variable_rate"), width=128, height=96).write(tmp_path)
    info = probe(path)
    with SegmentWriter(tmp_path / "whole", like=info, segment_frames=4) as writer:
        for frame in read_frames(path):
            writer.write(frame)
    folder = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt), SegmentWriter(folder, like=info, segment_frames=4) as writer:
        for frame in read_frames(path):
            if frame.index == stop:
                raise KeyboardInterrupt
            writer.write(frame)
    segments = list_segments(folder)
    assert len(list(folder.iterdir())) == len(segments)
    start = last_index(segments[-1]) + 1 if segments else 0
    with SegmentWriter(folder, like=info, segment_frames=4) as writer:
        for frame in read_frames(path, start_index=start):
            writer.write(frame)
    names = [segment.name for segment in list_segments(tmp_path / "whole")]
    assert names == [segment.name for segment in list_segments(folder)]
    assert names == ["00000000-00000003.nut", "00000004-00000007.nut", "00000008-00000011.nut"]
    outputs = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for source, output in zip((tmp_path / "whole", folder), outputs, strict=True):
        join_segments(list_segments(source), output, like=info, sound_from=path)
    pictures = [[f.planes[0].copy() for f in read_frames(output)] for output in outputs]
    assert all(np.array_equal(a, b) for a, b in zip(*pictures, strict=True))
    assert shown_times(outputs[0]) == shown_times(outputs[1]) == shown_times(path)
    assert sound_packets(outputs[0]) == sound_packets(outputs[1])


@pytest.mark.parametrize("name", ["plain", "late_start", "variable_rate"])
def test_a_piece_begins_at_zero_with_its_sound(name: str, tmp_path: Path) -> None:
    path, output = named(name).write(tmp_path), tmp_path / "out.mp4"
    frames = list(read_frames(path))[4:9]
    write_video(output, frames, probe(path), sound_from=path, is_trimmed=True)
    start = frames[0].pts * frames[0].time_base
    assert shown_times(output) == [frame.pts * frame.time_base - start for frame in frames]
    following = shown_times(path)[9]
    assert end_of_picture(output) == following - start
    wanted = [(t - start, data) for t, data in sound_packets(path)[0] if start <= t < following]
    (kept,) = sound_packets(output)
    assert [data for _, data in kept] == [data for _, data in wanted]
    assert all(abs(a - b) <= Fraction(1, 48000) for (a, _), (b, _) in zip(kept, wanted, strict=True))


def test_a_failing_source_leaves_no_file(tmp_path: Path) -> None:
    path, output = named("plain").write(tmp_path), tmp_path / "out" / "o.mp4"
    output.parent.mkdir()

    def broken() -> object:
        yield next(read_frames(path))
        raise InputError("the source broke")

    with pytest.raises(InputError, match="the source broke"):
        write_video(output, broken(), probe(path), sound_from=path)
    assert list(output.parent.iterdir()) == []


def test_a_lost_folder_surfaces_while_writing(tmp_path: Path) -> None:
    path, folder = named("plain").write(tmp_path), tmp_path / "segments"
    frames = list(read_frames(path)) * 4
    with pytest.raises(ResourceError), SegmentWriter(folder, like=probe(path), segment_frames=2, depth=1) as writer:
        for number, frame in enumerate(frames):
            if number == 4:
                folder.rename(tmp_path / "elsewhere")
            writer.write(frame)


def test_no_frames_is_said(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    with pytest.raises(InputError, match="at least one frame"):
        write_video(tmp_path / "out.mp4", iter(()), probe(path))


@pytest.mark.parametrize("options", [{"crf": 52}, {"crf": -1}, {"preset": "quick"}])
def test_settings_that_no_encoder_has_are_refused(options: dict, tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    with pytest.raises(InputError, match=next(iter(options))):
        write_video(tmp_path / "out.mp4", read_frames(path), probe(path), encode=EncodeOptions(**options))


def test_a_frame_of_another_size_is_a_bug(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    small = Frame.from_picture(noise_rgb(8, 8), index=0, pts=0, time_base=Fraction(1, 25))
    with pytest.raises(ValueError, match="Expected frames of"):
        write_video(tmp_path / "out.mp4", [small], probe(path))


def test_output_begins_with_its_table_of_contents(tmp_path: Path) -> None:
    path, output = named("plain").write(tmp_path), tmp_path / "out.mp4"
    through(path, output)
    data = output.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")


def test_tags_are_kept_and_added(tmp_path: Path) -> None:
    path = tmp_path / "tagged.mp4"
    with av.open(str(named("plain").write(tmp_path))) as source, av.open(str(path), "w") as target:
        target.metadata.update({"title": "A title", "comment": "old"})
        streams = {s.index: target.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    write_video(
        tmp_path / "out.mp4", read_frames(path), probe(path), sound_from=path, metadata={"comment": "made by facegen"}
    )
    tags = probe(tmp_path / "out.mp4").metadata
    assert (tags["title"], tags["comment"]) == ("A title", "made by facegen")


@pytest.mark.data
@pytest.mark.parametrize("name", ["clips/face_then_noface.mov", "clips/single_face_640x360.mp4"])
def test_real_clips_stay_in_step(name: str, shared_data: Path, tmp_path: Path) -> None:
    path, output = shared_data / name, tmp_path / "out.mp4"
    write_video(output, read_frames(path), probe(path), sound_from=path, encode=EncodeOptions(preset="ultrafast"))
    assert shown_times(output) == shown_times(path)
    assert sound_packets(output) == sound_packets(path)
    assert end_of_picture(output) == end_of_picture(path)
