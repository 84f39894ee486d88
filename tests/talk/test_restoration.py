"""The restorer behind a talk: it sharpens the face, at the picture's own resolution, and nothing far from it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facegen.faces import FaceAnalyser
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.portrait.restoration import add_residual, make_restoration
from facegen.talk.rig import RIG_SIZE, load_rig
from tests.factories import portrait_rgb

STILL = np.zeros(3, np.float32)
REST = MotionFrame(
    mouth=np.zeros(RIG_SIZE, np.float32), turn_deg=STILL, shift_cm=STILL, lids=STILL[:2], brows=0.0, gaze=STILL[:2]
)


def test_a_blurred_portrait_gets_detail_where_its_face_is() -> None:
    picture = cv2.resize(portrait_rgb()[0:240, 100:340], (480, 480), interpolation=cv2.INTER_CUBIC)
    portrait = PortraitModel.of(picture, FaceAnalyser().detect(picture)[0], load_rig())
    soft = replace(portrait, image_rgb=cv2.GaussianBlur(picture, (0, 0), 2.5))
    plain, half, sharp = (
        MeshRenderer(soft, touches).draw(REST) for touches in ([], [make_restoration(0.5)], [make_restoration(1.0)])
    )
    eye = soft.head.face[133, :2].astype(int)
    near = np.s_[eye[1] - 20 : eye[1] + 20, eye[0] - 30 : eye[0] + 30]
    details = [
        float(np.abs(cv2.Laplacian(drawn[near].astype(np.float32), cv2.CV_32F)).mean())
        for drawn in (plain, half, sharp)
    ]
    assert details[2] > details[1] > details[0]
    assert details[2] > 1.1 * details[0]
    assert np.array_equal(sharp[:8], plain[:8])


@pytest.mark.parametrize(("x", "is_seen"), [(30.0, True), (-40.0, True), (900.0, False)])
def test_a_change_lands_where_its_square_is(x: float, is_seen: bool) -> None:
    picture = np.full((100, 120, 3), 100, np.uint8)
    matrix = np.array([[1.5, 0, x], [0, 1.5, 20]], np.float32)
    add_residual(picture, np.full((40, 40, 3), 50, np.float32), matrix)
    assert (picture[40, int(np.clip(x + 30, 0, 119))] == (150 if is_seen else 100)).all()
    assert (picture[:15] == 100).all()
    assert (picture[:, 100:] == 100).all()
