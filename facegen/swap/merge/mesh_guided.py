"""mode=mesh-guided: the predicted face warped to the mesh of the frame's face, with its eyes, teeth, focus and grain.

A model reproduces person B's looks long before it follows every blink and word. So the mesh of the predicted face is
measured, its expression is removed, and its features are moved to where those of B belong in the frame's pose and
expression, as the mesh engine does.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from facegen.faces import Face, align, blend, expression, mesh
from facegen.faces.landmark import MeshFinder
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import iris_colours, recolour_irises
from facegen.swap.engines.shape import transfer_shape
from facegen.swap.engines.warp import eye_mouth_mask, remap, warp_field
from facegen.swap.options import SwapOptions

SEARCH_SCALE = 1.7
"""Side of the square in which a mesh is looked for, by that of the face."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MeshGuide:
    """The meshes of a frame's face and of the face predicted for it.

    Attributes:
        face: the frame's, in the frame's pixels.
        frame_points: (478, 3) of it, pixels of the crop.
        predicted_points: (478, 3) of the predicted face, pixels of the crop.
        rest_shape: (468, 3) canonical cm, the predicted face without its expression.
    """

    face: Face
    frame_points: Array
    predicted_points: Array
    rest_shape: Array


def detect_guide(finder: MeshFinder, picture: Array, face: Face, matrix: Array) -> MeshGuide | None:
    """Detects the mesh of the predicted face; None where there is no clear one.

    Args:
        finder: detects meshes.
        picture: (S, S, 3) float32 RGB in [0, 1], the predicted face.
        face: the frame's.
        matrix: (2, 3) from pixels of the frame to those of the crop.
    """
    scale = np.float32(np.hypot(matrix[0, 0], matrix[1, 0]))
    points = np.column_stack([align.apply(matrix, face.points478[:, :2]), face.points478[:, 2] * scale])
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    centre = (low + high) / 2
    side = float((high - low).max()) * SEARCH_SCALE
    found = finder.find((picture * 255 + 0.5).astype(np.uint8), (float(centre[0]), float(centre[1])), side)
    if found is None:
        return None
    rest = expression.neutral_shape(found.points478, found.blendshapes).astype(np.float32)
    return MeshGuide(
        face=face, frame_points=points.astype(np.float32), predicted_points=found.points478, rest_shape=rest
    )


def blend_mesh_guided(
    picture: Array,
    frame: Array,
    mask: Array,
    guide: MeshGuide | None,
    rest_shape: Array | None,
    options: SwapOptions,
    seed: int,
) -> tuple[Array, Array]:
    """Warps the predicted face to the frame's mesh and blends it into the crop.

    Args:
        picture: (S, S, 3) float32 RGB in [0, 1], the predicted face in the colours of the frame.
        frame: (S, S, 3) crop of the frame.
        mask: (S, S) where the new face shows, in [0, 1].
        guide: the meshes; without them the predicted face stays where it is.
        rest_shape: (468, 3) canonical cm, the predicted person's shape, smoothed over time.
        options: `face_shape` says how far the proportions become B's.
        seed: of the grain.

    Returns:
        The blended crop (S, S, 3) float32 in [0, 1], and alpha (S, S) float32, 1 where it differs from the frame.
    """
    size = mask.shape
    alpha = np.minimum(mask * 50, 1)
    if guide is not None and rest_shape is not None:
        shape = transfer_shape(guide.frame_points, guide.face, rest_shape, options.face_shape)
        vertices = shape[: mesh.VERTEX_COUNT]
        frame_field, reach = warp_field(guide.frame_points[: mesh.VERTEX_COUNT], vertices, size)
        irises = iris_colours((picture * 255).astype(np.uint8), guide.predicted_points)
        picture = remap(picture, warp_field(guide.predicted_points[: mesh.VERTEX_COUNT], vertices, size)[0])
        frame, mask = remap(frame, frame_field), remap(mask, frame_field)
        eyes_mouth = recolour_irises(frame * 255, shape, irises) / 255
        picture = picture + (eyes_mouth - picture) * eye_mouth_mask(vertices, size)[..., None]
        alpha = np.maximum(alpha, np.minimum(reach * 50, 1))
    inside = mask > 0.5
    if np.count_nonzero(inside) < 64:
        return frame, alpha
    luma = frame[..., 1] * 255
    excess = blend.sharpness(picture[..., 1] * 255, inside) / max(blend.sharpness(luma, inside), 1e-3)
    matched = blend.soften(picture * 255, excess) + blend.draw_grain(
        size, 0.7 * blend.measure_grain(luma, inside), seed
    )
    narrow = np.clip((mask - 0.5) * 2, 0, 1)
    result = blend.blend_bands(frame * 255, matched, mask, narrow, size[0] * 0.03) / 255
    return np.clip(result, 0, 1).astype(np.float32), alpha.astype(np.float32)
