"""Smoothing over the whole clip with zero phase: less jitter, no lag, and no blunted blinks.

Two steps, both by the same filter. The filter is a local straight-line fit with Gaussian weights in real time (so that
variable frame rates and the ends of a track need no special case), which leaves alone what moves evenly; what it takes
away is given back in proportion to how much of it is more than noise there (the local Wiener filter of Lee 1980: gain =
1 - noise variance / local variance). The noise of a track is estimated from its own third differences, robustly.

1. Each face's points are brought into a frame of their own by the similarity that its rigid points (brow, nose bridge,
   temples) have to the track's mean shape: shift, rotation and scale are smoothed lightly, as curves of their own.
2. The points in that frame, where a head at rest really rests, are smoothed more, each with its own gain.
"""

from __future__ import annotations

import numpy as np

RIGID = (
    6,
    168,
    197,
    195,
    5,
    33,
    133,
    263,
    362,
    10,
    151,
    9,
    8,
    109,
    338,
    67,
    297,
    103,
    332,
    54,
    284,
    127,
    356,
    162,
    389,
)
"""Mesh vertices that expressions hardly move: nose bridge, eye corners, forehead, temples."""

RIGID_SECONDS = 0.05
LOCAL_SECONDS = 0.09
_KERNEL_SIGMAS = 2.5
_NOISE_FACTOR, _SUDDEN_FACTOR = 1.5, 3.0
_BLOCK, _MARGIN = 600, 30
# the noise that MediaPipe's mesh can have on a face at rest, as standard deviations (measured on still pictures with
# sensor noise and shifted crops); what is more is motion
_POINT_NOISE, _PIXEL_NOISE = 0.0013, 0.08
_ROTATION_NOISE = 0.004
_TRANSLATION_NOISE = np.array([0.001, 0.001, 0.004])
_BLENDSHAPE_NOISE = 0.02


