"""From sound features to the code that a field is told: AudioNet and its smoothing attention (AD-NeRF, DFRF)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facegen.talk.dfrf.folder import FEATURES_AT_ONCE
from facegen.talk.dfrf.listening import WIDTH
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import FEATURES

CODE = 64
"""Numbers that say a moment's sound."""
EYES = 4
"""Numbers that say the eyes, where no more is told: lids, brows, gaze to the right and up."""
WINDOW = 8
"""Neighbouring frames whose codes are smoothed into one."""
_DEAF_SHARE = 0.3
_NOISE = 0.1


class AudioNet(nn.Module):
    """(B, FEATURES_AT_ONCE, WIDTH) features of one frame to (B, CODE)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (WIDTH, 32, 32, 64, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv1d(inputs, outputs, 3, stride=2, padding=1), nn.LeakyReLU(0.02)]
        self.rows = nn.Sequential(*layers)
        self.code = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.02), nn.Linear(64, CODE))

    def forward(self, features: Tensor) -> Tensor:
        """Codes, each from its own frame alone."""
        assert features.shape[1] == FEATURES_AT_ONCE
        return self.code(self.rows(features.transpose(1, 2)).squeeze(2))


class SoundEncoder(nn.Module):
    """Codes of WINDOW neighbouring frames, weighed by attention; beside it the mouth that the code stands for.

    The second output is held against the measured mouth in training, so that codes mean movements that hold for sound
    never heard, and not single moments of the video.
    """

    def __init__(self) -> None:
        super().__init__()
        self.net = AudioNet()
        widths = (CODE, 16, 8, 4, 2, 1)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv1d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.02)]
        self.scores = nn.Sequential(*layers)
        self.weights = nn.Linear(WINDOW, WINDOW)
        # smoothing starts round the frame itself
        with torch.no_grad():
            centre = (WINDOW - 1) / 2 + 0.5
            self.weights.bias.copy_(-(torch.arange(WINDOW) - centre).square() / 2)
        self.mouth = nn.Linear(CODE, RIG_SIZE)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and mouths.

        Args:
            features: (B, WINDOW, FEATURES_AT_ONCE, WIDTH); the frame itself is number WINDOW // 2.

        Returns:
            (B, CODE) and (B, RIG_SIZE).
        """
        if self.training:
            features = _roughened(features)
        codes = self.net(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        weights = torch.softmax(self.weights(self.scores(codes.transpose(1, 2)).squeeze(1)), 1)
        code = (codes * weights[..., None]).sum(1)
        return code, self.mouth(code)


def _roughened(features: Tensor) -> Tensor:
    """Features as they might have been: noise, and now and then mels and phones missing, so that neither is leant on."""
    features = features + torch.randn_like(features) * _NOISE
    hears = torch.rand(len(features), 1, 1, 1, device=features.device) >= _DEAF_SHARE
    return torch.cat([features[..., :FEATURES] * hears, features[..., FEATURES:]], -1)
