"""The top of the hierarchy: a linear model of canonical faces and of shapes, with a mixture of Gaussians as its prior.

Faces drawn with one shape lie so well over each other that their principal components (active appearance models:
Cootes et al. 1998) are an encoder and a decoder that need no training: the deep groups below begin where these end.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.generate.packed import PackedFaces

TEXTURE, MAPS = 64, 32
"""Side of the base's RGB and of its hair and background maps."""
_RGB_COUNT, _MAP_COUNT = TEXTURE * TEXTURE * 3, MAPS * MAPS * 2
_MIXED = 40
"""Leading codes whose joint distribution is a mixture; the others are taken as independent."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Basis:
    """A whitened linear model; codes of the data have unit variance.

    texture_mean (D,), texture_axes (K, D), shape_mean (1404,), shape_axes (L, 1404): float32; D is RGB at 64x64 then
    maps at 32x32, all in [0, 1]; mixture over the leading codes: weights (C,), means (C, M), factors (C, M, M) with
    order (M,) the places of these codes among texture codes then shape codes.
    """

    texture_mean: np.ndarray
    texture_axes: np.ndarray
    shape_mean: np.ndarray
    shape_axes: np.ndarray
    mixture_weights: np.ndarray
    mixture_means: np.ndarray
    mixture_factors: np.ndarray
    order: np.ndarray


def to_vector(canonical: np.ndarray) -> np.ndarray:
    """(N, S, S, 5) uint8 canonical pictures to (N, D) float32 in [0, 1]."""
    rows = np.empty((len(canonical), _RGB_COUNT + _MAP_COUNT), np.float32)
    for row, picture in zip(rows, canonical, strict=True):
        rgb = cv2.resize(picture[..., :3], (TEXTURE, TEXTURE), interpolation=cv2.INTER_AREA)
        maps = cv2.resize(np.ascontiguousarray(picture[..., 3:]), (MAPS, MAPS), interpolation=cv2.INTER_AREA)
        row[:_RGB_COUNT] = rgb.ravel()
        row[_RGB_COUNT:] = maps.ravel()
    return rows / 255


def mirrored_shapes(shapes: np.ndarray) -> np.ndarray:
    """(N, 468, 3) shapes of the mirrored pictures."""
    from facegen.faces.mesh import topology
    from facegen.generate.frame import SIZE

    flipped = shapes[:, topology().mirror].copy()
    flipped[..., 0] = SIZE - 1 - flipped[..., 0]
    return flipped


def fit_basis(pack: PackedFaces, texture_codes: int, shape_codes: int, components: int, seed: int = 0) -> Basis:
    """The linear model of the faces that are not held back, and their mirror images.

    Args:
        pack: the dataset.
        texture_codes: principal components of the canonical pictures that are kept.
        shape_codes: those of the shapes.
        components: Gaussians in the prior.
        seed: of the approximations.
    """
    from sklearn.mixture import GaussianMixture

    kept = ~pack.held_back()
    canonical = np.asarray(pack.canonical)[kept]
    textures = to_vector(np.concatenate([canonical, canonical[:, :, ::-1]]))
    shapes = np.asarray(pack.shapes)[kept]
    shapes = np.concatenate([shapes, mirrored_shapes(shapes)]).reshape(2 * len(shapes), -1)
    texture_mean, texture_axes = _principal(textures, texture_codes, seed)
    shape_mean, shape_axes = _principal(shapes, shape_codes, seed)
    codes = np.concatenate(
        [_project(textures, texture_mean, texture_axes), _project(shapes, shape_mean, shape_axes)], 1
    )
    lead = round(_MIXED * 0.7)
    order = np.array([*range(min(lead, texture_codes)), *range(texture_codes, texture_codes + min(12, shape_codes))])
    components = max(1, min(components, len(codes) // 60))
    mixture = GaussianMixture(components, reg_covar=0.02, random_state=seed, max_iter=60).fit(codes[:, order])
    return Basis(
        texture_mean=texture_mean,
        texture_axes=texture_axes,
        shape_mean=shape_mean,
        shape_axes=shape_axes,
        mixture_weights=mixture.weights_.astype(np.float32),
        mixture_means=mixture.means_.astype(np.float32),
        mixture_factors=np.linalg.cholesky(mixture.covariances_).astype(np.float32),
        order=order,
    )


def _principal(rows: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and (count, D) axes scaled so that codes have unit variance."""
    from sklearn.utils.extmath import randomized_svd

    mean = rows.mean(0)
    centred = rows - mean
    count = min(count, len(rows) - 1)
    _, values, axes = randomized_svd(centred, count, n_iter=3, random_state=seed)
    return mean.astype(np.float32), (axes * (values / np.sqrt(len(rows)))[:, None]).astype(np.float32)


def _project(rows: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return (rows - mean) @ axes.T / np.square(axes).sum(1)
