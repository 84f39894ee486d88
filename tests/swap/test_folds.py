"""Folds of an expression are left out of a texture as far as the target does not share it."""

import dataclasses

import cv2
import numpy as np

from facegen.faces import Face, FaceAnalyser, mesh
from facegen.swap.engines import texture
from facegen.swap.engines.mesh import MeshEngine
from facegen.swap.options import SwapOptions
from tests.factories import portrait_rgb

BESIDE_THE_MOUTH, FOREHEAD = 206, 151
SMILE, REST = np.array([0.9, 0], np.float32), np.zeros(2, np.float32)


def test_only_folds_of_what_the_target_does_not_share_go() -> None:
    smiling = texture.unshared_folds(SMILE, REST)
    assert smiling[BESIDE_THE_MOUTH] == np.float32(texture.REMOVED)
    assert smiling[FOREHEAD] == 0
    frowning = texture.unshared_folds(SMILE[::-1], REST)
    assert frowning[FOREHEAD] == np.float32(texture.REMOVED)
    assert frowning[BESIDE_THE_MOUTH] == 0
    assert not texture.unshared_folds(SMILE, SMILE).any()
    assert not texture.unshared_folds(REST, SMILE).any()


def test_folds_are_relief_of_the_skin_in_its_own_colour() -> None:
    albedo = np.full((768, 768, 3), (5.0, 4.6, 4.4), np.float32)
    u, v = (mesh.topology().uv[BESIDE_THE_MOUTH] * 768).astype(int).tolist()
    cv2.line(albedo, (u - 30, v - 30), (u + 30, v + 30), (4.2, 3.5, 3.2), 12)
    lip_u, lip_v = (mesh.topology().uv[13] * 768).astype(int).tolist()
    cv2.circle(albedo, (lip_u, lip_v), 8, (4.0, 3.0, 3.0), -1)
    relief = texture.measure_folds(albedo)
    fold, lip, plain = relief[v // 4, u // 4], relief[lip_v // 4, lip_u // 4], relief[40, 96]
    np.testing.assert_allclose(fold, (-0.8, -1.1, -1.2), atol=0.2)
    np.testing.assert_allclose(lip, 0, atol=0.02)
    np.testing.assert_allclose(plain, 0, atol=0.02)


def test_a_smile_folds_no_face_at_rest() -> None:
    image = portrait_rgb()
    analyser = FaceAnalyser()
    (face,) = analyser.embed(image, analyser.detect(image, max_faces=1))
    engine = MeshEngine()
    identity = engine.prepare([(image, face)])
    smile = texture.expression_strengths(face)
    assert smile[0] > 0.5, "the astronaut smiles"
    at_rest = dataclasses.replace(face, blendshapes=np.zeros_like(face.blendshapes))

    def relief(target: Face) -> float:
        albedo = engine.predict(image, target, identity, SwapOptions(finish=0)).albedo
        fine = np.abs(albedo - cv2.GaussianBlur(albedo, (0, 0), 8)).mean(-1)
        points = (
            (face.points478[[206, 426], :2] - face.box_xyxy[:2] + 0.1 * face.size_px)
            * fine.shape[0]
            / (1.2 * face.size_px)
        )
        return float(np.mean([fine[y - 8 : y + 8, x - 8 : x + 8].mean() for x, y in points.astype(int)]))

    shared, unshared = relief(face), relief(at_rest)
    assert unshared < 0.75 * shared
