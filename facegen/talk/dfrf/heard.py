"""What one person's mouth does to a sound: ridge regression on their own video, which half a minute is enough for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.talk.rig import load_rig
from facegen.talk.speech import FEATURES

_RIDGE = 2000.0
_FOLDS = 3
_LIVELY = 0.7
"""How wide lips are to open, of what they really do: what is expected of them is always less."""
_WIDEST_STRETCH = 2.5
_FRAMES, _ROWS = slice(1, 8), slice(4, 12, 2)


@dataclass(frozen=True, eq=False)
class HeardMouth:
    """From sound windows to the mouth rig's numbers."""

    mean: np.ndarray
    """(F,) of the inputs."""
    deviation: np.ndarray
    """(F,)."""
    weights: np.ndarray
    """(F, RIG_SIZE)."""
    rest: np.ndarray
    """(RIG_SIZE,) the person's mean mouth."""

    @classmethod
    def fit(cls, windows: np.ndarray, mouth: np.ndarray) -> HeardMouth:
        """Fit to (N, WINDOW, FEATURES_AT_ONCE, WIDTH) windows and (N, RIG_SIZE) measured mouths of the same frames."""
        inputs = _inputs(windows)
        mean, deviation, rest = inputs.mean(0), inputs.std(0) + 0.1, mouth.mean(0)
        rows, wanted = (inputs - mean) / deviation, mouth - rest
        opening = load_rig().opening
        # on stretches left out in turn: a fit flatters itself on what it was fitted to
        foretold = np.zeros(len(rows))
        for part in np.array_split(np.arange(len(rows)), _FOLDS):
            others = np.setdiff1d(np.arange(len(rows)), part)
            foretold[part] = rows[part] @ _ridge(rows[others], wanted[others]) @ opening
        stretch = np.clip(_LIVELY * (wanted @ opening).std() / (foretold.std() + 1e-6), 1.0, _WIDEST_STRETCH)
        return cls(mean, deviation, _ridge(rows, wanted) * stretch, rest)

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """(N, RIG_SIZE) float32 mouths of (N, WINDOW, FEATURES_AT_ONCE, WIDTH) windows."""
        said = ((_inputs(windows) - self.mean) / self.deviation) @ self.weights + self.rest
        return np.asarray(said, np.float32)


def _inputs(windows: np.ndarray) -> np.ndarray:
    assert windows.shape[-1] > FEATURES
    return windows[:, _FRAMES, _ROWS].reshape(len(windows), -1).astype(np.float64)


def _ridge(rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(rows.shape[1]), rows.T @ wanted)
