"""Light on a face, solved on the vertices of the dense mesh.

A picture of skin is taken as albedo times shading, per colour channel, in the logarithm: log I = log A + S. The shading
of one picture is a smooth function of the surface normal (the first nine spherical harmonics, as in Ramamoorthi and
Hanrahan, "An Efficient Representation for Irradiance Environment Maps", 2001) plus what that cannot say (cast shadows,
coloured light from one side), kept as a residual that varies slowly over the face. Everything lives on 468 vertices, so
relighting a face costs a few small matrix products and is the same for any resolution.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.faces.blend import gaussian_blur
from facegen.faces.mesh import Array

FLOOR = 8.0
"""Added to 0..255 intensities before the logarithm: noise in the dark is not light."""

RESIDUAL_SHARE = 0.3
"""Share of what the harmonics leave of the target's slow changes that is followed inside the face."""
HIGHLIGHT_SHARE = 0.05
"""Share of the target's broad highlights that is put onto the new face."""


def to_log(image_rgb: np.ndarray) -> Array:
    """Any shape of 0..255 RGB to log intensity."""
    return cv2.log(image_rgb.astype(np.float32) + np.float32(FLOOR))


def from_log(values: Array) -> Array:
    """Inverse of `to_log`: float32, not clipped."""
    return cv2.exp(values) - np.float32(FLOOR)


def basis(normals: Array) -> Array:
    """(N, 9) spherical harmonics of (N, 3) unit normals in the image frame, without their constant factors."""
    x, y, z = normals.T
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], 1)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Shading:
    """How one picture lights a face.

    Attributes:
        harmonics: (9, 3) coefficients of `basis`, log RGB; the constant term holds skin tone and exposure together.
        weights: (468,) how far each vertex showed plain skin, 0..1.
    """

    harmonics: Array
    weights: Array

    def at(self, normals: Array) -> Array:
        """(N, 3) log RGB of smooth shaded skin for (N, 3) normals."""
        return basis(normals) @ self.harmonics


def vertex_colours(image_rgb: np.ndarray, points: Array, visible: Array | None) -> Array:
    """(468, 3) log RGB around each vertex, averaged over about 2 % of the face's width and over visible pixels only."""
    radius = max(float(np.ptp(points[:, 0])) * 0.02, 0.6)
    if radius > 3:
        # pixels are averaged anyway, so the half as fine picture says the same
        points, radius = points / 2, radius / 2
        image_rgb, visible = _halve(image_rgb), None if visible is None else _halve(visible)
    colours = to_log(image_rgb)
    if visible is None:
        return mesh.sample(gaussian_blur(colours, radius), points)
    weight = visible + np.float32(1e-3)
    sums = mesh.sample(
        gaussian_blur(cv2.merge([*cv2.split(colours * cv2.merge([weight] * 3)), weight]), radius), points
    )
    return sums[:, :3] / sums[:, 3:]


def _halve(image: np.ndarray) -> np.ndarray:
    height, width = (side // 2 for side in image.shape[:2])
    return cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)


@functools.cache
def skin_vertices() -> Array:
    """(468,) 1 where the mesh shows bare skin, 0 at eyes, brows, lips and nostrils."""
    weights = np.ones(mesh.VERTEX_COUNT, np.float32)
    for region in (mesh.EYE_LEFT, mesh.EYE_RIGHT, mesh.BROW_LEFT, mesh.BROW_RIGHT, mesh.LIPS_OUTER, mesh.LIPS_INNER):
        weights[list(region)] = 0
    weights[list(mesh.NOSTRILS)] = 0.2
    distances = mesh.topology().distances
    lips = distances[:, list(mesh.LIPS_INNER)].min(1)
    weights[lips < 0.45] = 0
    return weights


def facing(normals: Array) -> Array:
    """(N,) how far each normal looks at the camera: 0 from about 80 degrees on, 1 from 45 degrees."""
    return np.clip((-normals[:, 2] - 0.17) / 0.54, 0, 1)


def fit(log_rgb: Array, normals: Array, weights: Array) -> Shading:
    """Fit the shading of a face, holding outliers (beards, moles, things in front) at a distance.

    Args:
        log_rgb: (468, 3) smoothed log intensity at each vertex.
        normals: (468, 3) image frame.
        weights: (468,) visibility of skin, 0..1.
    """
    functions = basis(normals)
    penalty = np.diag(np.array([1e-4, 3, 3, 3, 30, 30, 30, 30, 30], np.float32)) * 0.02 * (weights.sum() + 1e-3)
    robust = weights.copy()
    harmonics = np.zeros((9, 3), np.float32)
    for _ in range(4):
        weighted = functions * robust[:, None]
        harmonics = np.linalg.solve(functions.T @ weighted + penalty, weighted.T @ log_rgb).astype(np.float32)
        error = np.abs(log_rgb - functions @ harmonics).mean(1)
        robust = weights / (1 + np.square(error / 0.3))
    return Shading(harmonics=harmonics, weights=robust)


@functools.cache
def _near_outline() -> Array:
    """(468, 1) 1 at the outline of the face, falling to 0 some 3 cm inside."""
    distances = mesh.topology().to_outline[:, None]
    return np.exp(-np.square(distances / 2)).astype(np.float32)


def relight(albedo_log: Array, target_log: Array, normals: Array, weights: Array) -> Array:
    """What must be added to a de-lit texture, vertex by vertex, so that it stands in the target's light.

    Args:
        albedo_log: (468, 3) smoothed log albedo of the texture (its own shading taken out).
        target_log: (468, 3) smoothed log intensity of the target's frame.
        normals: (468, 3) of the target, image frame.
        weights: (468,) visibility of the target's skin, 0..1.

    Returns:
        (468, 3) log gain: the target's harmonics and what they leave, followed little inside the face (features are the
        source's own) and closely at its outline (the border cannot be seen).
    """
    shading = fit(target_log, normals, weights)
    gain = shading.at(normals)
    residual = np.clip(target_log - albedo_log - gain, -0.7, 0.7)
    trusted = shading.weights * skin_vertices() + 1e-4
    slow, near = mesh.smooth(residual, trusted, 3.0), mesh.smooth(residual, trusted, 0.9)
    nearness = _near_outline()
    highlights = np.maximum(near - slow, 0) * HIGHLIGHT_SHARE
    inside = slow * RESIDUAL_SHARE + highlights
    return gain + inside + (near - inside) * nearness
