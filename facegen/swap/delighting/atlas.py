"""The face of a picture unwrapped into the atlas of the mesh: the same place of every face is the same pixel."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facegen.faces import light, mesh
from facegen.faces.mesh import Array


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Atlas:
    """One unwrapped face.

    Attributes:
        picture_rgb: (S, S, 3) uint8.
        weight: (S, S) float32 how reliably each texel was seen, 0..1.
        normals: (S, S, 3) float32 of the surface, image frame.
        inside: (S, S) bool where the mesh is.
    """

    picture_rgb: np.ndarray
    weight: Array
    normals: Array
    inside: np.ndarray


def atlas_points(size: int) -> Array:
    """(468, 3) where the vertices lie in an atlas of this side, pixels; depth 0."""
    flat = np.zeros((mesh.VERTEX_COUNT, 1), np.float32)
    return np.concatenate([mesh.topology().uv * np.float32(size), flat], 1)


def unwrap(image_rgb: np.ndarray, points: Array, visible: Array | None, size: int) -> Atlas:
    """Unwrap the face of a picture.

    Args:
        image_rgb: (h, w, 3) uint8.
        points: (468, 3) in its pixels.
        visible: (h, w) visibility of each pixel, 0..1, or nothing if it is not known.
        size: side of the atlas.
    """
    normals = mesh.normals(points)
    trust = light.facing(normals)
    if visible is not None:
        trust = trust * mesh.sample(visible[..., None], points)[:, 0]
    places, inside = mesh.rasterise(atlas_points(size), np.column_stack([points[:, :2], trust]), (size, size))
    map_x = np.ascontiguousarray(places[..., 0] - 0.5)
    map_y = np.ascontiguousarray(places[..., 1] - 0.5)
    weight = places[..., 2] * inside
    if visible is not None:
        weight = weight * cv2.remap(visible, map_x, map_y, cv2.INTER_LINEAR)
    normals = mesh.rasterise(atlas_points(size), normals, (size, size))[0]
    return Atlas(
        picture_rgb=cv2.remap(image_rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        weight=weight,
        normals=normals / (np.linalg.norm(normals, axis=2, keepdims=True) + np.float32(1e-6)),
        inside=inside,
    )


@functools.cache
def plain_skin(size: int) -> Array:
    """(S, S) 1 where an atlas shows plain skin, 0 at brows, eyes and lips."""
    values = np.repeat(light.skin_vertices()[:, None], 3, 1)
    return np.ascontiguousarray(mesh.rasterise(atlas_points(size), values, (size, size))[0][..., 0])
