"""`FieldNet`: from a picture and maps to fields, a third as large."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.swap.fields.graph import FOLD, WIDTHS


class ConvBlock(nn.Module):
    """A residual block of a spatial convolution and a mixing one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial, self.mix = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return x + self.mix(F.relu(self.spatial(x)))


class FieldNet(nn.Module):
    """A U-Net (arXiv:1505.04597) that begins with fields of 0."""

    def __init__(self, maps: int, fields: int, widths: tuple[int, ...] = WIDTHS) -> None:
        """A fresh network.

        Args:
            maps: channels of the maps.
            fields: channels of the fields.
            widths: channels of the features, each at half the size of the one before.
        """
        super().__init__()
        self.stem = nn.Conv2d(3 * FOLD**2 + maps, widths[0], 3, 1, 1)
        self.first = ConvBlock(widths[0])
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.encoder = nn.ModuleList(ConvBlock(width) for width in widths[1:])
        self.bottleneck = ConvBlock(widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:], strict=False))
        self.decoder = nn.ModuleList(ConvBlock(width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], fields, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, picture: Tensor, maps: Tensor) -> Tensor:
        """Predicts the fields, unlimited.

        Args:
            picture: (B, 3, SIDE, SIDE).
            maps: (B, C, FIELD, FIELD).

        Returns:
            (B, F, FIELD, FIELD).
        """
        x = self.first(F.relu(self.stem(torch.cat([F.pixel_unshuffle(picture, FOLD), maps], 1))))
        skips = [x]
        for down, block in zip(self.downs, self.encoder, strict=True):
            x = block(F.relu(down(x)))
            skips.append(x)
        x = self.bottleneck(skips.pop())
        for up, block, skip in zip(reversed(self.ups), reversed(self.decoder), reversed(skips), strict=True):
            x = block(F.relu(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + skip))
        fields: Tensor = self.head(x)
        return fields


def save_half(model: nn.Module, path: Path) -> Path:
    """Write a network's state in half precision; returns the path."""
    from safetensors.torch import save_file

    state = model.state_dict()
    save_file({name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}, path)
    return path
