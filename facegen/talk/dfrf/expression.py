"""Expression coefficients of a frame, and linear bases of how the head's relief moves with them.

The coefficients are those of the mouth (of the rig) and of the upper face: lids, gaze, brows, and the principal components
of how the skin above the cheeks moves. Nothing in the upper face's numbers describes the mouth. A basis says where a
point that is visible now lies under another expression; learned offsets start from there, so that lips move before
anything is learned.
"""

from __future__ import annotations

import cv2
import numpy as np

from facegen.faces import Face, mesh
from facegen.talk.dfrf.geometry import CELL_HW, GRID_HW, UNITS_PER_CM, canonical_points, rasterize_mesh

EYES = ("blink", "brow", "right", "up")
"""Numbers of a frame in `track_params.npz`: lids, brows, gaze to the picture's right and up."""
UPPER_FACE = (*EYES, "browInnerUp", "browOuterUp", "browDown", "eyeSquint", "eyeWide", "blinkLeft - blinkRight")
"""Numbers of a frame in `surface.npz` that come from blendshapes."""
SURFACE_COMPONENTS = 16
"""Principal components of the skin's movement above the cheeks, by optical flow."""
EYES_SIZE = len(EYES)
UPPER_FACE_SIZE = len(UPPER_FACE) + 3 + SURFACE_COMPONENTS
"""Numbers of a frame in `surface.npz`: `UPPER_FACE`, the head's rotation vector against the base frame, components."""

_RIDGE = 20.0
_FADE_CELLS = 5.0
_CLIP_DEVIATIONS = 4.0
_PCA_FRAMES = 600
_MIN_CONFIDENCE = 0.02


