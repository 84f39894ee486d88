"""What holds the restorer to believable detail: a critic of patches and of the parser's maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.restore.features import CHANNELS
from facegen.restore.texture import details

MAPS = 4
"""Maps of the parser that the critic looks at."""
_HEAD = 48


class Pixels(nn.Module):
    """Scores small patches by their pixels (arXiv:1611.07004).

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
        h = F.pixel_unshuffle(torch.cat([pictures * 2 - 1, details(pictures)], 1), 2)
        return self.last(self.stages(h))


class PatchCritic(nn.Module):
    """Scores patches by their pixels, at two sizes, and by frozen maps of the parser (arXiv:2111.01007).

    Heads on maps that need no training say within some hundred steps what is wrong with a face; the pixels show them
    what the parser overlooks.

    Args:
        width: channels of the first layer, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fine, self.coarse = Pixels(width), Pixels(width)
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _HEAD, 3, 1, 1), nn.GroupNorm(8, _HEAD), nn.LeakyReLU(0.2),
                nn.Conv2d(_HEAD, _HEAD, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(_HEAD, 1, 1),
            )
            for channels in CHANNELS[:MAPS]
        )  # fmt: skip

    def pixels(self, pictures: Tensor) -> list[Tensor]:
        """Maps of scores of (B, 3, S, S) RGB in [0, 1], as they are and at half their size."""
        return [self.fine(pictures), self.coarse(F.avg_pool2d(pictures, 2))]

    def forward(self, pictures: Tensor, maps: list[Tensor]) -> list[Tensor]:
        """Maps of scores of pictures and of the parser's maps of them."""
        return [*self.pixels(pictures), *(head(m) for head, m in zip(self.heads, maps, strict=True))]


def rivalry(winners: list[Tensor], losers: list[Tensor]) -> Tensor:
    """Relativistic loss of a side that wants `winners` to be scored above `losers` (arXiv:1807.00734).

    Patches of the same place are compared, so that it is about how they are drawn rather than what they show.
    """
    terms = [F.softplus(b.float() - a.float()).mean() for a, b in zip(winners, losers, strict=True)]
    return torch.stack(terms).mean()
