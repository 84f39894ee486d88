"""The harmonization network: from a drawn face and its surroundings to fields that relight the drawing."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.swap.harmonization.inputs import FINER, FOLD, LIGHT, MAPS, SOFTER, WIDTHS


class ConvBlock(nn.Module):
    """A residual block of a spatial convolution and a mixing one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial, self.mix = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return x + self.mix(F.relu(self.spatial(x)))


class HarmonizationNet(nn.Module):
    """A U-Net (arXiv:1505.04597) whose fields change slow light and scale fine detail, but cannot draw features."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3 * FOLD**2 + MAPS, widths[0], 3, 1, 1)
        self.first = ConvBlock(widths[0])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.encoder = nn.ModuleList(ConvBlock(width) for width in widths[1:])
        self.bottleneck = ConvBlock(widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.decoder = nn.ModuleList(ConvBlock(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, drawn: Tensor, maps: Tensor) -> Tensor:
        """Predicts the fields.

        Args:
            drawn: (B, 3, SIDE, SIDE) log RGB less the target's tone.
            maps: (B, MAPS, FIELD, FIELD), see `HarmonizationInput`.

        Returns:
            (B, 4, FIELD, FIELD): change of log RGB within `LIGHT`, and the log factor on fine detail.
        """
        x = self.first(F.relu(self.stem(torch.cat([F.pixel_unshuffle(drawn, FOLD), maps], 1))))
        skips = [x]
        for down, block in zip(self.downs, self.encoder, strict=True):
            x = block(F.relu(down(x)))
            skips.append(x)
        x = self.bottleneck(skips.pop())
        for up, block, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(skips), strict=True):
            x = block(F.relu(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skip))
        fields = self.head(x)
        change = torch.tanh(fields[:, :3] / LIGHT) * LIGHT
        return torch.cat([change, fields[:, 3:].clamp(SOFTER, FINER)], 1)
