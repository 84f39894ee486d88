"""A person's own shape is told from what the face does."""

import numpy as np

from facegen.faces import expression, mesh
from facegen.faces.face import BLENDSHAPE_INDEX, BLENDSHAPES

CHIN = 152


def picture_of(canonical: np.ndarray, yaw_deg: float = 0.0) -> np.ndarray:
    """(478, 3) pixels of a canonical mesh, 20 pixels a centimetre; the irises do not matter here."""
    turn = np.radians(yaw_deg)
    rotation = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    points = (canonical * [1, -1, -1]) @ rotation.T * 20 + 256
    return np.concatenate([points, np.zeros((10, 3))]).astype(np.float32)


def jaw_opened(strength: float) -> tuple[np.ndarray, np.ndarray]:
    """A canonical mesh and blendshapes that say so; a face at rest reads 0.01."""
    blendshapes = np.zeros(len(BLENDSHAPES), np.float32)
    blendshapes[BLENDSHAPE_INDEX["jawOpen"]] = strength + 0.01
    jaw = expression.displacements()[expression.EXPRESSION_NAMES.index("jawOpen")]
    return mesh.topology().xyz + jaw * strength, blendshapes


def test_an_opening_jaw_goes_down_and_leaves_the_brow_alone() -> None:
    jaw = expression.displacements()[expression.EXPRESSION_NAMES.index("jawOpen")]
    assert jaw[CHIN, 1] < -0.5
    assert np.abs(jaw[list(mesh.BROW_LEFT)]).max() < 0.25


def test_the_shape_at_rest_does_not_depend_on_the_expression() -> None:
    shut, opened = (
        expression.neutral_shape(picture_of(shape), strengths) for shape, strengths in (jaw_opened(0), jaw_opened(0.6))
    )
    moved = np.abs(jaw_opened(0.6)[0] - jaw_opened(0)[0]).max()
    assert np.abs(opened - shut).max() < 0.15 * moved


def test_calm_and_frontal_frames_count_most() -> None:
    calm, no_strengths = jaw_opened(0)
    # what no regression explains: a frame that shouts and looks away has a chin of its own
    vivid, strengths = jaw_opened(0.9)
    vivid = vivid.copy()
    vivid[CHIN, 0] += 2
    points = np.stack([picture_of(calm)] * 4 + [picture_of(vivid, 25)] * 4)
    rest = expression.neutral_shape_of_track(points, np.stack([no_strengths] * 4 + [strengths] * 4))
    assert np.abs(rest[CHIN, 0] - calm[CHIN, 0]) < 0.15
