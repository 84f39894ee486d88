"""What holds the restorer to believable detail."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.restore.texture import details


class PatchCritic(nn.Module):
    """Scores small patches (arXiv:1611.07004).

    Args:
        width: channels of the first layer, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        stages: list[nn.Module] = [nn.Sequential(nn.Conv2d(24, width, 3, 1, 1), nn.LeakyReLU(0.2))]
        for inputs, outputs in ((width, 2 * width), (2 * width, 3 * width)):
            stages.append(
                nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2))
            )
        self.stages = nn.ModuleList(stages)
        self.last = nn.Conv2d(3 * width, 1, 3, 1, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, S / 8, S / 8) scores and features of (B, 3, S, S) RGB in [0, 1]."""
        h = F.pixel_unshuffle(torch.cat([pictures * 2 - 1, details(pictures)], 1), 2)
        features = []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return self.last(h), features
