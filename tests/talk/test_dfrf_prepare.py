"""From a video to the folder of the reference: its layout, poses that put the mesh where it was, steps done once."""

import json
from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.config import save
from facegen.errors import InputError
from facegen.talk.dfrf.folder import FEATURES_AT_ONCE, PreparedFolder
from facegen.talk.dfrf.layers import BACKGROUND, COLOURS, HEAD, painted, unpainted
from facegen.talk.dfrf.listening import WIDTH
from facegen.talk.dfrf.prepare import STEPS, prepare, track_of
from tests.factories import moving_portrait, write_clip


def test_the_layout_is_the_references(prepared: PreparedFolder) -> None:
    assert prepared.steps.done == STEPS
    count = prepared.steps.frame_count
    assert count == 52
    for kind in ("ori_imgs", "parsing", "head_imgs", "torso_imgs", "com_imgs"):
        assert prepared.picture("com_imgs", count - 1).shape == prepared.picture(kind, 0).shape
    assert np.loadtxt(prepared.path / "ori_imgs" / "0.lms").shape == (68, 2)
    assert prepared.sounds().shape == (count, FEATURES_AT_ONCE, WIDTH)
    assert prepared.background().shape == prepared.picture("ori_imgs", 0).shape
    assert (prepared.path / "aud.wav").exists()
    assert list((prepared.path / "debug" / "debug_render").iterdir())


def test_cameras_put_the_mesh_where_it_was(prepared: PreparedFolder) -> None:
    track = track_of(prepared.arrays("track_params.npz") | prepared.arrays("surface.npz"))
    assert track.error_px.max() < 2
    parts = [json.loads((prepared.path / f"transforms_{name}.json").read_text()) for name in ("train", "val")]
    frames = [frame for part in parts for frame in part["frames"]]
    assert [frame["img_id"] for frame in frames] == list(range(52))
    assert len(parts[0]["frames"]) == prepared.steps.train_frames
    # OpenGL looks along -z with y up, OpenCV along z with y down
    view = np.diag([1, -1, -1, 1]) @ np.linalg.inv(frames[7]["transform_matrix"])
    np.testing.assert_allclose(view[:3, :3], track.rotation[7], atol=1e-9)
    np.testing.assert_allclose(view[:3, 3], track.translation[7], atol=1e-9)
    landmarks = np.loadtxt(prepared.path / "ori_imgs" / "7.lms")
    x, y, width, height = frames[7]["lip_rect"]
    lips = landmarks[48:]
    assert ((lips >= [x, y]) & (lips <= [x + width, y + height])).all()


def test_the_head_is_told_from_what_is_behind_it(prepared: PreparedFolder) -> None:
    layers = unpainted(prepared.picture("parsing", 3))
    nose = np.loadtxt(prepared.path / "ori_imgs" / "3.lms")[30].astype(int)
    assert layers[nose[1], nose[0]] == HEAD
    assert 0.1 < (layers == HEAD).mean() < 0.7
    assert layers[:8, :8].max() == BACKGROUND
    np.testing.assert_array_equal(unpainted(painted(layers)), layers)
    assert painted(layers).reshape(-1, 3).tolist().count(COLOURS[HEAD].tolist()) == (layers == HEAD).sum()


def test_finished_steps_are_not_done_again(prepared: PreparedFolder, video: Path, tmp_path: Path) -> None:
    copy = PreparedFolder(tmp_path / "copy")
    copy.path.mkdir()
    for name in ("track_params.npz", "aud.npy"):
        (copy.path / name).write_bytes((prepared.path / name).read_bytes())
    save(copy.steps_path, prepared.steps)
    prepare(video, copy.path)
    assert not (copy.path / "ori_imgs").exists()


def test_what_cannot_be_used_is_refused(prepared: PreparedFolder, tmp_path: Path) -> None:
    short = write_clip(tmp_path / "short.mp4", moving_portrait(5, 64), has_sound=True)
    with pytest.raises(InputError, match="at least 50 frames"):
        prepare(short, tmp_path / "short")
    with pytest.raises(InputError, match="another folder"):
        prepare(short, prepared.path)
    mute = write_clip(tmp_path / "mute.mp4", moving_portrait(51, 64))
    with pytest.raises(InputError, match="sound"):
        prepare(mute, tmp_path / "mute")
    assert media.probe(short).frame_count == 5
