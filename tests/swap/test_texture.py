"""Hair that reaches over a source's brow and eye is filled from the other half of the face, not painted onto the target."""

import cv2
import numpy as np
import pytest

from facegen.faces import FaceAnalyser, mesh
from facegen.faces.mesh import Array
from facegen.swap.delighting.delighter import Delighter
from facegen.swap.engines import texture
from tests.factories import portrait_rgb


def upper_left(albedo: Array) -> Array:
    """(N, 3) where the atlas shows the left brow and eye."""
    corners = mesh.topology().uv[[*mesh.BROW_LEFT, *mesh.EYE_LEFT]] * texture.TEXTURE_SIZE
    hull = cv2.convexHull(corners.astype(np.float32))[:, 0]
    return albedo[mesh.polygon_mask(hull, albedo.shape[:2]) > 127]


def test_a_strand_over_a_brow_is_filled_from_the_other_half(monkeypatch: pytest.MonkeyPatch) -> None:
    image, delighter = portrait_rgb(), Delighter.load()
    (face,) = FaceAnalyser().detect(image, max_faces=1)
    points = face.points478
    brow, eye = points[list(mesh.BROW_LEFT), :2], points[list(mesh.EYE_LEFT), :2]
    middle = float(points[168, 0])
    end = brow[np.abs(brow[:, 0] - middle).argmax()]
    corner = eye[np.abs(eye[:, 0] - middle).argmax()]
    width = float(np.ptp(points[:, 0]))
    above = end + (end - corner) * 1.2
    strand = np.array([above, (end[0] + 0.02 * width, end[1]), corner + (end - corner) * 0.1], np.float32)
    covered = image.copy()
    cv2.polylines(covered, [strand.astype(np.int32)], False, (18, 14, 12), round(0.05 * width), cv2.LINE_AA)
    visible = np.ones(image.shape[:2], np.float32)
    cv2.circle(visible, tuple(above.astype(int).tolist()), round(0.09 * width), 0.0, -1)

    def unwrap(picture_rgb: np.ndarray) -> Array:
        return upper_left(texture.unwrap_texture(picture_rgb, points, visible, face, delighter).albedo_log[0])

    clean, filled = unwrap(image), unwrap(covered)
    monkeypatch.setattr(texture, "detect_strands", lambda albedo, weight, inside: np.zeros_like(weight))
    painted, plain = unwrap(covered), unwrap(image)
    assert np.abs(filled - clean).mean() < 0.75 * np.abs(painted - clean).mean()
    assert np.abs(plain - clean).mean() < 0.02, "a face without such hair stays as it is"
