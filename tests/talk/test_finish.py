"""The finishing network: what it may change, what it learns from, and that it learns."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facegen.errors import InputError, WeightsError
from facegen.faces import Face, FaceAnalyser, align, mesh
from facegen.talk.finish.data import FinishData, draw_pairs, fit_motion, join_pairs, load_pairs, pack_pairs
from facegen.talk.finish.finisher import LASHES, LIGHT, Finisher, FinishNet, FinishNetConfig, relight
from facegen.talk.finish.inputs import COARSE, GRID, MAPS, SIDE, FinishInput, MeshShape, to_square
from facegen.talk.finish.task import FinishTask
from facegen.talk.jobs import FINISH_PAIRS
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.rig import RIG_SIZE, load_rig
from facegen.training.task import BatchSpec
from tests.factories import portrait_rgb
from tests.talk.clips import speaking_clip

STILL = np.zeros(3, np.float32)


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return cv2.resize(portrait_rgb()[0:240, 100:340], (480, 480), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def face(analyser: FaceAnalyser, picture: np.ndarray) -> Face:
    return analyser.detect(picture)[0]


@pytest.fixture(scope="module")
def portrait(face: Face, picture: np.ndarray) -> PortraitModel:
    return PortraitModel.of(picture, face, load_rig())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaking_clip(tmp_path_factory.mktemp("clip"), frames=30)


def _moment(opening: float, turn_deg: np.ndarray = STILL) -> MotionFrame:
    numbers = np.zeros(RIG_SIZE, np.float32)
    numbers[int(np.argmax(load_rig().opening))] = opening
    return MotionFrame(mouth=numbers, turn_deg=turn_deg, shift_cm=STILL, lids=STILL[:2], brows=0.0, gaze=STILL[:2])


def _inputs(portrait: PortraitModel, moment: MotionFrame) -> tuple[FinishInput, np.ndarray]:
    """A drawn moment as the network sees it, and its points in the square."""
    seen: list[np.ndarray] = []
    drawn = MeshRenderer(portrait, [lambda _, points: seen.append(points)]).draw(moment)
    inputs = FinishInput.of(drawn, seen[0], MeshShape.of(portrait.head.face))
    return inputs, to_square(seen[0], inputs.matrix)


def test_nothing_may_change_where_nothing_has_moved(portrait: PortraitModel, picture: np.ndarray) -> None:
    points = portrait.head.face
    inputs = FinishInput.of(picture, points, MeshShape.of(points))
    assert inputs.drawn_rgb.shape == (SIDE, SIDE, 3)
    assert inputs.maps.shape == (GRID, GRID, MAPS)
    assert inputs.light.max() == inputs.region.max() == inputs.eyes.max() == 0
    drawn = picture.copy()
    Finisher.load().post_process(portrait)(drawn, points)
    assert np.array_equal(drawn, picture)


def test_an_opened_mouth_frees_the_lower_face_alone(portrait: PortraitModel) -> None:
    inputs, places = _inputs(portrait, _moment(2))
    rows = places[:, 1]
    assert np.abs(inputs.maps).max() <= 1
    assert inputs.light.max() > 0.9
    assert inputs.light[: int(rows[mesh.EYE_LEFT[0]] * COARSE / SIDE)].max() < 0.01
    inside = mesh.polygon_mask(places[list(mesh.LIPS_OUTER), :2], (SIDE, SIDE))
    assert inputs.region[places[[13, 14], 1].mean().astype(int), int(places[13, 0])] > 0.9
    assert inputs.region[cv2.dilate(inside, np.ones((7, 7), np.uint8)) == 0].max() < 0.05


def test_a_turned_head_frees_the_face_but_not_its_eyes(portrait: PortraitModel) -> None:
    inputs, places = _inputs(portrait, _moment(0, np.array([10, 0, 0], np.float32)))
    for vertex in (1, 50, 280):
        column, row = (places[vertex, :2] * COARSE / SIDE).astype(int)
        assert inputs.light[row, column] > 0.8
    for eye in (mesh.EYE_LEFT, mesh.EYE_RIGHT):
        column, row = (places[list(eye), :2].mean(0) * COARSE / SIDE).astype(int)
        assert inputs.light[row, column] < 0.3


def test_closing_lids_free_what_lies_round_the_eyes_alone(portrait: PortraitModel) -> None:
    inputs, places = _inputs(portrait, replace(_moment(0), lids=np.array([1, 0], np.float32)))
    (left, top), (right, bottom) = (
        bound(places[list(mesh.EYE_LEFT), :2] * GRID / SIDE, 0) for bound in (np.min, np.max)
    )
    assert inputs.eyes[int(bottom) - 1, int((left + right) / 2)] > 0.9
    assert inputs.eyes[:, int(right) + 12 :].max() < 0.01
    assert inputs.eyes[int(bottom) + 12 :].max() < 0.01
    assert top < bottom
    change = np.abs(Finisher.load().predict_change(inputs)).max(2)
    lid = change[2 * int(top) - 16 : 2 * int(bottom) + 4, 2 * int(left) : 2 * int(right)]
    assert 2 < lid.max() < 150


def test_changes_are_bounded_smooth_and_only_where_they_may_be() -> None:
    torch.manual_seed(0)
    network = FinishNet(FinishNetConfig(widths=(8, 8, 8)))
    torch.nn.init.normal_(network.leave.weight, std=10)
    with torch.no_grad():
        change = network(torch.rand(1, 3, 64, 64), torch.rand(1, MAPS, 32, 32))
    assert change.shape == (1, 3, 32, 32)
    for number, most in enumerate((LIGHT, LIGHT, LASHES)):
        assert 0.2 * most < change[:, number].abs().max() <= most
        assert change[:, number].diff(dim=2).abs().max() < most
    drawn, region = torch.rand(1, 3, 64, 64) + 0.1, torch.zeros(1, 1, 64, 64)
    region[..., 20:30, 20:30] = 1
    nowhere, eyes = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 32, 32)
    made = relight(drawn, change, nowhere, region, eyes)
    assert torch.equal((made != drawn).any(1), region[:, 0] > 0)
    eyes[..., 4:8, 4:8] = 1
    made = relight(drawn, change, nowhere, region * 0, eyes)
    assert (made != drawn).any(1)[0, 8:16, 8:16].all()
    assert torch.equal(made[..., 18:, :], drawn[..., 18:, :])


def test_a_talk_changes_the_face_and_nothing_beside_it(portrait: PortraitModel) -> None:
    moment = _moment(1.5)
    plain = MeshRenderer(portrait).draw(moment).astype(int)
    drawn = MeshRenderer(portrait, [Finisher.load().post_process(portrait)]).draw(moment)
    change = np.abs(drawn - plain).max(2)
    inputs, _ = _inputs(portrait, moment)
    may = np.sum([cv2.resize(field, (SIDE, SIDE)) for field in (inputs.light, inputs.eyes, inputs.region)], 0)
    there = cv2.warpAffine(may, align.invert(inputs.matrix), plain.shape[1::-1], flags=cv2.INTER_LINEAR)
    assert change[there > 0.5].mean() > 0.5
    assert change[cv2.dilate(there, np.ones((9, 9))) < 0.01].max() <= 2
    assert np.array_equal(drawn, MeshRenderer(portrait, [Finisher.load().post_process(portrait)]).draw(moment))


def test_who_is_asked_for_the_own_face_keeps_still(portrait: PortraitModel, face: Face) -> None:
    moment = fit_motion(portrait, face, portrait.rig.mouth_scale)
    assert np.abs(moment.turn_deg).max() < 0.01
    assert moment.lids.max() < 0.2


@pytest.mark.parametrize("turn_deg", [(12, 0, 0), (0, -8, 0), (0, 0, 10), (10, 6, -5)])
def test_a_turn_is_measured_as_it_was_asked(turn_deg: tuple[float, ...], portrait: PortraitModel, face: Face) -> None:
    turn = np.array(turn_deg, np.float32)
    points = portrait.head.deform(np.zeros((mesh.VERTEX_COUNT, 3), np.float32), turn, STILL)[: mesh.VERTEX_COUNT]
    whole = np.concatenate([points, face.points478[mesh.VERTEX_COUNT :]])
    measured = fit_motion(portrait, face.replace(points478=whole), portrait.rig.mouth_scale).turn_deg
    assert np.abs(measured - turn).max() < 2.5


def test_frames_of_a_clip_are_examples_of_each_other(clip: Path, analyser: FaceAnalyser) -> None:
    pairs = list(draw_pairs(clip, analyser, 10))
    assert [pair.truth_rgb.shape for pair in pairs] == [(SIDE, SIDE, 3)] * 3
    face = np.s_[60:220, 60:196]
    for pair in pairs:
        assert np.abs(pair.inputs.drawn_rgb[face].astype(int) - pair.truth_rgb[face]).mean() < 10
    kept, again = (load_pairs(clip, analyser, 10) for _ in range(2))
    assert len(FINISH_PAIRS.entries()) == 1
    for name, values in pack_pairs(pairs).items():
        assert np.array_equal(kept[name], values)
        assert np.array_equal(again[name], values)


def test_steps_bring_the_error_down_and_the_export_is_read_back(
    clip: Path, analyser: FaceAnalyser, facegen_home: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    task = FinishTask()
    pairs = join_pairs([load_pairs(clip, analyser, 10)])
    # a truth that is darker: what is to be learned
    pairs["truth"] = (pairs["drawn"] * 0.7).astype(np.uint8)
    pairs["light"][:, :, 20:50, 20:44] = 255
    data = FinishData(pairs, pairs, torch.device("cpu"))
    model = task.build_model()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for step in range(20):
        generator = torch.Generator().manual_seed(step)
        batch = data.batch(BatchSpec(indices=torch.arange(2), generator=generator, step=step, progress=0.0))
        losses = task.losses(model, batch, progress=step / 20, group=0)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    figures = task.measure(model, data)
    assert figures["skin"] < 0.7 * figures["skin before"]
    shown = task.preview(model, data)
    assert shown is not None
    assert shown.shape[2] == 3
    weights = task.export(model, tmp_path)["finish"]
    inputs = next(draw_pairs(clip, analyser, 10)).inputs
    assert Finisher(weights).predict_change(inputs).shape == (SIDE, SIDE, 3)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "finish.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="another model"):
        Finisher(tmp_path / "finish.safetensors")


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clips"):
        FinishTask().build_data(tmp_path, torch.device("cpu"))
    with pytest.raises(InputError, match="hold back"):
        FinishTask(held_back=("nobody",)).build_data(tmp_path, torch.device("cpu"))
