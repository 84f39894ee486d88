"""Faces found in pictures at every angle, recognised, and none where there are none."""

import cv2
import numpy as np
import pytest

from facegen.errors import InputError
from facegen.faces import FaceAnalyser, distance
from tests.factories import noise_rgb, portrait_rgb


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_face_is_found_however_the_picture_is_turned(analyser: FaceAnalyser, quarter_turns: int) -> None:
    image = portrait_rgb()
    upright = analyser.detect(image)[0]
    faces = analyser.detect(np.ascontiguousarray(np.rot90(image, quarter_turns)))
    assert len(faces) == 1
    turned = (faces[0].roll_deg - upright.roll_deg + 90 * quarter_turns + 180) % 360 - 180
    assert abs(turned) < 8
    assert abs(faces[0].size_px - upright.size_px) < 0.1 * upright.size_px


def test_points_poses_and_expressions_have_their_shapes(analyser: FaceAnalyser) -> None:
    face = analyser.detect(portrait_rgb())[0]
    assert face.points478.shape == (478, 3)
    assert face.points68.shape == (68, 2)
    assert face.points5[0, 0] < face.points5[1, 0]
    assert face.blendshape("mouthSmileLeft") > 0.3
    np.testing.assert_allclose(face.matrix[:3, :3] @ face.matrix[:3, :3].T, np.eye(3), atol=1e-3)
    assert face.matrix[2, 3] < 0


def test_the_same_face_is_near_in_another_size(analyser: FaceAnalyser) -> None:
    image = portrait_rgb()
    small = np.ascontiguousarray(image[::2, ::2])
    one = analyser.embed(image, analyser.detect(image))[0]
    other = analyser.embed(small, analyser.detect(small))[0]
    assert one.embedding is not None
    assert other.embedding is not None
    assert distance(one.embedding, other.embedding) < 0.35


def test_noise_holds_no_face(analyser: FaceAnalyser) -> None:
    assert analyser.detect(noise_rgb(128, 128)) == []


def test_wrong_arrays_are_refused(analyser: FaceAnalyser) -> None:
    with pytest.raises(InputError, match="uint8"):
        analyser.detect(np.zeros((8, 8, 3), np.float32))


def test_a_small_face_is_found_beside_a_large_one(analyser: FaceAnalyser) -> None:
    head = portrait_rgb()[:301, 70:371]
    side = float(analyser.detect(head)[0].size_px)
    picture = np.full((2600, 4400, 3), 128, np.uint8)
    picture[:2600, :2600] = cv2.resize(head, (2600, 2600))
    small = cv2.resize(head, None, fx=30 / side, fy=30 / side, interpolation=cv2.INTER_AREA)
    picture[1200 : 1200 + len(small), 3600 : 3600 + len(small[0])] = small
    sizes = [face.size_px for face in analyser.detect(picture)]
    assert len(sizes) == 2
    assert sizes[1] == pytest.approx(30, abs=4)
