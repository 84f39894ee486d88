"""From a video to the folder of the reference: its layout, poses that put the mesh where it was, steps done once."""

import json
from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.config import save
from facegen.errors import InputError
from facegen.talk.dfrf.audio import FEATURE_SIZE, ROWS_PER_FRAME
from facegen.talk.dfrf.folder import STEPS, PreparedFolder
from facegen.talk.dfrf.geometry import HeadTrack
from facegen.talk.dfrf.layers import BACKGROUND, COLOURS, HEAD, decode_layers, encode_layers
from facegen.talk.dfrf.preparation import prepare
from tests.factories import moving_portrait, write_clip


def test_the_layout_is_that_of_the_reference(prepared: PreparedFolder) -> None:
    assert prepared.state.done == STEPS
    count = prepared.state.frame_count
    assert count == 52
    for kind in ("ori_imgs", "parsing", "head_imgs", "torso_imgs", "com_imgs"):
        assert prepared.read_picture("com_imgs", count - 1).shape == prepared.read_picture(kind, 0).shape
    assert prepared.read_landmarks(0).shape == (68, 2)
    assert prepared.read_audio_features().shape == (count, ROWS_PER_FRAME, FEATURE_SIZE)
    assert prepared.read_background().shape == prepared.read_picture("ori_imgs", 0).shape
    assert (prepared.path / "aud.wav").exists()
    assert list((prepared.path / "debug" / "debug_render").iterdir())


def test_cameras_put_the_mesh_where_it_was(prepared: PreparedFolder) -> None:
    track = HeadTrack.from_arrays(prepared.read_arrays("track_params.npz") | prepared.read_arrays("surface.npz"))
    assert track.error_px.max() < 2
    parts = [json.loads((prepared.path / f"transforms_{name}.json").read_text()) for name in ("train", "val")]
    frames = [frame for part in parts for frame in part["frames"]]
    assert [frame["img_id"] for frame in frames] == list(range(52))
    assert len(parts[0]["frames"]) == prepared.state.train_frames
    # OpenGL looks along -z with y up, OpenCV along z with y down
    view = np.diag([1, -1, -1, 1]) @ np.linalg.inv(frames[7]["transform_matrix"])
    np.testing.assert_allclose(view[:3, :3], track.rotation[7], atol=1e-9)
    np.testing.assert_allclose(view[:3, 3], track.translation[7], atol=1e-9)
    landmarks = prepared.read_landmarks(7)
    x, y, width, height = frames[7]["lip_rect"]
    lips = landmarks[48:]
    assert ((lips >= [x, y]) & (lips <= [x + width, y + height])).all()


def test_the_head_is_segmented(prepared: PreparedFolder) -> None:
    layers = decode_layers(prepared.read_picture("parsing", 3))
    nose = prepared.read_landmarks(3)[30].astype(int)
    assert layers[nose[1], nose[0]] == HEAD
    assert 0.1 < (layers == HEAD).mean() < 0.7
    assert layers[:8, :8].max() == BACKGROUND
    np.testing.assert_array_equal(decode_layers(encode_layers(layers)), layers)
    assert encode_layers(layers).reshape(-1, 3).tolist().count(COLOURS[HEAD].tolist()) == (layers == HEAD).sum()


def test_finished_steps_are_not_done_again(prepared: PreparedFolder, video: Path, tmp_path: Path) -> None:
    copy = PreparedFolder(tmp_path / "copy")
    copy.path.mkdir()
    for name in ("track_params.npz", "aud.npy"):
        (copy.path / name).write_bytes((prepared.path / name).read_bytes())
    save(copy.state_path, prepared.state)
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
