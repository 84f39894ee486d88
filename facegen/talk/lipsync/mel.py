"""The spectrogram that Wav2Lip listens to: 80 bands, 80 columns a second, a window of 16 columns for each frame.

As FaceFusion 3.8 (audio.py, lip_syncer) feeds the networks that it publishes: their bands are triangles side by side, which
do not overlap.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np

SAMPLE_RATE = 16000
"""Samples a second of the sound."""
BANDS, COLUMNS = 80, 16
"""Size of a window."""
COLUMN_RATE = 80
"""Columns a second; column c is centred on sample c * HOP."""
_WINDOW, _HOP = 800, SAMPLE_RATE // COLUMN_RATE
_LOW_HZ, _HIGH_HZ = 55.0, 7600.0
_PRE_EMPHASIS = 0.97
_BLOCK = 4000
_LARGEST = 4.0
"""Bound of the values of a window."""


def compute_spectrogram(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """(80, T) float32 magnitudes of a recording, brought to a peak of 1 and pre-emphasised.

    Args:
        pieces: consecutive pieces of sound, (n,) float32 mono at SAMPLE_RATE each.
    """
    sound = np.concatenate([np.zeros(0, np.float32), *pieces])
    sound = sound / max(float(np.abs(sound).max(initial=0.0)), 1e-6)
    sound = np.append(sound[:1], sound[1:] - _PRE_EMPHASIS * sound[:-1])
    # whole windows, with silence of half a one before and after, as scipy.signal.stft pads
    count = -(-(sound.size + _WINDOW - (_WINDOW - _HOP)) // _HOP)
    padded = np.zeros((count - 1) * _HOP + _WINDOW, np.float32)
    padded[_WINDOW // 2 : _WINDOW // 2 + sound.size] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = np.hanning(_WINDOW + 1)[:-1]
    blocks = (frames[first : first + _BLOCK] * (hann / hann.sum()) for first in range(0, count, _BLOCK))
    return np.concatenate([np.abs(np.fft.rfft(block, axis=1)) @ _bands().T for block in blocks]).T.astype(np.float32)


@functools.cache
def _bands() -> np.ndarray:
    """(80, 401) share of each frequency in each band."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOW_HZ, _HIGH_HZ))
    hertz = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    edges = np.floor((_WINDOW + 1) * hertz / SAMPLE_RATE).astype(int)
    bands = np.zeros((BANDS, _WINDOW // 2 + 1))
    for band, (first, last) in enumerate(zip(edges[:BANDS], edges[1 : BANDS + 1], strict=True)):
        places = np.arange(last - first)
        centre, half = (last - first - 1) / 2, (last - first + (last - first) % 2) / 2
        bands[band, first:last] = 1 - np.abs(places - centre) / half
    return bands


def cut_windows(spectrogram: np.ndarray, times: np.ndarray, strength: float) -> np.ndarray:
    """(N, 80, 16) float32: what is said in the 0.2 s from each time on, as the network takes it.

    Args:
        spectrogram: from `compute_spectrogram`.
        times: (N,) seconds; past the end the last window stays.
        strength: how strongly it drives the mouth; 1 is as it was said.
    """
    missing = COLUMNS - spectrogram.shape[1]
    padded = np.pad(spectrogram, ((0, 0), (0, max(missing, 0))))
    first = np.clip((np.asarray(times) * COLUMN_RATE).astype(int), 0, padded.shape[1] - COLUMNS)
    windows = np.lib.stride_tricks.sliding_window_view(padded, COLUMNS, axis=1)[:, first].transpose(1, 0, 2)
    values = np.clip(np.log10(np.maximum(windows, 1e-5)) * 1.6 + 3.2, -_LARGEST, _LARGEST)
    return np.ascontiguousarray(values * strength, np.float32)
