"""The phases of a picture's spectrum, and how well they fit a pattern of the watermark at a size, turn and position.

Of each frequency only the phase counts, weighted by how far its amplitude stands out of its neighbours. In a picture
without the mark the phases of the pattern have nothing to do with those of the picture. A score is the weighted sum of the
cosines of K differences of phase, in its standard deviations; whatever the picture, P(score > x) <= exp(-x^2 / 2), because
the cosine of a uniform phase has the moment generating function I0(t) <= exp(t^2 / 4) (Hoeffding's argument).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facegen.provenance.watermark import POINTS, SMALL, TILES, lattice

_LARGEST = 512
"""Shorter side at which pictures are examined; the lattice ends at 62 cycles along the shorter side of the original."""
_SPARE = 1.5
"""Size of the transform against the picture: its samples lie this much closer than the picture's own frequencies."""
_BAND = (8, 90)
"""Cycles along the shorter side within which the pattern may lie, from a crop to the original's own size."""


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """Weighted phases of one picture."""

    phases: NDArray[np.complex64]
    """(H, W) as by `fft2`, the origin in the picture's middle."""
    size_hw: tuple[int, int]
    """Size at which the picture was examined."""
    shorter: int
    """Shorter side of the picture as it came."""


@dataclass(frozen=True, kw_only=True)
class Fits:
    """The best fits of a pattern, one for each tried geometry."""

    scores: NDArray[np.float32]
    """(N,) standard deviations above chance at the best position."""
    positions: NDArray[np.intp]
    """(N,) index of that position."""


def examine(luma: NDArray[np.float32]) -> Spectrum:
    """Transforms a picture: detail against its neighbourhood, so that no edge outweighs the rest.

    Args:
        luma: (H, W) float32 in [0, 255].
    """
    shorter = min(luma.shape)
    if shorter > _LARGEST:
        scale = _LARGEST / shorter
        size_wh = round(luma.shape[1] * scale), round(luma.shape[0] * scale)
        luma = np.asarray(cv2.resize(luma, size_wh, interpolation=cv2.INTER_AREA), np.float32)
    height, width = luma.shape
    side = min(height, width)
    detail = luma - cv2.GaussianBlur(luma, (0, 0), side / 30)
    # strong lows would hide the highs from the second equalising: each ring of frequencies is made as strong as the others
    spectrum = _transform(_equalise(detail, side / 40, gain=1.0, least=1.0))
    detail = _transform_back(spectrum * _whitening(spectrum, side), (height, width))
    spectrum = _transform(_equalise(detail / (float(detail.std()) + 1e-6), side / 90, gain=0.4, least=0.05))
    amplitude = np.abs(spectrum)
    around = np.fft.ifftshift(cv2.blur(np.fft.fftshift(amplitude), (25, 25), borderType=cv2.BORDER_REFLECT))
    weight = np.tanh(amplitude / (around + 1e-3)) / np.maximum(amplitude, 1e-6)
    return Spectrum(phases=np.asarray(spectrum * weight, np.complex64), size_hw=(height, width), shorter=shorter)


def _equalise(detail: NDArray[np.float32], radius: float, *, gain: float, least: float) -> NDArray[np.float32]:
    """Detail against its energy within a radius of pixels, compressed; with less energy than the least it counts as flat."""
    energy = cv2.GaussianBlur(detail * detail, (0, 0), radius)
    return np.asarray(np.tanh(gain * detail / np.sqrt(energy + least)), np.float32)


