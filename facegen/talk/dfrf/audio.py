"""Audio conditioning: features of each frame, the encoder that turns them into a code, a regression to mouth shapes.

A frame has sixteen rows of features around it, a 50th of a second apart, as DeepSpeech's in DFRF's `aud.npy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facegen.talk.motion import MotionModel
from facegen.talk.rig import RIG_SIZE, load_rig
from facegen.talk.speech import FEATURES, Speech

ROWS_PER_FRAME = 16
"""Rows of features of one frame."""
ROWS_PER_SECOND = 50
FEATURE_SIZE = FEATURES + RIG_SIZE
"""Numbers in a row: mels and phones, then the mouth that the speaker-independent motion network predicts."""
WINDOW = 8
"""Neighbouring frames whose codes are smoothed into one; the frame itself is number WINDOW // 2."""
CODE_SIZE = 64
"""Numbers in the audio code of a frame."""

_CHUNK_FRAMES = 500
_AUDIO_DROPOUT = 0.3
_AUDIO_NOISE = 0.1
_RIDGE = 2000.0
_FOLDS = 3
_TARGET_DEVIATION = 0.7
"""Deviation of the predicted lip opening over that of the measured one; plain ridge regression gives less."""
_LARGEST_GAIN = 2.5
_REGRESSION_FRAMES, _REGRESSION_ROWS = slice(1, 8), slice(4, 12, 2)


def extract_features(speech: Speech, seconds: np.ndarray) -> np.ndarray:
    """(N, ROWS_PER_FRAME, FEATURE_SIZE) float16 features around given times, (N,) seconds."""
    offsets = np.arange(ROWS_PER_FRAME) - (ROWS_PER_FRAME - 1) / 2
    times = np.asarray(seconds)[:, None] + offsets[None] / ROWS_PER_SECOND
    mouth = MotionModel.load().animate_mouth(speech, np.maximum(times.ravel(), 0))
    rows = np.empty((*times.shape, FEATURE_SIZE), np.float16)
    rows[..., FEATURES:] = mouth.reshape(*times.shape, RIG_SIZE)
    features = speech.features()
    for start in range(0, len(rows), _CHUNK_FRAMES):
        chunk = times[start : start + _CHUNK_FRAMES]
        sampled = speech.sample(features, chunk.ravel())
        rows[start : start + _CHUNK_FRAMES, :, :FEATURES] = sampled.reshape(*chunk.shape, FEATURES)
    return rows


def select_windows(features: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """(B, WINDOW, ROWS_PER_FRAME, FEATURE_SIZE): the frames around each index; the first and last are repeated."""
    frames = np.asarray(indices)[:, None] + np.arange(WINDOW) - WINDOW // 2
    return features[np.clip(frames, 0, len(features) - 1)]


class AudioNet(nn.Module):
    """AudioNet of AD-NeRF: (B, ROWS_PER_FRAME, FEATURE_SIZE) features of one frame to (B, CODE_SIZE)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (FEATURE_SIZE, 32, 32, 64, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv1d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(0.02)]
        self.rows = nn.Sequential(*layers)
        self.code = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.02), nn.Linear(64, CODE_SIZE))

    def forward(self, features: Tensor) -> Tensor:
        """Codes, each from its own frame alone."""
        assert features.shape[1] == ROWS_PER_FRAME
        return self.code(self.rows(features.transpose(1, 2)).squeeze(2))


class AudioEncoder(nn.Module):
    """AudioNet with AD-NeRF's attention over WINDOW neighbouring frames, and a linear head for the mouth.

    The head is trained against the measured mouth, so that codes describe movements that generalise to new audio.
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = AudioNet()
        widths = (CODE_SIZE, 16, 8, 4, 2, 1)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.02)]
        self.scores = nn.Sequential(*layers)
        self.weights = nn.Linear(WINDOW, WINDOW)
        # attention starts as a bell around the frame itself
        with torch.no_grad():
            centre = (WINDOW - 1) / 2 + 0.5
            self.weights.bias.copy_(-(torch.arange(WINDOW) - centre).square() / 2)
        self.mouth = nn.Linear(CODE_SIZE, RIG_SIZE)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Audio codes and mouth coefficients.

        Args:
            features: (B, WINDOW, ROWS_PER_FRAME, FEATURE_SIZE).

        Returns:
            (B, CODE_SIZE) and (B, RIG_SIZE).
        """
        if self.training:
            features = _augment(features)
        codes = self.net(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        weights = torch.softmax(self.weights(self.scores(codes.transpose(1, 2)).squeeze(1)), 1)
        code = (codes * weights[..., None]).sum(1)
        return code, self.mouth(code)


def _augment(features: Tensor) -> Tensor:
    """Noise on all features, and audio dropout: in some samples mels and phones are 0, the predicted mouth stays."""
    features = features + torch.randn_like(features) * _AUDIO_NOISE
    keeps = torch.rand(len(features), 1, 1, 1, device=features.device) >= _AUDIO_DROPOUT
    return torch.cat([features[..., :FEATURES] * keeps, features[..., FEATURES:]], -1)


@dataclass(frozen=True, eq=False)
class MouthRegression:
    """Ridge regression from audio features to one person's mouth; half a minute of video is enough to fit it."""

    mean: np.ndarray
    """(F,) of the inputs."""
    deviation: np.ndarray
    """(F,)."""
    weights: np.ndarray
    """(F, RIG_SIZE)."""
    rest: np.ndarray
    """(RIG_SIZE,) the person's mean mouth."""

    @classmethod
    def fit(cls, windows: np.ndarray, mouth: np.ndarray) -> MouthRegression:
        """Fits to (N, WINDOW, ROWS_PER_FRAME, FEATURE_SIZE) features and (N, RIG_SIZE) measured mouths."""
        inputs = _select_inputs(windows)
        mean, deviation, rest = inputs.mean(0), inputs.std(0) + 0.1, mouth.mean(0)
        rows, targets = (inputs - mean) / deviation, mouth - rest
        opening = load_rig().opening
        # the gain is measured by cross-validation over segments of the video, since a fit looks better on its training data
        predicted = np.zeros(len(rows))
        for fold in np.array_split(np.arange(len(rows)), _FOLDS):
            others = np.setdiff1d(np.arange(len(rows)), fold)
            predicted[fold] = rows[fold] @ _solve_ridge(rows[others], targets[others]) @ opening
        gain = np.clip(_TARGET_DEVIATION * (targets @ opening).std() / (predicted.std() + 1e-6), 1.0, _LARGEST_GAIN)
        return cls(mean, deviation, _solve_ridge(rows, targets) * gain, rest)

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """(N, RIG_SIZE) float32 mouths of (N, WINDOW, ROWS_PER_FRAME, FEATURE_SIZE) features."""
        mouths = ((_select_inputs(windows) - self.mean) / self.deviation) @ self.weights + self.rest
        return np.asarray(mouths, np.float32)


def _select_inputs(windows: np.ndarray) -> np.ndarray:
    """(N, F) float64: the rows and frames around the middle that the regression uses."""
    assert windows.shape[-1] > FEATURES
    return windows[:, _REGRESSION_FRAMES, _REGRESSION_ROWS].reshape(len(windows), -1).astype(np.float64)


def _solve_ridge(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(rows.shape[1]), rows.T @ targets)
