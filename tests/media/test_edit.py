"""Edits with moviepy, denoising, and stills there and back."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facegen.encoding import EncodeOptions
from facegen.errors import Cancelled, InputError
from facegen.media import (
    Frame,
    denoise,
    folder_to_video,
    frames_to_folder,
    join,
    make_video_info,
    probe,
    read_audio,
    read_frame_at,
    read_frames,
    read_picture,
    replace_sound,
    side_by_side,
    trim,
    write_picture,
    write_video,
)
from tests.factories import gradient_rgb, noise_rgb
from tests.media.clips import Clip, named
from tests.media.reading import shown_times, sound_packets

LONG = Clip(name="long", pts=tuple(range(0, 40 * 512, 512)))


def test_trim_keeps_what_is_between(tmp_path: Path) -> None:
    clip, output = LONG.write(tmp_path), tmp_path / "out.mp4"
    heard: list[float] = []
    assert trim(clip, output, start_seconds=0.4, end_seconds=1.2, on_progress=lambda f, _: heard.append(f)) == ()
    info = probe(output)
    assert info.duration_seconds == pytest.approx(0.8, abs=0.05)
    assert info.color.matrix == 1
    error = read_frame_at(output, seconds=0.2).image_rgb.astype(float) - read_frame_at(clip, seconds=0.6).image_rgb
    assert np.abs(error).mean() < 8
    assert read_audio(output).std() > 0.05
    assert heard
    assert max(heard) <= 1


@pytest.mark.parametrize(("start", "end"), [(1.0, 0.5), (-1.0, 1.0), (9.0, 10.0), (0.5, 0.5)])
def test_trim_wants_times_within_the_clip(start: float, end: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"within 1\.60 s"):
        trim(LONG.write(tmp_path), tmp_path / "out.mp4", start_seconds=start, end_seconds=end)


def test_an_edit_can_be_cancelled(tmp_path: Path) -> None:
    def stop(_fraction: float, _text: str) -> None:
        raise Cancelled("stopped")

    clip, folder = LONG.write(tmp_path), tmp_path / "out"
    folder.mkdir()
    with pytest.raises(Cancelled):
        trim(clip, folder / "out.mp4", start_seconds=0, end_seconds=1, on_progress=stop)
    assert list(folder.iterdir()) == []


def test_edits_show_clips_upright(tmp_path: Path) -> None:
    clip, output = named("rotated_90").write(tmp_path), tmp_path / "out.mp4"
    trim(clip, output, start_seconds=0, end_seconds=0.4)
    info = probe(output)
    assert (info.width, info.height, info.rotation_deg) == (48, 64, 0)
    error = read_frame_at(output, index=2).image_rgb.astype(float) - read_frame_at(clip, index=2).image_rgb
    assert np.abs(error).mean() < 10


def test_join_adds_lengths_and_centres_the_smaller(tmp_path: Path) -> None:
    small, large = LONG.write(tmp_path), Clip(name="large", width=128, height=96).write(tmp_path)
    join([large, small], tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == (128, 96)
    assert info.duration_seconds == pytest.approx(0.48 + 1.6, abs=0.1)
    late = read_frame_at(tmp_path / "out.mp4", seconds=1.0).image_rgb
    assert late[:8].max() < 40
    assert late[30:60, 40:80].mean() > 60


@pytest.mark.parametrize("is_stacked", [False, True])
def test_side_by_side_fits_the_first(is_stacked: bool, tmp_path: Path) -> None:
    first = Clip(name="first").write(tmp_path)
    second = Clip(name="second", width=128, height=96).write(tmp_path)
    side_by_side([first, second], tmp_path / "out.mp4", is_stacked=is_stacked)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == ((64, 96) if is_stacked else (128, 48))
    image = read_frame_at(tmp_path / "out.mp4", index=3).image_rgb
    halves = (image[:48], image[48:]) if is_stacked else (image[:, :64], image[:, 64:])
    assert np.abs(halves[0].astype(float) - read_frame_at(first, index=3).image_rgb).mean() < 10
    assert len(info.audio) == 1


@pytest.mark.parametrize("edit", [join, side_by_side])
def test_one_clip_is_not_enough(edit: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two"):
        edit([LONG.write(tmp_path)], tmp_path / "out.mp4")


def test_more_sound_tracks_than_an_edit_keeps_are_said(tmp_path: Path) -> None:
    clips = [named("two_tracks").write(tmp_path), named("plain").write(tmp_path)]
    notices = join(clips, tmp_path / "joined.mp4")
    assert any("first sound track" in notice for notice in notices)


def test_replace_sound_copies_the_picture(tmp_path: Path) -> None:
    clip = named("variable_rate").write(tmp_path)
    other = named("two_tracks").write(tmp_path)
    assert replace_sound(clip, other, tmp_path / "out.mp4") == ()
    assert shown_times(tmp_path / "out.mp4") == shown_times(clip)
    for a, b in zip(read_frames(clip), read_frames(tmp_path / "out.mp4"), strict=True):
        assert np.array_equal(a.planes[0], b.planes[0])
    assert len(sound_packets(tmp_path / "out.mp4")) == 1
    assert sound_packets(tmp_path / "out.mp4") != sound_packets(clip)


def test_replace_sound_keeps_rotation(tmp_path: Path) -> None:
    clip = named("rotated_270").write(tmp_path)
    replace_sound(clip, named("plain").write(tmp_path), tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").rotation_deg == 270


def test_replace_sound_wants_sound(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        replace_sound(LONG.write(tmp_path), named("silent").write(tmp_path), tmp_path / "out.mp4")


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_denoise_takes_noise_and_leaves_the_rest(pix_fmt: str, tmp_path: Path) -> None:
    clean = gradient_rgb(96, 128)
    random = np.random.default_rng(0)
    clip = Clip(name="clean", width=128, height=96, pix_fmt=pix_fmt, is_lossless=True, pts=(0, 512, 900, 2000))
    info = probe(clip.write(tmp_path))
    frames = []
    for index, pts in enumerate(clip.pts):
        noisy = np.clip(clean + random.normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
        frames.append(Frame.from_picture(noisy, index=index, pts=pts, time_base=clip.time_base, color=info.color))
    noisy_clip, output = tmp_path / "noisy.mp4", tmp_path / "out.mp4"
    write_video(noisy_clip, frames, info, encode=EncodeOptions(crf=1))
    denoise(noisy_clip, output, strength=8)
    assert shown_times(output) == shown_times(noisy_clip)
    assert probe(output).bit_depth == (10 if "10" in pix_fmt else 8)

    def error(path: Path) -> float:
        return float(np.abs(read_frame_at(path, index=1).image_rgb.astype(float) - clean).mean())

    assert error(output) < 0.7 * error(noisy_clip)


def test_denoise_says_its_bounds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 to 20"):
        denoise(LONG.write(tmp_path), tmp_path / "out.mp4", strength=50)


def test_stills_there_and_back_keep_every_time(tmp_path: Path) -> None:
    clip = named("variable_rate").write(tmp_path)
    assert frames_to_folder(clip, tmp_path / "stills") == 12
    listing = json.loads((tmp_path / "stills" / "frames.json").read_text())
    assert [item["pts"] for item in listing["frames"]] == list(named("variable_rate").pts)
    for frame, item in zip(read_frames(clip), listing["frames"], strict=True):
        assert np.array_equal(read_picture(tmp_path / "stills" / item["file"]), frame.image_rgb)
    folder_to_video(tmp_path / "stills", tmp_path / "back.mp4", sound_from=clip)
    assert shown_times(tmp_path / "back.mp4") == shown_times(clip)
    assert sound_packets(tmp_path / "back.mp4") == sound_packets(clip)
    for a, b in zip(read_frames(clip), read_frames(tmp_path / "back.mp4"), strict=True):
        assert np.abs(a.image_rgb.astype(float) - b.image_rgb).mean() < 6


def test_stills_and_the_sound_of_their_clip_stay_in_step(tmp_path: Path) -> None:
    clip, stills = named("late_start").write(tmp_path), tmp_path / "stills"
    frames_to_folder(clip, stills)
    folder_to_video(stills, tmp_path / "back.mp4", sound_from=clip)
    assert shown_times(tmp_path / "back.mp4") == shown_times(clip)
    for (time, data), (before, same) in zip(*sound_packets(tmp_path / "back.mp4"), *sound_packets(clip), strict=True):
        assert data == same
        assert abs(time - before) < 0.001
    clip = LONG.write(tmp_path)
    frames_to_folder(clip, tmp_path / "piece", start_seconds=0.4, end_seconds=0.8)
    folder_to_video(tmp_path / "piece", tmp_path / "out.mp4", sound_from=clip)
    assert shown_times(tmp_path / "out.mp4")[0] == 0
    all_packets = {data: time for time, data in sound_packets(clip)[0]}
    (packets,) = sound_packets(tmp_path / "out.mp4")
    assert len(packets) >= 18
    assert all(abs(all_packets[data] - time - Fraction(2, 5)) < 0.001 for time, data in packets)
    folder_to_video(tmp_path / "piece", tmp_path / "silent.mp4")
    assert shown_times(tmp_path / "silent.mp4")[0] == 0


def test_stills_at_a_rate_size_and_kind(tmp_path: Path) -> None:
    clip = LONG.write(tmp_path)
    assert frames_to_folder(clip, tmp_path / "a", rate=5, longest_side=32, suffix=".jpg") == 8
    stills = sorted((tmp_path / "a").glob("*.jpg"))
    assert [still.name for still in stills[:3]] == ["frame_00000000.jpg", "frame_00000005.jpg", "frame_00000010.jpg"]
    assert read_picture(stills[0]).shape == (24, 32, 3)
    assert frames_to_folder(clip, tmp_path / "b", start_seconds=0.5, end_seconds=0.7) == 5


def test_a_folder_of_pictures_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_picture(tmp_path / f"shot{number}.png", np.full((32, 32 + number, 3), number * 20, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    folder_to_video(tmp_path, tmp_path / "out.mp4", rate=4)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == (33, 32)
    assert info.duration_seconds == pytest.approx(0.75)
    levels = [frame.image_rgb.mean() for frame in read_frames(tmp_path / "out.mp4")]
    assert levels == pytest.approx([20, 40, 200], abs=4)


def test_a_folder_without_pictures_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        folder_to_video(tmp_path, tmp_path / "out.mp4")
    with pytest.raises(InputError, match="folder of pictures"):
        folder_to_video(tmp_path / "missing", tmp_path / "out.mp4")


def test_a_listing_that_does_not_fit_is_said(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", noise_rgb(8, 8))
    (tmp_path / "frames.json").write_text('{"frames": [], "time_base": [1, 25]}')
    with pytest.raises(InputError, match=r"frames\.json"):
        folder_to_video(tmp_path, tmp_path / "out.mp4")


def test_a_made_video_says_its_colours(tmp_path: Path) -> None:
    like = make_video_info(64, 48, Fraction(25), Fraction(1, 25))
    frames = (
        Frame.from_picture(gradient_rgb(48, 64, n / 8), index=n, pts=n, time_base=Fraction(1, 25)) for n in range(8)
    )
    write_video(tmp_path / "out.mp4", frames, like)
    info = probe(tmp_path / "out.mp4")
    assert (info.color.matrix, info.color.primaries, info.color.transfer) == (1, 1, 1)
    assert info.duration_seconds == pytest.approx(8 / 25)
    assert (
        np.abs(
            read_frame_at(tmp_path / "out.mp4", index=3).image_rgb.astype(float) - gradient_rgb(48, 64, 3 / 8)
        ).mean()
        < 4
    )


def test_join_and_side_by_side_keep_the_colour_that_all_clips_have(tmp_path: Path) -> None:
    first, second = (
        named("ten_bit").write(tmp_path),
        Clip(name="other", pix_fmt="yuv420p10le", tags=(9, 9, 16), pts=(0, 512, 700, 1900)).write(tmp_path),
    )
    assert join([first, second], tmp_path / "joined.mp4") == ()
    info = probe(tmp_path / "joined.mp4")
    assert (info.bit_depth, info.color.hdr) == (10, "PQ")
    steps = [float(time) for time in shown_times(tmp_path / "joined.mp4")]
    assert steps[12:] == pytest.approx([0.48 + tick / 12800 for tick in (0, 512, 700, 1900)], abs=1e-4)
    side_by_side([first, second], tmp_path / "beside.mp4")
    info = probe(tmp_path / "beside.mp4")
    assert (info.bit_depth, info.color.hdr, info.size_hw) == (10, "PQ", (48, 128))


def test_clips_that_differ_in_colour_are_brought_to_one_and_said(tmp_path: Path) -> None:
    clips = [named("ten_bit").write(tmp_path), named("plain").write(tmp_path)]
    for edit in (join, side_by_side):
        notices = edit(clips, tmp_path / "out.mp4")
        assert any("BT.709" in notice for notice in notices)
        info = probe(tmp_path / "out.mp4")
        assert (info.bit_depth, info.color.matrix, info.color.hdr) == (8, 1, None)