def _transform(detail: NDArray[np.float32]) -> NDArray[np.complex64]:
    """The spectrum on a larger canvas, with the middle of the picture as origin.

    About that origin turns and scales leave the phases of the lattice alone.
    """
    import scipy.fft  # only who verifies needs it, and it takes a third of a second

    height, width = detail.shape
    canvas = np.zeros(_canvas_hw((height, width)), np.float32)
    canvas[:height, :width] = detail
    canvas = np.roll(canvas, (-(height // 2), -(width // 2)), (0, 1))
    return np.asarray(scipy.fft.fft2(canvas, workers=2), np.complex64)


def _transform_back(spectrum: NDArray[np.complex64], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    import scipy.fft

    height, width = size_hw
    canvas = np.roll(scipy.fft.ifft2(spectrum, workers=2).real, (height // 2, width // 2), (0, 1))
    return np.asarray(canvas[:height, :width], np.float32)


def _canvas_hw(size_hw: tuple[int, int]) -> tuple[int, int]:
    import scipy.fft

    rows, columns = (scipy.fft.next_fast_len(int(length * _SPARE) + 1) for length in size_hw)
    return rows, columns


def _whitening(spectrum: NDArray[np.complex64], side: int) -> NDArray[np.float32]:
    """(H, W) one over the mean amplitude at each distance from the origin; nothing outside of the pattern's band."""
    rows, columns = spectrum.shape
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)) * side
    ring = np.minimum(radius, _BAND[1]).astype(np.intp)
    level = np.bincount(ring.ravel(), np.abs(spectrum).ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    is_used = (radius > _BAND[0]) & (radius < _BAND[1])
    return np.asarray(is_used / np.maximum(level[ring], 1e-3), np.float32)


def read_lattice(
    spectrum: Spectrum, geometries: NDArray[np.float64], wanted: NDArray[np.bool_] | None = None
) -> NDArray[np.complex64]:
    """(N, K) weighted phases at the points of the lattice, for each way in which it may lie in the picture.

    Args:
        spectrum: of the picture.
        geometries: (N, 2, 2) by which a frequency (across, down) of the original picture, in cycles along its shorter
            side, becomes one of this picture, in cycles along this picture's shorter side.
        wanted: (K,) the points that are read, all by default; the others are 0.
    """
    points, (rows, columns) = lattice(), spectrum.phases.shape
    index = np.flatnonzero(np.ones_like(points.published) if wanted is None else wanted)
    waves = np.stack([points.across[index], points.down[index]]).astype(np.float32) * TILES
    cycles = (geometries / min(spectrum.size_hw)).astype(np.float32) @ waves
    column = np.rint(cycles[:, 0] * columns).astype(np.int32) % columns
    row = np.rint(cycles[:, 1] * rows).astype(np.int32) % rows
    values = np.zeros((len(geometries), len(points.published)), np.complex64)
    values[:, index] = spectrum.phases.ravel()[row * columns + column]
    return values


def fit(
    values: NDArray[np.complex64], phases: NDArray[np.complex64], used: NDArray[np.bool_], grid: int = POINTS
) -> Fits:
    """Compares what was read with a pattern at all positions at once, by an inverse transform.

    Args:
        values: (N, K) from `read_lattice`.
        phases: (K,) unit phasors of the pattern.
        used: (K,) or (N, K): the points that the pattern says something with; below half the grid in either direction.
        grid: positions along a side of one repetition.
    """
    import scipy.fft

    points = lattice()
    index = np.flatnonzero(used.any(axis=0) if used.ndim == 2 else used)
    down, across = points.down[index], points.across[index]
    products = values[:, index] * (np.conj(phases) * used)[..., index]
    sums = np.zeros((len(values), grid, grid // 2 + 1), np.complex64)
    sums[:, down % grid, across] = products
    is_middle = across == 0
    sums[:, -down[is_middle] % grid, 0] = np.conj(products[:, is_middle])
    fits = scipy.fft.irfft2(sums, s=(grid, grid), workers=2, overwrite_x=True).reshape(len(values), -1)
    best = fits.argmax(axis=1)
    norm = np.sqrt((np.abs(products) ** 2).sum(axis=1) / 2) + 1e-6
    highest = np.take_along_axis(fits, best[:, None], axis=1)[:, 0] * (grid * grid / 2)
    return Fits(scores=(highest / norm).astype(np.float32), positions=best)


def score_at_origin(values: NDArray[np.complex64], phases: NDArray[np.complex64], used: NDArray[np.bool_]) -> float:
    """Standard deviations above chance of one (K,) reading that was moved to its position."""
    products = values[used] * np.conj(phases[used])
    return float(products.real.sum() / (np.sqrt((np.abs(products) ** 2).sum() / 2) + 1e-6))


def move(values: NDArray[np.complex64], position: int, grid: int) -> NDArray[np.complex64]:
    """(K,) a reading as if the pattern began where the position says."""
    points = lattice()
    turn = (points.down * (position // grid) + points.across * (position % grid)) / grid
    return np.asarray(values * np.exp(2j * np.pi * turn), np.complex64)


def choose_points(shorter: float) -> NDArray[np.bool_]:
    """(K,) the points that an original of this shorter side carries."""
    return lattice().coarse if shorter < SMALL else lattice().fine
