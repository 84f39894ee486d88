"""The finishing network: how light changes over a face that moves, as fields of half its resolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.restore.data import blur
from facegen.talk.finish.inputs import MAPS

LIGHT = 0.5
"""Largest change of the logarithm of light on skin and between the lips."""
LASHES = 1.2
"""The same round lids that move: a line of lashes is far darker than skin."""
_FOLD = 2
_SMOOTH = 1.0
"""Light knows no sharper edges than this, in cells of its field: about 1.5 mm."""


@dataclass(frozen=True, kw_only=True)
class FinishNetConfig:
    """Size of the network."""

    widths: tuple[int, ...] = (16, 32, 48, 56)
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the square's side."""

    def __post_init__(self) -> None:
        check(self)


class PointwiseResidual(nn.Module):
    """Residual block of a 3x3 and a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread, self.mix = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + self.mix(F.silu(self.spread(x)))


class FinishNet(nn.Module):
    """A U-Net (arXiv:1505.04597) that predicts smooth factors of the drawn colours.

    So it can draw shade and open a dark mouth to the light, but never blur skin or teeth, nor colour them.
    """

    def __init__(self, config: FinishNetConfig) -> None:
        super().__init__()
        self.config = config
        first, *others = config.widths
        self.enter = nn.Conv2d(3 * _FOLD**2 + MAPS, first, 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(config.widths, others, strict=False))
        self.blocks = nn.ModuleList(PointwiseResidual(width) for width in others)
        self.bottom = PointwiseResidual(others[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(others, others[1:], strict=False))
        self.backs = nn.ModuleList(PointwiseResidual(width) for width in others[:-1])
        self.leave, self.fine = nn.Conv2d(others[0], 3 * _FOLD**2, 3, 1, 1), nn.Conv2d(first, 3, 3, 1, 1)
        for last in (self.leave, self.fine):
            nn.init.normal_(last.weight, std=1e-3)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, drawn: Tensor, maps: Tensor) -> Tensor:
        """Predicts the change of light, before it is masked.

        Args:
            drawn: (B, 3, S, S) RGB in [0, 1]; S a multiple of 16.
            maps: (B, MAPS, S / 2, S / 2) in [-1, 1].

        Returns:
            (B, 3, S / 2, S / 2) smooth changes of the logarithm of light, on skin and between the lips within `LIGHT`, and
            round the eyes within `LASHES`.
        """
        entered = x = F.silu(self.enter(torch.cat([F.pixel_unshuffle(drawn * 2 - 1, _FOLD), maps], 1)))
        passed = []
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(F.silu(down(x)))
            passed.append(x)
        x = self.bottom(x)
        for up, back, beside in zip(reversed(self.ups), reversed(self.backs), reversed(passed[:-1]), strict=True):
            x = back(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + beside)
        predicted = F.pixel_shuffle(self.leave(F.silu(x)), _FOLD) + self.fine(entered)
        return smooth(
            torch.tanh(predicted.float()) * predicted.new_tensor([LIGHT, LIGHT, LASHES])[:, None, None], _SMOOTH
        )


def relight(drawn: Tensor, change: Tensor, light: Tensor, region: Tensor, eyes: Tensor) -> Tensor:
    """Applies a change of light to drawn faces: (B, 3, S, S), not clipped.

    Args:
        drawn: (B, 3, S, S) RGB in [0, 1].
        change: (B, 3, S / 2, S / 2) of `FinishNet`.
        light: (B, 1, S / 4, S / 4) 0..1, how far light may change on skin.
        region: (B, 1, S, S) 0..1, how far it may change between the lips instead.
        eyes: (B, 1, S / 2, S / 2) 0..1, how far it may change round the eyes besides.
    """
    skin, mouth, lids = change.chunk(3, 1)
    free = F.interpolate(light, size=change.shape[-2:], mode="bilinear", align_corners=False)
    fields = torch.cat([skin * free + lids * eyes, mouth], 1)
    skin, mouth = F.interpolate(fields, size=drawn.shape[-2:], mode="bilinear", align_corners=False).chunk(2, 1)
    # what is bright already, such as teeth, is not to be blown out; squared, the region ends within the lips' edges
    mouth = mouth * (1 - drawn.mean(1, keepdim=True).square())
    return drawn * torch.lerp(skin, mouth, region.square()).exp()


def smooth(fields: Tensor, sigma: float) -> Tensor:
    """(B, C, h, w) fields without what is finer than `sigma` cells."""
    batch, channels = fields.shape[:2]
    apart = fields.reshape(batch * channels, 1, *fields.shape[2:]).expand(-1, 3, -1, -1)
    return blur(apart, sigma)[:, :1].reshape(fields.shape)
