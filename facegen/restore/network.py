"""The restorer's network: a small UNet on pixel-unshuffled faces, one pass, with a residual connection."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from facegen.restore.unet import UNet

FOLD = 4
"""Factor of the pixel unshuffle before the first convolution."""


@dataclass(frozen=True, kw_only=True)
class RestorerConfig:
    """Architecture of a restorer."""

    widths: tuple[int, ...] = (48, 80, 112)
    """Channels at 1/4, 1/8 and 1/16 of the input's side; multiples of 8."""
    layers: int = 1
    """Residual blocks at each scale."""

    def build(self) -> RestorerNet:
        """An untrained network, which is the identity."""
        return RestorerNet(self)


class RestorerNet(nn.Module):
    """Predicts the residual between a degraded face and the photograph."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        channels = 3 * FOLD * FOLD
        self.unet = UNet(channels, channels, config.widths, config.layers)
        for parameter in self.unet.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], H and W multiples of 16, to restored RGB of the same shape, not clipped."""
        folded = F.pixel_unshuffle(pictures * 2 - 1, FOLD)
        residual = self.unet(folded, 0)
        return pictures + F.pixel_shuffle(residual, FOLD).to(pictures.dtype)
