"""Drawn faces that are put where the frame's mesh wants them."""

import cv2
import numpy as np

from facegen.faces import Face, FaceAnalyser
from facegen.facesets import crop
from facegen.facesets.crop import warp_black
from facegen.swap import SwapOptions
from facegen.swap.merge.mesh_guided import blend_mesh_guided, detect_guide
from tests import factories

SIDE = 256
SHIFT = np.array([7.0, -5.0], np.float32)


def _crop(analyser: FaceAnalyser) -> tuple[np.ndarray, Face, np.ndarray]:
    """(S, S, 3) in 0..1, the face and the matrix to the crop."""
    image = factories.portrait_rgb()
    face = analyser.detect(image)[0]
    matrix = crop.crop_matrix(face.points68, crop.face_type("full"), SIDE, face.yaw_deg)
    return warp_black(image, matrix, SIDE).astype(np.float32) / 255, face, matrix


def _mask() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.float32)
    return cv2.ellipse(mask, (SIDE // 2, SIDE // 2), (SIDE // 3, 2 * SIDE // 5), 0, 0, 360, 1.0, -1)


def test_a_face_drawn_beside_its_place_comes_back(analyser: FaceAnalyser) -> None:
    target, face, matrix = _crop(analyser)
    beside = cv2.warpAffine(
        target, np.array([[1, 0, SHIFT[0]], [0, 1, SHIFT[1]]], np.float32), (SIDE, SIDE), borderMode=1
    )
    guide = detect_guide(analyser.mesh_finder, beside, face, matrix)
    assert guide is not None
    assert np.abs((guide.predicted_points - guide.frame_points)[:, :2].mean(0) - SHIFT).max() < 1
    result, alpha = blend_mesh_guided(beside, target, _mask(), guide, guide.rest_shape, SwapOptions(), seed=0)
    after = detect_guide(analyser.mesh_finder, result, face, matrix)
    assert after is not None
    assert np.linalg.norm((after.predicted_points - guide.frame_points)[:, :2], axis=1).mean() < 1.5
    assert (result.shape, result.dtype, alpha.shape) == ((SIDE, SIDE, 3), np.float32, (SIDE, SIDE))
    inside = _mask() > 0.5
    assert np.abs(result - target)[inside].mean() < 0.5 * np.abs(beside - target)[inside].mean()


def test_without_a_mesh_the_face_stays_where_it_was_drawn(analyser: FaceAnalyser) -> None:
    target, face, matrix = _crop(analyser)
    nothing = np.full_like(target, 0.5)
    assert detect_guide(analyser.mesh_finder, nothing, face, matrix) is None
    result, alpha = blend_mesh_guided(nothing, target, _mask(), None, None, SwapOptions(), seed=0)
    np.testing.assert_array_equal(alpha > 0, _mask() > 0)
    # colours come from the frame around, details from the drawn face, which has none
    middle = np.s_[SIDE // 2 - 20 : SIDE // 2 + 20, SIDE // 2 - 20 : SIDE // 2 + 20]
    assert result[middle].std() < target[middle].std()
