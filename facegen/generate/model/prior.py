"""The top of the hierarchy: a linear model of canonical faces and of shapes, and the codes that its prior mixes.

Faces drawn with one shape lie so well over each other that their principal components (active appearance models:
Cootes et al. 1998) are an encoder and a decoder that need no training: the deep groups below begin where these end.

The prior is made of the posteriors of the data (arXiv:1705.07120), not of one Gaussian: hair lies one way or another and
never in between. A new person's hair and surroundings are those of one face of the data; the face is a mixture of two
others that would go with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.generate.dataset.packed import PackedFaces

TEXTURE, MAPS = 64, 32
"""Side of the base's RGB and of its hair and background maps."""
_RGB_COUNT, _MAP_COUNT = TEXTURE * TEXTURE * 3, MAPS * MAPS * 2
_FACE_ERODED, _FACE_SOFT = 17, 9.0
"""How far inside its outline the face goes over into its surroundings, pixels of the 256-pixel frame."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Basis:
    """A whitened linear model; codes of the data have unit variance.

    texture_mean (D,), texture_axes (K, D), shape_mean (1404,), shape_axes (L, 1404): float32; D is RGB at 64x64 then
    maps at 32x32, all in [0, 1]. anchor_codes (M, K) and anchor_shapes (M, L) are codes of the data; blend (K, K) takes the
    difference between two faces' codes to what of it lies inside the face.
    """

    texture_mean: np.ndarray
    texture_axes: np.ndarray
    shape_mean: np.ndarray
    shape_axes: np.ndarray
    anchor_codes: np.ndarray
    anchor_shapes: np.ndarray
    blend: np.ndarray


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
    from facegen.generate.frame.alignment import SIZE

    flipped = shapes[:, topology().mirror].copy()
    flipped[..., 0] = SIZE - 1 - flipped[..., 0]
    return flipped


def fit_basis(pack: PackedFaces, texture_codes: int, shape_codes: int, seed: int = 0) -> Basis:
    """The linear model of the faces that are not held back, and their mirror images.

    Args:
        pack: the dataset.
        texture_codes: principal components of the canonical pictures that are kept.
        shape_codes: those of the shapes.
        seed: of the approximations, and of which anchors are mirror images.
    """
    kept = ~pack.held_back()
    canonical = np.asarray(pack.canonical)[kept]
    textures = to_vector(np.concatenate([canonical, canonical[:, :, ::-1]]))
    shapes = np.asarray(pack.shapes)[kept]
    shapes = np.concatenate([shapes, mirrored_shapes(shapes)]).reshape(2 * len(shapes), -1)
    texture_mean, texture_axes = _principal(textures, texture_codes, seed)
    shape_mean, shape_axes = _principal(shapes, shape_codes, seed)
    count = len(canonical)
    # new faces are mixed from those whose far side is not smeared
    ahead = np.flatnonzero(pack.look_ahead()[kept])
    chosen = ahead + count * np.random.default_rng(seed).integers(2, size=len(ahead))
    inside = face_share(pack.mean_shape)
    lengths = np.square(texture_axes).sum(1)
    return Basis(
        texture_mean=texture_mean,
        texture_axes=texture_axes,
        shape_mean=shape_mean,
        shape_axes=shape_axes,
        anchor_codes=_project(textures[chosen], texture_mean, texture_axes).astype(np.float32),
        anchor_shapes=_project(shapes[chosen], shape_mean, shape_axes).astype(np.float32),
        blend=((texture_axes * inside) @ texture_axes.T / lengths).astype(np.float32),
    )


def face_share(mean_shape: np.ndarray) -> np.ndarray:
    """(D,) how much each number of a canonical vector belongs to the face, 0..1."""
    from facegen.faces.mesh import FACE_OVAL, polygon_mask
    from facegen.generate.frame.alignment import SIZE

    mask = polygon_mask(mean_shape[list(FACE_OVAL), :2], (SIZE, SIZE))
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((_FACE_ERODED, _FACE_ERODED), np.uint8)), (0, 0), _FACE_SOFT)
    large, small = (cv2.resize(mask, (s, s), interpolation=cv2.INTER_AREA).ravel() / 255 for s in (TEXTURE, MAPS))
    return np.concatenate([np.repeat(large, 3), np.repeat(small, 2)]).astype(np.float32)


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
