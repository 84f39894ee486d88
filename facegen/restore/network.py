"""The restorer's network: a small diffusers UNet2DModel on pixel-unshuffled faces, one pass, with a residual connection."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers.models.unets.unet_2d import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

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


def small_unet(inputs: int, outputs: int, widths: tuple[int, ...], layers: int) -> UNet2DModel:
    """A diffusers UNet of residual blocks without attention.

    Args:
        inputs: input channels.
        outputs: output channels.
        widths: channels at each scale, every one half as large as the one before; multiples of 8.
        layers: residual blocks at each scale.
    """
    return UNet2DModel(
        in_channels=inputs,
        out_channels=outputs,
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * len(widths),
        up_block_types=("UpBlock2D",) * len(widths),
        norm_num_groups=8,
        add_attention=False,
    )


class RestorerNet(nn.Module):
    """Predicts the residual between a degraded face and the photograph."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        channels = 3 * FOLD * FOLD
        self.unet = small_unet(channels, channels, config.widths, config.layers)
        for parameter in self.unet.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], H and W multiples of 16, to restored RGB of the same shape, not clipped."""
        folded = F.pixel_unshuffle(pictures * 2 - 1, FOLD)
        residual = self.unet(folded, 0).sample
        return pictures + F.pixel_shuffle(residual, FOLD).to(pictures.dtype)
