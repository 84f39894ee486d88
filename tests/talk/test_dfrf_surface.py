"""The head's surface by optical flow: poses put right, numbers that leave out the mouth, folders made before there was any."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facegen.config import override
from facegen.errors import InputError
from facegen.talk import TalkOptions
from facegen.talk.dfrf import volume
from facegen.talk.dfrf.camera import HeadTrack
from facegen.talk.dfrf.expression import SURFACE, UPPER, UPPER_FACE
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.head_prior import GRID_HW, HeadPrior
from facegen.talk.dfrf.layers import HEAD, unpainted
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.paint import Painter
from facegen.talk.dfrf.prepare import STEPS, prepare, track_of
from facegen.talk.dfrf.scene import Scene
from facegen.talk.dfrf.speaker import FieldSpeaker
from facegen.talk.dfrf.surface import CELL_HW, SurfaceTracker, moved_by, surface_numbers
from facegen.talk.dfrf.task import DfrfTask
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import load_speech

CPU = torch.device("cpu")


def _tracker(prepared: PreparedFolder, track: HeadTrack) -> SurfaceTracker:
    arrays = prepared.arrays("track_params.npz")
    base, prior = int(arrays["body_base"]), HeadPrior(arrays["prior_depth"], arrays["prior_inside"])
    numbers, movement = np.zeros((len(track.rotation), 1)), np.zeros((1, *GRID_HW, 3), np.float32)
    return SurfaceTracker(track, prior, base, prepared.picture("ori_imgs", base), numbers, movement)


def _track(prepared: PreparedFolder) -> HeadTrack:
    return track_of(prepared.arrays("track_params.npz") | prepared.arrays("surface.npz"))


def _head(prepared: PreparedFolder, index: int) -> np.ndarray:
    return unpainted(prepared.picture("parsing", index)) == HEAD


def test_a_pose_that_is_off_is_put_right(prepared: PreparedFolder) -> None:
    track = _track(prepared)
    nose = track.shape.mean(0)
    shift = track.translation.copy()
    shift[7, :2] += 1.5 * shift[7, 2] / track.focal
    tracker = _tracker(prepared, replace(track, translation=shift))
    off = np.linalg.norm(tracker.track.project(nose, 7) - track.project(nose, 7))
    tracker.add(7, prepared.picture("ori_imgs", 7), _head(prepared, 7))
    left = np.linalg.norm(tracker.track.project(nose, 7) - track.project(nose, 7))
    assert off > 2
    assert left < 0.5


def test_nothing_moves_from_the_base_to_itself(prepared: PreparedFolder) -> None:
    tracker, base = _tracker(prepared, _track(prepared)), int(prepared.arrays("track_params.npz")["body_base"])
    before = tracker.track.translation[base].copy()
    moves, beliefs = tracker.add(base, prepared.picture("ori_imgs", base), _head(prepared, base))
    assert moves.shape == (*CELL_HW, 2)
    assert beliefs.max() > 0.3
    assert np.abs(moves).max() < 1e-3
    np.testing.assert_allclose(tracker.track.translation[base], before, atol=1e-4)


def test_what_is_told_leaves_out_the_mouth(prepared: PreparedFolder) -> None:
    frame = prepared.picture("ori_imgs", 7)
    lips = np.loadtxt(prepared.path / "ori_imgs" / "7.lms")[48:]
    (left, top), (right, bottom) = lips.min(0).astype(int), lips.max(0).astype(int)
    other = frame.copy()
    other[top:bottom, left:right] = other[top:bottom, left:right][::-1]
    found = []
    for image in (frame, other):
        tracker = _tracker(prepared, _track(prepared))
        moves, _ = tracker.add(7, image, _head(prepared, 7))
        found.append((moves[tracker.told], tracker.track.project(tracker.track.shape, 7)))
    pixel = tracker.track.translation[7, 2] / tracker.track.focal
    assert np.abs(found[0][0] - found[1][0]).mean() < 0.03 * pixel
    assert np.abs(found[0][1] - found[1][1]).max() < 0.1


def test_numbers_give_back_the_movements_that_they_stand_for() -> None:
    random = np.random.default_rng(0)
    told = np.zeros(CELL_HW, bool)
    told[4:20] = True
    wide = [np.cos(np.arange(CELL_HW[0]) / 9 + k)[:, None, None] * np.ones((*CELL_HW, 2)) for k in range(2)]
    shares = random.normal(size=(60, 2)) * 0.01
    moves = np.einsum("nk,krcx->nrcx", shares, np.stack(wide)).astype(np.float32)
    beliefs = np.ones((60, *CELL_HW), np.float32)
    numbers = surface_numbers(moves, beliefs, told, 40)
    assert numbers.shape == (60, SURFACE)
    assert (numbers[:40].std(0)[:2] > 1e-3).all()
    numbers = numbers[:, :2] / numbers[:40, :2].std(0)
    movement = moved_by(moves[:40], beliefs[:40], numbers[:40], np.eye(3))
    assert movement.shape == (2, *GRID_HW, 3)
    # frames that the fit has not seen; cells below those that are told follow as well
    again = np.tensordot(numbers[40:] - numbers[0], movement, 1)[:, ::2, ::2, :2]
    assert np.corrcoef(again.ravel(), (moves[40:] - moves[0]).ravel())[0, 1] > 0.98


def test_the_folder_tells_of_the_upper_face(prepared: PreparedFolder) -> None:
    arrays = prepared.arrays("surface.npz")
    assert arrays["eyes"].shape == (52, UPPER)
    assert arrays["movement"].shape == (RIG_SIZE + UPPER, *GRID_HW, 3)
    assert np.isfinite(arrays["movement"]).all()
    np.testing.assert_array_equal(arrays["eyes"][:, :4], prepared.arrays("track_params.npz")["eyes"])
    assert len(UPPER_FACE) + 3 + SURFACE == UPPER
    scene = Scene(prepared.path, 2, CPU, has_surface=True)
    assert scene.pose(3).eyes.shape == (UPPER,)
    np.testing.assert_array_equal(scene.track.rotation, arrays["rotation"])


def test_a_folder_made_before_is_drawn_with_or_refused_or_brought_up_to_date(
    prepared: PreparedFolder, video: Path, tmp_path: Path
) -> None:
    for path in prepared.path.iterdir():
        if path.name not in ("steps.json", "surface.npz", "transforms_train.json", "transforms_val.json"):
            (tmp_path / path.name).symlink_to(path)
    about = json.loads(prepared.steps_path.read_text())
    (tmp_path / "steps.json").write_text(json.dumps({**about, "done": [name for name in STEPS if name != "surface"]}))
    assert Scene(tmp_path, 2, CPU).pose(3).eyes.shape == (4,)
    with pytest.raises(InputError, match="surface"):
        Scene(tmp_path, 2, CPU, has_surface=True)
    assert prepare(video, tmp_path).steps.done == STEPS
    assert (tmp_path / "transforms_val.json").exists()
    assert Scene(tmp_path, 2, CPU, has_surface=True).pose(3).eyes.shape == (UPPER,)


def test_a_still_head_keeps_what_goes_with_its_pose(prepared: PreparedFolder) -> None:
    task = override(DfrfTask(), ["references=2", "surface=true", "fast.plane_size=16", "fast.samples=4"])
    torch.manual_seed(0)
    model = task.build_model()
    assert isinstance(model, RadianceField)
    painter = Painter(model, Scene(prepared.path, 2, CPU, has_surface=True))
    scene, speech = painter.scene, load_speech(prepared.path / "aud.wav")
    # eyes that never change leave nothing to move in a still forehead, however the skin lies in other frames
    scene.eyes[:, : len(UPPER_FACE)] = 0.0
    scene.eyes[:, len(UPPER_FACE) :] = np.random.default_rng(0).normal(size=scene.eyes[:, len(UPPER_FACE) :].shape) * 4
    speaker = FieldSpeaker(painter, speech, np.arange(20) / 25, TalkOptions(still=True))
    frames = [speaker.draw(index) for index in (0, 12)]
    x, y = scene.corner(scene.pose(scene.reference_frames[0]))
    forehead = [frame[y + 20 : y + 50, x + 40 : x + 80].astype(int) for frame in frames]
    assert np.abs(forehead[0] - forehead[1]).max() <= 3


def test_places_are_as_exact_under_reduced_precision() -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    camera = torch.cat([turn * torch.det(turn), torch.tensor([[0.3], [0.1], [9.0]])], 1)[None]
    lens, points = torch.tensor([[1500.0, 250.0, 250.0]]), torch.rand(1, 50, 3) * 2 - 1
    exact = volume.project(camera, lens, points)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(volume.project(camera, lens, points), exact, atol=1e-3)
        origin, direction = volume.cast(camera, lens, exact)
    assert torch.allclose(volume.project(camera, lens, origin + 9.0 * direction), exact, atol=1e-2)
