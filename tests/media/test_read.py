"""Every frame of every kind of clip, upright, with its own time."""

import gc
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facegen.errors import InputError
from facegen.media import frame_times, probe, read_frame_at, read_frames
from tests.factories import gradient_rgb, write_clip
from tests.media.clips import CLIPS, VARIABLE_PTS, Clip, named


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_every_frame_has_its_own_time(clip: Clip, tmp_path: Path) -> None:
    path = clip.write(tmp_path)
    frames = list(read_frames(path))
    times, time_base = frame_times(path)
    assert [frame.pts for frame in frames] == list(times)
    assert [frame.index for frame in frames] == list(range(len(clip.pts)))
    shown = [frame.pts * frame.time_base for frame in frames]
    wanted = [pts * clip.time_base for pts in clip.pts]
    if clip.suffix == ".ts":  # a transport stream begins anywhere
        shown = [time - shown[0] for time in shown]
    assert shown == wanted
    assert time_base == frames[0].time_base


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_frames_are_upright_and_show_what_was_drawn(clip: Clip, tmp_path: Path) -> None:
    path = clip.write(tmp_path)
    info = probe(path)
    frame = read_frame_at(path, index=len(clip.pts) // 2)
    drawn = gradient_rgb(clip.height, clip.width, (len(clip.pts) // 2) / 24)
    drawn = np.rot90(drawn, -(clip.rotation // 90))
    if clip.is_mirrored:
        drawn = drawn[:, ::-1]
    assert frame.size_hw == info.size_hw == drawn.shape[:2]
    assert (info.rotation_deg, info.is_mirrored) == (clip.rotation, clip.is_mirrored)
    if clip.tags[0] == 1:
        assert np.abs(frame.image_rgb.astype(float) - drawn).mean() < 9


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turning_moves_samples_and_recomputes_none(rotation: int, tmp_path: Path) -> None:
    plain = Clip(name="a", is_lossless=True).write(tmp_path)
    turned = Clip(name="b", is_lossless=True, rotation=rotation).write(tmp_path)
    for a, b in zip(read_frames(plain), read_frames(turned), strict=True):
        for stored, shown in zip(a.planes, b.planes, strict=True):
            assert np.array_equal(np.rot90(stored, -(rotation // 90)), shown)


@pytest.mark.parametrize("clip", [named("plain"), named("variable_rate"), named("late_start"), named("transport")])
@pytest.mark.parametrize("start", [1, 5, 6, 7, 11])
def test_starting_inside_gives_the_same_frames(clip: Clip, start: int, tmp_path: Path) -> None:
    path = clip.write(tmp_path)
    whole = list(read_frames(path))[start:]
    part = list(read_frames(path, start_index=start))
    assert [frame.index for frame in part] == [frame.index for frame in whole]
    assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(whole, part, strict=True))
    seconds = whole[0].pts_seconds
    assert [f.index for f in read_frames(path, start_seconds=seconds - 0.001)] == [f.index for f in whole]


def test_every_and_end_leave_frames_out(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    assert [frame.index for frame in read_frames(path, every=5)] == [0, 5, 10]
    assert [frame.index for frame in read_frames(path, start_index=2, every=4)] == [2, 6, 10]
    assert [frame.index for frame in read_frames(path, end_seconds=0.12)] == [0, 1, 2]
    assert list(read_frames(path, start_seconds=0.1, end_seconds=0.1)) == []


def test_a_frame_at_a_time_is_the_one_shown_then(tmp_path: Path) -> None:
    path = named("variable_rate").write(tmp_path)
    for index, pts in enumerate(VARIABLE_PTS):
        assert read_frame_at(path, seconds=float(pts * Fraction(1, 12800)) + 0.0005).index == index
    assert read_frame_at(path, seconds=99).index == len(VARIABLE_PTS) - 1
    assert read_frame_at(path, seconds=0).index == 0


def test_a_start_past_the_end_says_how_long_the_clip_is(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    with pytest.raises(InputError, match="12 frames"):
        list(read_frames(path, start_seconds=5))


def test_leaving_early_ends_the_thread(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    frames = read_frames(path, depth=1)
    next(frames)
    frames.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_times_are_read_again_when_the_file_changes(tmp_path: Path) -> None:
    path = Clip(name="a").write(tmp_path)
    assert len(frame_times(path)[0]) == 12
    Clip(name="a", pts=(0, 512, 1024)).write(tmp_path)
    assert len(frame_times(path)[0]) == 3


def test_probe_says_what_is_taken_for_granted(tmp_path: Path) -> None:
    small = probe(Clip(name="small", tags=(2, 2, 2)).write(tmp_path))
    assert any("BT.601" in notice for notice in small.notices)
    large = probe(Clip(name="large", tags=(2, 2, 2), width=960, height=720, pts=(0,), sound=()).write(tmp_path))
    assert any("BT.709" in notice for notice in large.notices)
    assert probe(named("plain").write(tmp_path)).notices == ()


def test_transparency_is_laid_on_white_or_kept(tmp_path: Path) -> None:
    path = Clip(name="clear", suffix=".mov", codec="png", pix_fmt="rgba", sound=()).write(tmp_path)
    info = probe(path)
    assert info.has_alpha
    flat = next(read_frames(path))
    assert flat.native.format.name == "yuv444p"
    assert flat.alpha is None
    deep = next(read_frames(path, keeps_alpha=True))
    assert deep.alpha is not None
    assert deep.alpha.min() == 255


@pytest.mark.data
@pytest.mark.parametrize("name", ["clips/face_then_noface.mov", "clips/liveportrait_d9.mp4", "talking/grid/brbk7n.mpg"])
def test_real_clips_read_the_same_from_any_start(name: str, shared_data: Path) -> None:
    path = shared_data / name
    times, _ = frame_times(path)
    whole = [frame.pts for frame in read_frames(path, end_seconds=2)]
    assert whole == list(times[: len(whole)])
    start = len(whole) // 2
    part = list(read_frames(path, start_index=start, end_seconds=2))
    assert [frame.pts for frame in part] == whole[start:]


def test_frames_are_freed_as_soon_as_they_are_let_go(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", [gradient_rgb(64, 48)] * 12)

    def count_alive() -> int:
        return sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = count_alive()
        for _ in read_frames(path):
            pass
        alive = count_alive() - before
    finally:
        gc.enable()
    assert alive < 4
