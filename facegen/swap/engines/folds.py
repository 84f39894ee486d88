"""Folds of a source's expression: left out of its texture as far as the target does not share the expression.

A smile folds the cheeks, raised or lowered brows fold the forehead. Painted on a face at rest these folds give the swap away.
"""

import functools

import cv2
import numpy as np

from facegen.faces import Face, light, mesh
from facegen.faces.mesh import Array

FOLD_SIZE = 192
"""Side of the map of folds."""
BROADEST = 0.055
"""Relief broader than this standard deviation, as a share of the map's side, is the face's own shape or light."""
EXPRESSIONS = (
    ("mouthSmileLeft", "mouthSmileRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight"),
)
"""What folds the cheeks and the corners of the eyes, and what folds the forehead."""
IDLE, FULL = 0.15, 0.65
"""How much more of an expression the source may have before its folds go, and with how much more they are gone."""
REMOVED = 0.65
"""How much of a fold goes at most."""


def expression_strengths(face: Face) -> Array:
    """(2,) strength of the expressions that fold cheeks and forehead, 0..1."""
    smile = np.mean([face.blendshape(name) for name in EXPRESSIONS[0]])
    brows = max(face.blendshape(name) for name in EXPRESSIONS[1])
    return np.array([smile, brows], np.float32)


def measure_folds(albedo: Array) -> Array:
    """(FOLD_SIZE, FOLD_SIZE, 3) the relief of plain skin: log RGB less its broad mean, 0 at brows, eyes and lips.

    Args:
        albedo: (S, S, 3) log albedo, complete.
    """
    size = (FOLD_SIZE, FOLD_SIZE)
    small = cv2.resize(albedo, size, interpolation=cv2.INTER_AREA)
    plain = _plain_skin()[..., None]
    reach = FOLD_SIZE * BROADEST
    counted = plain + np.float32(1e-3)
    broad = cv2.GaussianBlur(small * counted, (0, 0), reach) / cv2.GaussianBlur(counted, (0, 0), reach)[..., None]
    relief: Array = ((small - broad) * plain).astype(np.float32)
    return relief


def unshared_folds(source: Array, target: Array) -> Array:
    """(468,) 0..1 how much of the source's folds to leave out at each vertex.

    Args:
        source: (2,) from `expression_strengths`.
        target: (2,) the same.
    """
    more = np.clip((source - target - IDLE) / (FULL - IDLE), 0, 1).astype(np.float32)
    return (_regions() * more).max(1) * np.float32(REMOVED)


@functools.cache
def _regions() -> Array:
    """(468, 2) 0..1 how far the cheeks' and the forehead's expression folds each vertex."""
    topology = mesh.topology()
    mouth = topology.distances[:, list(mesh.LIPS_OUTER)].min(1)
    eyes = topology.distances[:, [33, 263]].min(1)
    cheeks = np.maximum(np.clip((4.5 - mouth) / 2, 0, 1), np.clip((2.8 - eyes) / 1.5, 0, 1))
    brows = topology.distances[:, [*mesh.BROW_LEFT, *mesh.BROW_RIGHT]].min(1)
    above = np.clip((topology.xyz[:, 1] - topology.xyz[168, 1]) / 0.5, 0, 1)
    forehead = np.maximum(above, np.clip((2 - topology.distances[:, [168, 9]].min(1)) / 1, 0, 1)) * (brows < 7)
    return np.column_stack([cheeks, forehead]).astype(np.float32)


@functools.cache
def _plain_skin() -> Array:
    """(FOLD_SIZE, FOLD_SIZE) 1 where the texture shows plain skin, softly 0 at features."""
    vertices = np.column_stack([mesh.topology().uv * FOLD_SIZE, np.zeros(mesh.VERTEX_COUNT, np.float32)])
    values = np.repeat(light.skin_vertices()[:, None], 3, 1)
    skin = mesh.rasterise(vertices.astype(np.float32), values, (FOLD_SIZE, FOLD_SIZE))[0][..., 0]
    return np.clip(cv2.GaussianBlur(cv2.erode(skin, np.ones((3, 3), np.uint8)), (0, 0), 1.0), 0, 1)
