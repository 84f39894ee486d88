"""The autoencoder of the progress report, from scratch: one encoder, a decoder for each person, residual blocks, batch norm.

Strided convolutions, one more of 3x3, dense layers, residual blocks, and a discriminator at the end of the training
(`SaehdOptions.gan_start`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BatchNormResidual(nn.Module):
    """Residual block of two 3x3 convolutions with batch norm (He et al., arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return F.leaky_relu(x + self.layers(x), 0.1)


def _down(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)]


class ScratchEncoder(nn.Module):
    """Strided 4x4 convolutions, a 3x3 one, a residual block, to a flat vector."""

    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__()
        widths = [3, channels, 2 * channels, 4 * channels, 8 * channels]
        layers = [layer for a, b in zip(widths, widths[1:], strict=False) for layer in _down(a, b)]
        last = widths[-1]
        layers += [nn.Conv2d(last, last, 3, 1, 1, bias=False), nn.BatchNorm2d(last), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, BatchNormResidual(last))
        self.size = last * (resolution // 16) ** 2

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, R, R) in [0, 1] to (B, size)."""
        return self.layers(pictures).flatten(1)


class ScratchDecoder(nn.Module):
    """Pixel shuffles with residual blocks between them; the last layer outputs picture and mask."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        widths = [inputs, 8 * channels, 4 * channels, 2 * channels]
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [
                nn.Conv2d(a, b * 4, 3, 1, 1, bias=False),
                nn.PixelShuffle(2),
                nn.BatchNorm2d(b),
                nn.LeakyReLU(0.1),
            ]
            layers.append(BatchNormResidual(b))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 4, 3, 1, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, L, L) to picture (B, 3, R, R) and mask (B, 1, R, R), both in [0, 1]."""
        output = torch.sigmoid(self.layers(features))
        return output[:, :3], output[:, 3:]
