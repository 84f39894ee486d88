"""Mesh-guided merging: a drawn face put where the mesh engine would put it, with the frame's own eyes, teeth and grain.

A model draws person B's look well long before it follows every blink and word. The mesh of what it drew tells where its
features came to lie; from there they are moved to where those of B belong on this frame's pose and expression.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from facegen.faces import Face, align, blend, expression, mesh
from facegen.faces.landmark import MeshFinder
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import iris_colours, recoloured
from facegen.swap.engines.shape import shaped
from facegen.swap.engines.warp import followed, openings, taken
from facegen.swap.options import SwapOptions

ROOM = 1.7
"""Side of the square in which a mesh is looked for, by that of the face."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Guide:
    """What the meshes of a frame's face and of the face drawn for it say.

    Attributes:
        face: the frame's, in the frame's pixels.
        points: (478, 3) of it, pixels of the crop.
        drawn: (478, 3) of the drawn face, pixels of the crop.
        rest: (468, 3) canonical cm of the drawn face without its expression.
    """

    face: Face
    points: Array
    drawn: Array
    rest: Array


def find_guide(finder: MeshFinder, picture: Array, face: Face, matrix: Array) -> Guide | None:
    """The meshes of a crop, or None where the drawn face is not clear enough for one.

    Args:
        finder: finds meshes.
        picture: (S, S, 3) float32 RGB 0..1, the drawn face.
        face: the frame's.
        matrix: (2, 3) from the frame's pixels to the crop's.
    """
    scale = np.float32(np.hypot(matrix[0, 0], matrix[1, 0]))
    points = np.column_stack([align.apply(matrix, face.points478[:, :2]), face.points478[:, 2] * scale])
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    centre = (low + high) / 2
    side = float((high - low).max()) * ROOM
    found = finder.find((picture * 255 + 0.5).astype(np.uint8), (float(centre[0]), float(centre[1])), side)
    if found is None:
        return None
    rest = expression.at_rest(found.points478, found.blendshapes).astype(np.float32)
    return Guide(face=face, points=points.astype(np.float32), drawn=found.points478, rest=rest)


def guided(
    picture: Array, target: Array, mask: Array, guide: Guide | None, rest: Array | None, options: SwapOptions, seed: int
) -> tuple[Array, Array]:
    """The crop with the drawn face in it, and where it differs from the frame.

    Args:
        picture: (S, S, 3) float32 RGB 0..1, the drawn face in the colours of the frame.
        target: (S, S, 3) the frame.
        mask: (S, S) where the face goes, 0..1.
        guide: the meshes; without, the drawn face stays where it is.
        rest: (468, 3) the drawn person's shape, made calm over time.
        options: `face_shape` says how far the proportions become B's.
        seed: of the grain.

    Returns:
        (S, S, 3) float32 in 0..1 and (S, S) float32.
    """
    size = mask.shape
    alpha = np.minimum(mask * 50, 1)
    if guide is not None and rest is not None:
        shape = shaped(guide.points, guide.face, rest, options.face_shape)
        vertices = shape[: mesh.VERTEX_COUNT]
        there, reach = followed(guide.points[: mesh.VERTEX_COUNT], vertices, size)
        inside = (picture * 255).astype(np.uint8)
        irises = iris_colours(inside, guide.drawn)
        picture = taken(picture, followed(guide.drawn[: mesh.VERTEX_COUNT], vertices, size)[0])
        target, mask = taken(target, there), taken(mask, there)
        own = recoloured(target * 255, shape, irises) / 255
        picture = picture + (own - picture) * openings(vertices, size)[..., None]
        alpha = np.maximum(alpha, np.minimum(reach * 50, 1))
    solid = mask > 0.5
    if np.count_nonzero(solid) < 64:
        return target, alpha
    luma = target[..., 1] * 255
    excess = blend.sharpness(picture[..., 1] * 255, solid) / max(blend.sharpness(luma, solid), 1e-3)
    drawn = blend.blurred_to(picture * 255, excess) + blend.grain(size, 0.7 * blend.grain_of(luma, solid), seed)
    narrow = np.clip((mask - 0.5) * 2, 0, 1)
    result = blend.two_bands(target * 255, drawn, mask, narrow, size[0] * 0.03) / 255
    return np.clip(result, 0, 1).astype(np.float32), alpha.astype(np.float32)