def eye_coefficients(face: Face) -> np.ndarray:
    """(4,) float32 of `EYES`: lids closed, brows raised, gaze to the picture's right and up, about -1..1."""
    blink = (face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2
    brow = face.blendshape("browInnerUp") - (face.blendshape("browDownLeft") + face.blendshape("browDownRight")) / 2
    right = face.blendshape("eyeLookOutLeft") + face.blendshape("eyeLookInRight")
    right -= face.blendshape("eyeLookInLeft") + face.blendshape("eyeLookOutRight")
    up = face.blendshape("eyeLookUpLeft") - face.blendshape("eyeLookDownLeft")
    return np.array([blink, brow, right / 2, up], np.float32)


def upper_face_coefficients(face: Face) -> np.ndarray:
    """(10,) float32 of `UPPER_FACE`."""
    pairs = [
        (face.blendshape(f"{name}Left") + face.blendshape(f"{name}Right")) / 2
        for name in ("browOuterUp", "browDown", "eyeSquint", "eyeWide")
    ]
    uneven = face.blendshape("eyeBlinkLeft") - face.blendshape("eyeBlinkRight")
    return np.array([*eye_coefficients(face), face.blendshape("browInnerUp"), *pairs, uneven], np.float32)


def standardize(values: np.ndarray, train_frames: int) -> np.ndarray:
    """(N, M) float32 of (N, M) coefficients: mean 0 and deviation 1 over the training frames, clipped to 4 deviations."""
    mean, deviation = values[:train_frames].mean(0), values[:train_frames].std(0) + 0.01
    return np.clip((values - mean) / deviation, -_CLIP_DEVIATIONS, _CLIP_DEVIATIONS).astype(np.float32)


def fit_mesh_basis(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(M, rows, columns, 3) float32: world units by which the relief moves per unit of each coefficient, by the mesh.

    Args:
        points: (N, 468, 3) mesh points in pixels.
        coefficients: (N, M) mouth and upper face in the same frames.
    """
    canonical = canonical_points(points) * UNITS_PER_CM
    square, rows = _ridge_system(coefficients)
    weights = np.linalg.solve(square, rows.T @ canonical.reshape(len(rows), -1))
    count = coefficients.shape[1]
    moves = weights[:count].reshape(count, mesh.VERTEX_COUNT, 3).transpose(1, 0, 2).reshape(mesh.VERTEX_COUNT, -1)
    values, is_mesh = rasterize_mesh(canonical.mean(0), moves)
    # beyond the face the movement of its edge fades out
    distance, nearest = cv2.distanceTransformWithLabels(
        (~is_mesh).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    cell = np.zeros(nearest.max() + 1, np.int64)
    cell[nearest[is_mesh]] = np.flatnonzero(is_mesh)
    fade = np.exp(-np.square(distance / _FADE_CELLS))[..., None]
    spread = values.reshape(-1, values.shape[-1])[cell[nearest]] * fade
    return spread.reshape(*GRID_HW, count, 3).transpose(2, 0, 1, 3).astype(np.float32)


def fit_residual_basis(
    moves: np.ndarray, confidence: np.ndarray, coefficients: np.ndarray, rotation: np.ndarray
) -> np.ndarray:
    """(M, rows, columns, 3) float32: as `fit_mesh_basis`, for the movements that `SurfaceTracker` measured beside it.

    Args:
        moves: (T, *CELL_HW, 2) of the training frames.
        confidence: (T, *CELL_HW).
        coefficients: (T, M) mouth and upper face.
        rotation: (3, 3) the base frame's world to camera.
    """
    square, rows = _ridge_system(coefficients)
    inverse = np.linalg.solve(square, rows.T)[:-1].astype(np.float32)
    slopes = (inverse @ moves.reshape(len(moves), -1).astype(np.float32)).reshape(-1, *CELL_HW, 2)
    mean = confidence.astype(np.float32).mean(0)
    weight = mean / (mean + _MIN_CONFIDENCE)
    total = cv2.GaussianBlur(weight, (0, 0), 0.5) + 0.05
    x, y = np.meshgrid(*(np.arange(side, dtype=np.float32) / 2 for side in GRID_HW[::-1]))
    basis = np.zeros((len(slopes), *GRID_HW, 3), np.float32)
    for number, slope in enumerate(slopes):
        smooth = cv2.GaussianBlur(slope * weight[..., None], (0, 0), 0.5) / total[..., None]
        whole = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        basis[number] = whole @ rotation[:2].astype(np.float32)
    return basis


def fit_surface_components(
    moves: np.ndarray, confidence: np.ndarray, mask: np.ndarray, train_frames: int
) -> np.ndarray:
    """(N, SURFACE_COMPONENTS) float32 coefficients of each frame's movement in the training frames' principal components.

    Args:
        moves: (N, *CELL_HW, 2) from `SurfaceTracker`.
        confidence: (N, *CELL_HW).
        mask: CELL_HW bool, the cells above the cheeks.
        train_frames: number of training frames.
    """
    weights = np.sqrt(confidence[:train_frames].astype(np.float32).mean(0))[mask][:, None]
    sample = np.linspace(0, train_frames - 1, min(train_frames, _PCA_FRAMES)).astype(int)

    def select_rows(indices: np.ndarray) -> np.ndarray:
        return (moves[indices][:, mask].astype(np.float32) * weights).reshape(len(indices), -1)

    rows = select_rows(sample)
    mean = rows.mean(0)
    components = np.linalg.svd(rows - mean, full_matrices=False)[2][:SURFACE_COMPONENTS]
    coefficients = np.zeros((len(moves), SURFACE_COMPONENTS), np.float32)
    for chunk in np.array_split(np.arange(len(moves)), -(-len(moves) // _PCA_FRAMES)):
        coefficients[chunk, : len(components)] = (select_rows(chunk) - mean) @ components.T
    # in hundredths, so that `standardize` does not take deviations of a tenth of a pixel for none
    return coefficients * 100


def _ridge_system(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The regularised normal matrix (M + 1, M + 1) and the rows (N, M + 1) of a regression with a free constant."""
    rows = np.concatenate([coefficients, np.ones((len(coefficients), 1))], 1).astype(np.float64)
    penalty = _RIDGE * np.diag([1.0] * coefficients.shape[1] + [0.0])
    return rows.T @ rows + penalty, rows
