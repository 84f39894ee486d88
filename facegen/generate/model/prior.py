"""The linear prior: PCA of canonical faces and of shapes (an active appearance model), and the codes of training faces.

Faces warped to one shape are aligned so well that their principal components (Cootes et al. 1998) are an encoder and a
decoder that need no training; the latent groups of the VAE model the residual.

New codes are mixed from those of training faces, a mixture-of-posteriors prior (VampPrior, arXiv:1705.07120) instead of one
Gaussian, because the distribution of hair is multimodal. See `VaeNetwork.sample_prior`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces.mesh import FACE_OVAL, polygon_mask
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.frame import geometry
from facegen.generate.frame.alignment import SIZE

TEXTURE, MAPS = 64, 32
"""Sides of the base's RGB and of its hair and background alpha maps, pixels."""
_RGB_COUNT, _MAP_COUNT = TEXTURE * TEXTURE * 3, MAPS * MAPS * 2
_FACE_ERODED, _FACE_SOFT = 17, 9.0
"""Erosion and blur of the face mask, pixels of the 256-pixel frame."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearPrior:
    """Whitened PCA of textures and shapes; codes of the data have unit variance.

    texture_mean (D,), texture_axes (K, D), shape_mean (1404,), shape_axes (L, 1404): float32; D is RGB at 64x64 then
    maps at 32x32, all in [0, 1]. anchor_codes (M, K) and anchor_shapes (M, L) are codes of training faces; blend (K, K) projects the
    difference of two faces' texture codes onto the inside of the face.
    """

    texture_mean: np.ndarray
    texture_axes: np.ndarray
    shape_mean: np.ndarray
    shape_axes: np.ndarray
    anchor_codes: np.ndarray
    anchor_shapes: np.ndarray
    blend: np.ndarray


def canonical_vectors(canonical: np.ndarray) -> np.ndarray:
    """(N, S, S, 5) uint8 canonical pictures to (N, D) float32 in [0, 1]."""
    rows = np.empty((len(canonical), _RGB_COUNT + _MAP_COUNT), np.float32)
    for row, picture in zip(rows, canonical, strict=True):
        rgb = cv2.resize(picture[..., :3], (TEXTURE, TEXTURE), interpolation=cv2.INTER_AREA)
        maps = cv2.resize(np.ascontiguousarray(picture[..., 3:]), (MAPS, MAPS), interpolation=cv2.INTER_AREA)
        row[:_RGB_COUNT] = rgb.ravel()
        row[_RGB_COUNT:] = maps.ravel()
    return rows / 255


def fit_linear_prior(pack: PackedFaces, texture_codes: int, shape_codes: int, seed: int = 0) -> LinearPrior:
    """Fits the prior to the training faces and their mirror images.

    Args:
        pack: the dataset.
        texture_codes: number of principal components of the canonical pictures.
        shape_codes: number of those of the shapes.
        seed: of the randomised SVD, and of the choice which anchors are mirror images.
    """
    kept = ~pack.is_held_out()
    canonical = np.asarray(pack.canonical)[kept]
    textures = canonical_vectors(np.concatenate([canonical, canonical[:, :, ::-1]]))
    shapes = np.asarray(pack.shapes)[kept]
    shapes = np.concatenate([shapes, geometry.mirror_shapes(shapes)]).reshape(2 * len(shapes), -1)
    texture_mean, texture_axes = _pca(textures, texture_codes, seed)
    shape_mean, shape_axes = _pca(shapes, shape_codes, seed)
    count = len(canonical)
    # the far side of a turned face is smeared in the canonical frame: such faces are no anchors
    frontal = np.flatnonzero(pack.is_frontal()[kept])
    chosen = frontal + count * np.random.default_rng(seed).integers(2, size=len(frontal))
    weights = face_weights(pack.mean_shape)
    lengths = np.square(texture_axes).sum(1)
    return LinearPrior(
        texture_mean=texture_mean,
        texture_axes=texture_axes,
        shape_mean=shape_mean,
        shape_axes=shape_axes,
        anchor_codes=_project(textures[chosen], texture_mean, texture_axes).astype(np.float32),
        anchor_shapes=_project(shapes[chosen], shape_mean, shape_axes).astype(np.float32),
        blend=((texture_axes * weights) @ texture_axes.T / lengths).astype(np.float32),
    )


def face_weights(mean_shape: np.ndarray) -> np.ndarray:
    """(D,) weight of the face mask, 0..1, at each entry of a canonical vector."""
    mask = polygon_mask(mean_shape[list(FACE_OVAL), :2], (SIZE, SIZE))
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((_FACE_ERODED, _FACE_ERODED), np.uint8)), (0, 0), _FACE_SOFT)
    large, small = (cv2.resize(mask, (s, s), interpolation=cv2.INTER_AREA).ravel() / 255 for s in (TEXTURE, MAPS))
    return np.concatenate([np.repeat(large, 3), np.repeat(small, 2)]).astype(np.float32)


def _pca(rows: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and (count, D) axes of (N, D) rows, scaled so that codes have unit variance."""
    from sklearn.utils.extmath import randomized_svd

    mean = rows.mean(0)
    centred = rows - mean
    count = min(count, len(rows) - 1)
    _, values, axes = randomized_svd(centred, count, n_iter=3, random_state=seed)
    return mean.astype(np.float32), (axes * (values / np.sqrt(len(rows)))[:, None]).astype(np.float32)


def _project(rows: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return (rows - mean) @ axes.T / np.square(axes).sum(1)
