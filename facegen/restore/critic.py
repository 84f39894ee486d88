"""The restorer's critic (discriminator): patches of pixels at two scales, and feature maps of the face parser."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.restore.losses import CHANNELS, high_pass

MAPS = 4
"""Number of the parser's feature maps that the critic sees."""
_HEAD_WIDTH = 48


class PatchDiscriminator(nn.Module):
    """Scores small patches by their pixels (PatchGAN, arXiv:1611.07004).

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
        self.stages = nn.Sequential(*stages)
        self.last = nn.Conv2d(3 * width, 1, 3, 1, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 1, S / 8, S / 8) scores of (B, 3, S, S) RGB in [0, 1]."""
        h = F.pixel_unshuffle(torch.cat([pictures * 2 - 1, high_pass(pictures)], 1), 2)
        return self.last(self.stages(h))


class RestorerCritic(nn.Module):
    """Scores patches of pixels at two scales, and frozen feature maps of the parser (Projected GAN, arXiv:2111.01007).

    Heads on frozen features learn within some hundred steps; the patch discriminators see what the parser ignores.

    Args:
        width: channels of the first layer, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fine, self.coarse = PatchDiscriminator(width), PatchDiscriminator(width)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _HEAD_WIDTH, 3, 1, 1), nn.GroupNorm(8, _HEAD_WIDTH), nn.LeakyReLU(0.2),
                nn.Conv2d(_HEAD_WIDTH, _HEAD_WIDTH, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(_HEAD_WIDTH, 1, 1),
            )
            for channels in CHANNELS[:MAPS]
        )  # fmt: skip

    def score_pixels(self, pictures: Tensor) -> list[Tensor]:
        """Score maps of (B, 3, S, S) RGB in [0, 1] at full and at half resolution."""
        return [self.fine(pictures), self.coarse(F.avg_pool2d(pictures, 2))]

    def forward(self, pictures: Tensor, maps: list[Tensor]) -> list[Tensor]:
        """Score maps of pictures and of the parser's feature maps of them."""
        return [*self.score_pixels(pictures), *(head(m) for head, m in zip(self.heads, maps, strict=True))]


def relativistic_loss(preferred: list[Tensor], other: list[Tensor]) -> Tensor:
    """Relativistic GAN loss: `preferred` should score above `other` (arXiv:1807.00734).

    Score maps are compared position by position: corresponding patches show the same content in both.
    """
    terms = [F.softplus(b.float() - a.float()).mean() for a, b in zip(preferred, other, strict=True)]
    return torch.stack(terms).mean()
