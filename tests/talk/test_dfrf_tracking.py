"""The head's surface by optical flow: corrected poses, numbers without the mouth, folders of earlier releases."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facegen.config import override
from facegen.errors import InputError
from facegen.talk import TalkOptions
from facegen.talk.dfrf import rays
from facegen.talk.dfrf.dataset import Scene
from facegen.talk.dfrf.expression import (
    SURFACE_COMPONENTS,
    UPPER_FACE,
    UPPER_FACE_SIZE,
    fit_residual_basis,
    fit_surface_components,
)
from facegen.talk.dfrf.folder import STEPS, PreparedFolder
from facegen.talk.dfrf.geometry import CELL_HW, GRID_HW, HeadRelief, HeadTrack
from facegen.talk.dfrf.layers import HEAD, decode_layers
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.preparation import prepare
from facegen.talk.dfrf.rendering import FrameRenderer
from facegen.talk.dfrf.task import DfrfTask
from facegen.talk.dfrf.tracking import SurfaceTracker
from facegen.talk.renderers.field import FieldAnimator
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import load_speech

CPU = torch.device("cpu")


def _tracker(prepared: PreparedFolder, track: HeadTrack) -> SurfaceTracker:
    arrays = prepared.read_arrays("track_params.npz")
    base, relief = int(arrays["body_base"]), HeadRelief(arrays["prior_depth"], arrays["prior_inside"])
    coefficients, basis = np.zeros((len(track.rotation), 1)), np.zeros((1, *GRID_HW, 3), np.float32)
    return SurfaceTracker(track, relief, base, prepared.read_picture("ori_imgs", base), coefficients, basis)


def _track(prepared: PreparedFolder) -> HeadTrack:
    return HeadTrack.from_arrays(prepared.read_arrays("track_params.npz") | prepared.read_arrays("surface.npz"))


def _head(prepared: PreparedFolder, index: int) -> np.ndarray:
    return decode_layers(prepared.read_picture("parsing", index)) == HEAD


def test_a_wrong_pose_is_corrected(prepared: PreparedFolder) -> None:
    track = _track(prepared)
    nose = track.shape.mean(0)
    shift = track.translation.copy()
    shift[7, :2] += 1.5 * shift[7, 2] / track.focal
    tracker = _tracker(prepared, replace(track, translation=shift))
    off = np.linalg.norm(tracker.track.project(nose, 7) - track.project(nose, 7))
    tracker.measure(7, prepared.read_picture("ori_imgs", 7), _head(prepared, 7))
    left = np.linalg.norm(tracker.track.project(nose, 7) - track.project(nose, 7))
    assert off > 2
    assert left < 0.5


def test_the_base_frame_does_not_move(prepared: PreparedFolder) -> None:
    tracker, base = _tracker(prepared, _track(prepared)), int(prepared.read_arrays("track_params.npz")["body_base"])
    before = tracker.track.translation[base].copy()
    moves, confidence = tracker.measure(base, prepared.read_picture("ori_imgs", base), _head(prepared, base))
    assert moves.shape == (*CELL_HW, 2)
    assert confidence.max() > 0.3
    assert np.abs(moves).max() < 1e-3
    np.testing.assert_allclose(tracker.track.translation[base], before, atol=1e-4)


def test_surface_numbers_do_not_depend_on_the_mouth(prepared: PreparedFolder) -> None:
    frame = prepared.read_picture("ori_imgs", 7)
    lips = prepared.read_landmarks(7)[48:]
    (left, top), (right, bottom) = lips.min(0).astype(int), lips.max(0).astype(int)
    other = frame.copy()
    other[top:bottom, left:right] = other[top:bottom, left:right][::-1]
    results = []
    for image in (frame, other):
        tracker = _tracker(prepared, _track(prepared))
        moves, _ = tracker.measure(7, image, _head(prepared, 7))
        results.append((moves[tracker.upper_mask], tracker.track.project(tracker.track.shape, 7)))
    pixel = tracker.track.translation[7, 2] / tracker.track.focal
    assert np.abs(results[0][0] - results[1][0]).mean() < 0.03 * pixel
    assert np.abs(results[0][1] - results[1][1]).max() < 0.1


def test_components_reconstruct_the_movements() -> None:
    random = np.random.default_rng(0)
    mask = np.zeros(CELL_HW, bool)
    mask[4:20] = True
    wide = [np.cos(np.arange(CELL_HW[0]) / 9 + k)[:, None, None] * np.ones((*CELL_HW, 2)) for k in range(2)]
    shares = random.normal(size=(60, 2)) * 0.01
    moves = np.einsum("nk,krcx->nrcx", shares, np.stack(wide)).astype(np.float32)
    confidence = np.ones((60, *CELL_HW), np.float32)
    numbers = fit_surface_components(moves, confidence, mask, 40)
    assert numbers.shape == (60, SURFACE_COMPONENTS)
    assert (numbers[:40].std(0)[:2] > 1e-3).all()
    numbers = numbers[:, :2] / numbers[:40, :2].std(0)
    movement = fit_residual_basis(moves[:40], confidence[:40], numbers[:40], np.eye(3))
    assert movement.shape == (2, *GRID_HW, 3)
    # frames that the fit has not seen; cells outside the mask follow as well
    again = np.tensordot(numbers[40:] - numbers[0], movement, 1)[:, ::2, ::2, :2]
    assert np.corrcoef(again.ravel(), (moves[40:] - moves[0]).ravel())[0, 1] > 0.98


def test_the_folder_has_the_upper_face(prepared: PreparedFolder) -> None:
    arrays = prepared.read_arrays("surface.npz")
    assert arrays["eyes"].shape == (52, UPPER_FACE_SIZE)
    assert arrays["movement"].shape == (RIG_SIZE + UPPER_FACE_SIZE, *GRID_HW, 3)
    assert np.isfinite(arrays["movement"]).all()
    np.testing.assert_array_equal(arrays["eyes"][:, :4], prepared.read_arrays("track_params.npz")["eyes"])
    assert len(UPPER_FACE) + 3 + SURFACE_COMPONENTS == UPPER_FACE_SIZE
    scene = Scene(prepared.path, 2, CPU, has_surface=True)
    assert scene.frame_view(3).upper_face.shape == (UPPER_FACE_SIZE,)
    np.testing.assert_array_equal(scene.track.rotation, arrays["rotation"])


def test_a_folder_of_an_earlier_release_is_used_or_refused_or_updated(
    prepared: PreparedFolder, video: Path, tmp_path: Path
) -> None:
    for path in prepared.path.iterdir():
        if path.name not in ("steps.json", "surface.npz", "transforms_train.json", "transforms_val.json"):
            (tmp_path / path.name).symlink_to(path)
    about = json.loads(prepared.state_path.read_text())
    (tmp_path / "steps.json").write_text(json.dumps({**about, "done": [name for name in STEPS if name != "surface"]}))
    assert Scene(tmp_path, 2, CPU).frame_view(3).upper_face.shape == (4,)
    with pytest.raises(InputError, match="surface"):
        Scene(tmp_path, 2, CPU, has_surface=True)
    assert prepare(video, tmp_path).state.done == STEPS
    assert (tmp_path / "transforms_val.json").exists()
    assert Scene(tmp_path, 2, CPU, has_surface=True).frame_view(3).upper_face.shape == (UPPER_FACE_SIZE,)


def test_a_still_head_keeps_the_numbers_of_its_pose(prepared: PreparedFolder) -> None:
    task = override(DfrfTask(), ["references=2", "surface=true", "fast.plane_size=16", "fast.samples=4"])
    torch.manual_seed(0)
    model = task.build_model()
    assert isinstance(model, RadianceField)
    renderer = FrameRenderer(model, Scene(prepared.path, 2, CPU, has_surface=True))
    scene, speech = renderer.scene, load_speech(prepared.path / "aud.wav")
    # eyes that never change leave nothing to move in a still forehead, however the skin lies in other frames
    scene.upper_face[:, : len(UPPER_FACE)] = 0.0
    scene.upper_face[:, len(UPPER_FACE) :] = (
        np.random.default_rng(0).normal(size=scene.upper_face[:, len(UPPER_FACE) :].shape) * 4
    )
    animator = FieldAnimator(renderer, speech, np.arange(20) / 25, TalkOptions(still=True))
    frames = [animator.draw(index) for index in (0, 12)]
    x, y = scene.box_corner(scene.frame_view(scene.reference_frames[0]))
    forehead = [frame[y + 20 : y + 50, x + 40 : x + 80].astype(int) for frame in frames]
    assert np.abs(forehead[0] - forehead[1]).max() <= 3


def test_coordinates_are_exact_under_autocast() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    extrinsics = torch.cat([turn * torch.det(turn), torch.tensor([[0.3], [0.1], [9.0]])], 1)[None]
    intrinsics, points = torch.tensor([[1500.0, 250.0, 250.0]]), torch.rand(1, 50, 3) * 2 - 1
    exact = rays.project(extrinsics, intrinsics, points)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(rays.project(extrinsics, intrinsics, points), exact, atol=1e-3)
        origin, direction = rays.generate_rays(extrinsics, intrinsics, exact)
    assert torch.allclose(rays.project(extrinsics, intrinsics, origin + 9.0 * direction), exact, atol=1e-2)