def smooth_signal(
    values: np.ndarray, seconds: np.ndarray, sigma_seconds: float, max_noise: float | np.ndarray, groups: int = 1
) -> np.ndarray:
    """Zero-phase adaptive smoothing of a signal over time.

    Args:
        values: (N, ..., D); each entry over time is a curve.
        seconds: (N,) rising timestamps.
        sigma_seconds: width of the Gaussian weights.
        max_noise: standard deviation that noise can have at most, a number or (D,): what is more is motion, however
            jerky.
        groups: curves of the last axis that share one gain: D for all of them (a point's x, y and z), 1 for none.

    Returns:
        (N, ..., D) of the same type.
    """
    count = len(seconds)
    if count < 3 or sigma_seconds <= 0:
        return values
    curves = values.reshape(count, -1).astype(np.float64)
    kernel, offsets = _kernels(np.asarray(seconds, np.float64), sigma_seconds)
    flat = _apply(kernel, offsets, curves)
    rest = curves - flat
    # a straight-line fit removes only a part of pure noise
    removed = np.median(1 - kernel[:, offsets == 0].ravel())
    ceiling = np.broadcast_to(np.square(max_noise), values.shape[-1:])
    noise = np.minimum(_noise_variance(curves), np.tile(ceiling, curves.shape[1] // len(ceiling)))
    noise *= _NOISE_FACTOR * removed
    near = (kernel != 0).astype(np.float64)
    local = _apply(near / near.sum(axis=1, keepdims=True), offsets, rest**2)
    near *= np.abs(offsets) <= 1
    moment = _apply(near / near.sum(axis=1, keepdims=True), offsets, rest**2)
    if groups > 1:
        local, moment = (
            np.repeat(energy.reshape(count, -1, groups).mean(axis=2), groups, axis=1) for energy in (local, moment)
        )
        noise = np.repeat(noise.reshape(-1, groups).mean(axis=1), groups)
    # a single jerk is thinned out in the long window: three frames see it, and must be surer as they are fewer
    steady = 1 - noise / np.maximum(local, 1e-20)
    sudden = 1 - _SUDDEN_FACTOR * noise / np.maximum(moment, 1e-20)
    gain = np.clip(np.maximum(steady, sudden), 0, 1)
    return (flat + gain * rest).reshape(values.shape).astype(values.dtype)


def smooth_track(
    points: np.ndarray, matrices: np.ndarray, blendshapes: np.ndarray, seconds: np.ndarray, strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A track without its jitter.

    Args:
        points: (N, 478, 3) float32 pixels.
        matrices: (N, 4, 4) float32 poses.
        blendshapes: (N, 52) float32.
        seconds: (N,) timestamps.
        strength: multiplies the widths of the filters; 0 changes nothing.

    Returns:
        The three arrays, smoothed. Long tracks are worked on piece by piece, so that memory stays small.
    """
    count = len(seconds)
    if count < 3 or strength <= 0:
        return points, matrices, blendshapes
    results: list[tuple[np.ndarray, ...]] = []
    for start in range(0, count, _BLOCK):
        low, high = max(0, start - _MARGIN), min(count, start + _BLOCK + _MARGIN)
        part = slice(low, high)
        keep = slice(start - low, min(count, start + _BLOCK) - low)
        smoothed = (
            _smooth_points(points[part], seconds[part], strength),
            _smooth_poses(matrices[part], seconds[part], strength),
            _smooth_blendshapes(blendshapes[part], seconds[part], strength),
        )
        results.append(tuple(array[keep] for array in smoothed))
    points, matrices, blendshapes = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
    return points, matrices, blendshapes


def jitter_px(points: np.ndarray) -> float:
    """Jitter of points in a typical frame, from their third differences, on the scale of one frame's noise.

    Even motion has none; white noise of standard deviation s has s. The median over the frames, so that real jerks do
    not count.

    Args:
        points: (N, P, 2 or more) with N of 4 or more; x and y are used.
    """
    third = np.diff(points[..., :2].astype(np.float64), n=3, axis=0)
    return float(np.sqrt(np.median((third**2).mean(axis=(1, 2))) / 20))


def _smooth_points(points: np.ndarray, seconds: np.ndarray, strength: float) -> np.ndarray:
    rigid = points[:, list(RIGID), :2].astype(np.float64)
    flat = rigid[..., 0] + 1j * rigid[..., 1]
    center = flat.mean(axis=1)
    shape = flat - center[:, None]
    reference = (shape / np.linalg.norm(shape, axis=1, keepdims=True)).mean(axis=0)
    reference /= np.linalg.norm(reference)
    # frame = factor * reference + center; factor holds size and tilt
    factor = shape @ reference.conj()
    xy = points[..., 0] + 1j * points[..., 1]
    local = (xy - center[:, None]) / factor[:, None]
    depth = points[..., 2] / np.abs(factor)[:, None]
    stacked = np.stack([local.real, local.imag, depth], axis=-1)
    # the mesh's noise grows with the face; below that a pixel's own limits it
    noise_px = _POINT_NOISE * float(np.median(np.ptp(points[:, :, 1], axis=1))) + _PIXEL_NOISE
    noise_share = noise_px / float(np.median(np.abs(factor)))
    stacked = smooth_signal(stacked, seconds, LOCAL_SECONDS * strength, noise_share, groups=3)
    rigid_seconds = RIGID_SECONDS * strength
    translation = np.stack([center.real, center.imag], axis=-1)
    translation = smooth_signal(translation, seconds, rigid_seconds, noise_px, groups=2)
    similarity = np.stack([np.log(np.abs(factor)), np.unwrap(np.angle(factor))], axis=-1)
    similarity = smooth_signal(similarity, seconds, rigid_seconds, noise_share)
    factor = np.exp(similarity[:, 0] + 1j * similarity[:, 1])
    xy = (stacked[..., 0] + 1j * stacked[..., 1]) * factor[:, None] + (translation[:, 0] + 1j * translation[:, 1])[
        :, None
    ]
    z = stacked[..., 2] * np.abs(factor)[:, None]
    return np.stack([xy.real, xy.imag, z], axis=-1).astype(np.float32)


def _smooth_poses(matrices: np.ndarray, seconds: np.ndarray, strength: float) -> np.ndarray:
    """Rotations through their columns (orthonormalised), translations as curves."""
    columns = matrices[:, :3, :3].reshape(len(matrices), 9)
    columns = smooth_signal(columns, seconds, LOCAL_SECONDS * strength, _ROTATION_NOISE, groups=9)
    u, _, vt = np.linalg.svd(columns.reshape(-1, 3, 3).astype(np.float64))
    result = matrices.copy()
    result[:, :3, :3] = u @ vt
    translation = matrices[:, :3, 3]
    noise = np.abs(np.median(translation[:, 2])) * _TRANSLATION_NOISE
    result[:, :3, 3] = smooth_signal(translation, seconds, LOCAL_SECONDS * strength, noise)
    return result


def _smooth_blendshapes(blendshapes: np.ndarray, seconds: np.ndarray, strength: float) -> np.ndarray:
    return smooth_signal(blendshapes, seconds, RIGID_SECONDS * strength, _BLENDSHAPE_NOISE).clip(0, 1)


def _kernels(seconds: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, K) of the neighbours at `offsets` (K,) that give each moment the value of its straight-line fit."""
    step = max(float(np.median(np.diff(seconds))), 1e-4)
    reach = max(1, int(np.ceil(_KERNEL_SIGMAS * sigma / step)))
    offsets = np.arange(-reach, reach + 1)
    index = np.arange(len(seconds))[:, None] + offsets
    is_inside = (index >= 0) & (index < len(seconds))
    lags = seconds[index.clip(0, len(seconds) - 1)] - seconds[:, None]
    weight = np.exp(-0.5 * (lags / sigma) ** 2) * is_inside
    s0, s1, s2 = (np.sum(weight * lags**power, axis=1, keepdims=True) for power in (0, 1, 2))
    spread = s0 * s2 - s1**2
    is_solvable = spread > 1e-12 * s0**2
    line = weight * (s2 - s1 * lags) / np.where(is_solvable, spread, 1)
    return np.where(is_solvable, line, weight / s0), offsets


def _apply(kernel: np.ndarray, offsets: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """(N, D) curves weighted over time; weights outside the track are 0."""
    result = np.zeros_like(curves)
    for column, offset in enumerate(offsets):
        low, high = max(0, -offset), min(len(curves), len(curves) - offset)
        if low < high:
            result[low:high] += kernel[low:high, column, None] * curves[low + offset : high + offset]
    return result


def _noise_variance(curves: np.ndarray) -> np.ndarray:
    """(D,) variance of the white noise in curves, from their median third difference (squares sum to 20)."""
    if len(curves) < 5:
        return np.zeros(curves.shape[1])
    third = np.diff(curves, n=3, axis=0)
    return (np.median(np.abs(third), axis=0) / 0.6745) ** 2 / 20
