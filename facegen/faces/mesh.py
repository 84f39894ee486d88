"""The dense face mesh: canonical geometry, named regions, a rasteriser and smooth functions on its vertices.

The mesh is MediaPipe's: 468 vertices and 898 triangles without holes (the eyes and the mouth are closed by triangles;
their outlines are given here as loops). Its canonical geometry and texture coordinates are read from the landmarker's
own file, so nothing is copied into this project.

Frames of reference: *image* has x to the right, y down, z away from the camera, all in pixels; *canonical* is in
centimetres with x to the picture's right, y up, z towards the camera.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
import zipfile
from collections.abc import Iterator

import cv2
import numpy as np

Array = np.ndarray
"""A float32 array; its shape stands where it is used."""

VERTEX_COUNT = 468

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Outline of the face, clockwise from the top of the forehead."""
LIPS_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
EYE_LEFT = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""The opening of the eye on the picture's left, from its outer corner over the upper lid."""
EYE_RIGHT = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
BROW_LEFT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
BROW_RIGHT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSTRILS = (*(48, 115, 220, 45, 4, 275, 440, 344, 278, 294, 327, 326, 2, 97, 98, 64), *(240, 99, 60, 20, 242, 141))


def _protobuf_fields(blob: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of one protobuf message; varints as int, everything else as bytes."""
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = blob[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(blob):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        length = varint() if key & 7 == 2 else {1: 8, 5: 4}[key & 7]
        yield key >> 3, blob[position : position + length]
        position += length


class Topology:
    """Constant geometry of the mesh.

    Attributes:
        xyz: (468, 3) canonical positions, cm.
        uv: (468, 2) texture coordinates, 0..1, v down.
        triangles: (898, 3) int32 vertex indices.
        mirror: (468,) int index of each vertex's mirror image.
    """

    def __init__(self, landmarker_file: str) -> None:
        with zipfile.ZipFile(landmarker_file) as archive:
            blob = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
        mesh = next(value for field, value in _protobuf_fields(blob) if field == 1)
        assert isinstance(mesh, bytes)
        fields = list(_protobuf_fields(mesh))
        floats = [struct.unpack("<f", value)[0] for field, value in fields if field == 3 and isinstance(value, bytes)]
        vertices = np.array(floats, np.float32).reshape(-1, 5)
        self.xyz: Array = vertices[:, :3].copy()
        self.uv: Array = vertices[:, 3:].copy()
        self.triangles = np.array([value for field, value in fields if field == 4], np.int32).reshape(-1, 3)
        flipped = self.xyz * np.array([-1, 1, 1], np.float32)
        gaps = np.square(self.xyz[:, None] - flipped[None]).sum(-1)
        self.mirror = gaps.argmin(0)

    @functools.cached_property
    def corners(self) -> tuple[np.ndarray, np.ndarray]:
        """The corners of all triangles (3 times the triangle, plus 0 to 2) vertex by vertex, and each vertex's first."""
        order = self.triangles.ravel().argsort(kind="stable")
        return order, np.searchsorted(self.triangles.ravel()[order], np.arange(len(self.xyz)))

    @functools.cached_property
    def distances(self) -> Array:
        """(468, 468) straight distances between canonical vertices, cm."""
        return np.sqrt(np.square(self.xyz[:, None] - self.xyz[None]).sum(-1))

    @functools.cached_property
    def to_outline(self) -> Array:
        """(468,) distance of each vertex to the outline of the face, cm."""
        return self.distances[:, list(FACE_OVAL)].min(1)

    @functools.lru_cache(maxsize=16)  # noqa: B019  the topology itself lives as long as the process
    def kernel(self, sigma_cm: float) -> Array:
        """(468, 468) Gaussian weights exp(-d^2 / 2 sigma^2) between vertices, not normalised."""
        return np.exp(-np.square(self.distances) / (2 * sigma_cm**2)).astype(np.float32)


@functools.cache
def topology() -> Topology:
    """The mesh's constant geometry, read once from the landmarker's file."""
    from facegen import hub
    from facegen.faces.weights import FACE_LANDMARKER

    return Topology(str(hub.fetch(FACE_LANDMARKER)))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pose:
    """Similarity between the canonical frame and the image: image = scale * rotation @ canonical + origin."""

    rotation: Array
    scale: float
    origin: Array

    @classmethod
    def of(cls, points: Array) -> Pose:
        """Fit by least squares (Umeyama 1991) on the vertices that expressions hardly move."""
        stable = np.array([*FACE_OVAL[:8], *FACE_OVAL[-7:], 1, 4, 5, 6, 168, 197, 195, 33, 133, 362, 263, 98, 327])
        canonical = topology().xyz[stable] * np.array([1, -1, -1], np.float32)
        image = points[stable]
        a, b = canonical - canonical.mean(0), image - image.mean(0)
        u, d, vt = np.linalg.svd(b.T @ a)
        sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
        rotation = u @ sign @ vt
        scale = float((d * np.diag(sign)).sum() / np.square(a).sum())
        origin = image.mean(0) - scale * rotation @ canonical.mean(0)
        return cls(rotation=rotation.astype(np.float32), scale=scale, origin=origin.astype(np.float32))

    def to_canonical(self, points: Array) -> Array:
        """(N, 3) image pixels to canonical cm."""
        return ((points - self.origin) @ self.rotation / self.scale) * np.array([1, -1, -1], np.float32)

    def turn(self, offsets: Array) -> Array:
        """(N, 3) canonical offsets to image pixels."""
        return (offsets * np.array([1, -1, -1], np.float32)) @ self.rotation.T * self.scale


def smooth(values: Array, weights: Array, sigma_cm: float) -> Array:
    """Weighted Gaussian mean of a quantity over neighbouring vertices (normalised convolution).

    Args:
        values: (468, C).
        weights: (468,) confidence of each value, 0..1.
        sigma_cm: reach on the canonical face, cm.
    """
    weighted = np.column_stack([values * weights[:, None], weights])
    total = topology().kernel(sigma_cm) @ weighted
    return total[:, :-1] / (total[:, -1:] + 1e-6)


def normals(vertices: Array) -> Array:
    """(468, 3) unit vertex normals in the image frame, turned towards the camera (z negative on a frontal face)."""
    triangles = topology().triangles
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    (x, y, z), (u, v, w) = (b - a).T, (c - a).T
    facets = np.stack([y * w - z * v, z * u - x * w, x * v - y * u], 1)
    corners, firsts = topology().corners
    total = np.add.reduceat(facets[corners // 3], firsts)
    total /= np.linalg.norm(total, axis=1, keepdims=True) + 1e-9
    # the canonical winding decides the sign once for the whole mesh
    return -total if np.median(total[:, 2]) > 0 else total


def rasterise(vertices: Array, attributes: Array, size_hw: tuple[int, int]) -> tuple[Array, np.ndarray]:
    """Interpolate vertex attributes over the pixels that the mesh covers, nearest surface first.

    Interpolation is perspective-correct for a camera at five face widths, which is what a portrait is taken from.

    Args:
        vertices: (468, 3) in pixels of the raster; a pixel's centre is at +0.5.
        attributes: (468, 3) any values.
        size_hw: height and width of the raster.

    Returns:
        (H, W, 3) float32 attributes (0 where uncovered) and (H, W) bool coverage.
    """
    height, width = size_hw
    face_width = float(np.ptp(vertices[:, 0]) + 1e-6)
    depth = np.maximum(vertices[:, 2] - vertices[:, 2].mean() + 5 * face_width, face_width)
    ndc_x = (vertices[:, 0] - width / 2) / (height / 2)
    ndc_y = -(vertices[:, 1] - height / 2) / (height / 2)
    camera = np.stack([ndc_x * depth, ndc_y * depth, -depth], 1).astype(np.float32)
    far = float(depth.max() * 2)
    values = np.zeros((height, width, 3), np.float32)
    depth_buffer = np.full((height, width), far, np.float32)
    cv2.triangleRasterize(
        camera.reshape(-1, 1, 3),
        topology().triangles.reshape(-1, 1, 3),
        attributes.astype(np.float32).reshape(-1, 1, 3),
        values,
        depth_buffer,
        np.eye(4, dtype=np.float32),
        np.pi / 2,
        float(depth.min() / 2),
        far,
        _raster_settings(),
    )
    return values, depth_buffer < 0.99 * far


def _raster_settings() -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    return settings


def polygon_mask(points_xy: Array, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 mask, 255 inside a closed polygon given as (N, 2) pixels with sub-pixel precision."""
    mask = np.zeros(size_hw, np.uint8)
    fixed = np.round((points_xy - 0.5) * 256).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=8)
    return mask


def sample(image: Array, points: Array) -> Array:
    """(N, C) bilinear values of (H, W, C) at (N, 2 or 3) pixels, borders repeated."""
    x = (points[:, 0] - 0.5).astype(np.float32)
    y = (points[:, 1] - 0.5).astype(np.float32)
    values = cv2.remap(image, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(len(points), -1)
