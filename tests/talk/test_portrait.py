"""The portrait engine on a real, public-domain face: stillness is exact, and what moves moves as asked."""

import cv2
import numpy as np
import pytest

from facegen.faces import Face, FaceAnalyser, mesh
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.face_rig import INNER_LOWER, INNER_UPPER, LIDS
from facegen.talk.portrait.model import PortraitModel, keep_upper_row
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.rig import RIG_SIZE, lip_gap, load_rig
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    crop = portrait_rgb()[0:240, 100:340]
    return cv2.resize(crop, (480, 480), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def face(analyser: FaceAnalyser, picture: np.ndarray) -> Face:
    return analyser.detect(picture)[0]


@pytest.fixture(scope="module")
def renderer(picture: np.ndarray, face: Face) -> MeshRenderer:
    return MeshRenderer(PortraitModel.of(picture, face, load_rig()))


def moment(**changes: object) -> MotionFrame:
    still: dict[str, object] = {
        "mouth": np.zeros(RIG_SIZE, np.float32),
        "turn_deg": np.zeros(3, np.float32),
        "shift_cm": np.zeros(3, np.float32),
        "lids": np.zeros(2, np.float32),
        "brows": 0.0,
        "gaze": np.zeros(2, np.float32),
    }
    return MotionFrame(**{**still, **changes})


def opened(amount: float) -> np.ndarray:
    numbers = np.zeros(RIG_SIZE, np.float32)
    numbers[int(np.argmax(load_rig().opening))] = amount
    return numbers


def test_no_movement_leaves_every_vertex_where_it_is(renderer: MeshRenderer) -> None:
    head = renderer.portrait.head
    still = np.zeros(3, np.float32)
    vertices = head.deform(np.zeros((mesh.VERTEX_COUNT, 3), np.float32), still, still)
    assert np.abs(vertices - np.concatenate([head.face, head.rings])).max() < 0.05


def test_only_the_mouth_of_a_smile_changes_at_rest(renderer: MeshRenderer, picture: np.ndarray) -> None:
    drawn = renderer.draw(moment())
    eyes = int(renderer.portrait.head.face[168, 1])
    assert drawn.shape == picture.shape
    assert np.abs(drawn[: eyes + 20].astype(int) - picture[: eyes + 20]).max() <= 1


def test_the_borders_of_the_picture_stay(renderer: MeshRenderer, picture: np.ndarray) -> None:
    drawn = renderer.draw(moment(turn_deg=np.array([8, 5, 5], np.float32), mouth=opened(2)))
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert np.abs(drawn[edge].astype(int) - picture[edge]).max() <= 2


@pytest.mark.parametrize("amount", [0.0, 1.0, 2.0])
def test_lips_open_as_asked_and_never_cross(amount: float, renderer: MeshRenderer) -> None:
    rig = renderer.portrait.rig
    moved = rig.canonical + rig.mouth_offsets(opened(amount))
    gap = moved[list(INNER_UPPER), 1] - moved[list(INNER_LOWER), 1]
    assert gap.min() > -0.01
    closed = rig.canonical + rig.mouth_offsets(opened(-2))
    assert (closed[list(INNER_UPPER), 1] - closed[list(INNER_LOWER), 1]).min() > -0.01


def test_what_is_drawn_is_seen_by_the_landmarker(renderer: MeshRenderer, analyser: FaceAnalyser, face: Face) -> None:
    shut = analyser.detect(renderer.draw(moment()))[0]
    wide = analyser.detect(renderer.draw(moment(mouth=opened(1.6))))[0]
    assert lip_gap(wide.points478[:468]) > lip_gap(shut.points478[:468]) + 8
    blinking = analyser.detect(renderer.draw(moment(lids=np.ones(2, np.float32))))[0]
    assert blinking.blendshape("eyeBlinkLeft") > 0.3
    turned = analyser.detect(renderer.draw(moment(turn_deg=np.array([8, 0, 0], np.float32))))[0]
    assert 4 < turned.yaw_deg - face.yaw_deg < 13
    raised = analyser.detect(renderer.draw(moment(turn_deg=np.array([0, 6, 0], np.float32))))[0]
    assert 2 < raised.pitch_deg - face.pitch_deg < 11
    tilted = analyser.detect(renderer.draw(moment(turn_deg=np.array([0, 0, 6], np.float32))))[0]
    assert 3 < tilted.roll_deg - face.roll_deg < 9


def test_the_person_stays_the_person(
    renderer: MeshRenderer, analyser: FaceAnalyser, picture: np.ndarray, face: Face
) -> None:
    drawn = renderer.draw(moment(mouth=opened(1.2), turn_deg=np.array([4, -2, 2], np.float32)))
    (reference,) = analyser.embed(picture, [face])
    (made,) = analyser.embed(drawn, analyser.detect(drawn)[:1])
    assert np.linalg.norm(made.embedding - reference.embedding) < 0.4


def test_what_closes_hides_all_that_it_covers(picture: np.ndarray, face: Face) -> None:
    """Eyeballs and what is between the lips are painted blue: no blue is left."""
    painted = picture.copy()
    points = face.points478[: mesh.VERTEX_COUNT]
    for outline in (mesh.EYE_LEFT, mesh.EYE_RIGHT, mesh.LIPS_INNER):
        mask = mesh.polygon_mask(points[list(outline), :2], picture.shape[:2])
        painted[mask > 128] = (0, 0, 255)
    renderer = MeshRenderer(PortraitModel.of(painted, face, load_rig()))

    def blue(lids: float) -> int:
        drawn = renderer.draw(moment(lids=np.full(2, lids, np.float32), mouth=opened(-2))).astype(int)
        return int((drawn[..., 2] > drawn[..., 0] + 100).sum())

    assert blue(0.0) > 500
    assert blue(1.0) < blue(0.0) / 100


def test_lashes_leave_the_lid_and_lie_along_its_edge(picture: np.ndarray, face: Face) -> None:
    """Dark strokes above an open eye are gone from the closed lid, whose edge is dark."""
    points = face.points478[: mesh.VERTEX_COUNT]
    painted = picture.copy()
    upper = points[list(LIDS[0][0]), :2]
    width = float(np.ptp(points[list(mesh.EYE_LEFT), 0]))
    for x, y in upper[1:-1]:
        cv2.line(painted, (int(x), int(y)), (int(x), int(y - 0.18 * width)), (0, 0, 0), 1)

    def lid(lids: float) -> tuple[float, float]:
        """Its darkest place by its brightness, and the brightness of its edge."""
        renderer = MeshRenderer(PortraitModel.of(painted, face, load_rig()))
        drawn = renderer.draw(moment(lids=np.full(2, lids, np.float32))).astype(float).mean(2)
        x, edge = int(upper[3, 0]), int(points[LIDS[0][1][3], 1] if lids else upper[3, 1])
        skin = drawn[edge - int(0.2 * width) : edge - int(0.1 * width), x - 4 : x + 5]
        return float(skin.min() / skin.mean()), float(drawn[edge - 1 : edge + 3, x].min() / skin.mean())

    assert lid(0.0)[0] < 0.6
    smoothness, edge = lid(1.0)
    assert smoothness > 0.8
    assert edge < 0.75


def test_own_teeth_are_those_of_the_upper_jaw() -> None:
    """A row below a dark gap belongs to the lower jaw, and so does one that begins far below the upper lip."""
    inside = np.zeros((120, 200), bool)
    inside[20:100] = True
    opacity = np.zeros((120, 200), np.float32)
    opacity[24:50, 20:120] = opacity[70:95, 20:180] = 1
    kept = keep_upper_row(opacity, inside)
    assert kept[30:48, 40:100].min() > 0.9
    assert kept[65:].max() < 0.1
