"""`UNet`: the UNet of denoising diffusion models (arXiv:2006.11239), with the weights' names of diffusers' `UNet2DModel`.

The two compute the same to the bit (tests/restore/test_unet.py) and load each other's weights. It is written here because
importing `UNet2DModel` takes twice as long as importing torch: diffusers loads torch's compiler and all its transformers.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8
"""Groups of each group norm; channels are multiples of it."""
HEAD_WIDTH = 32
"""Channels of an attention head."""


class ResidualBlock(nn.Module):
    """Twice (group norm, SiLU, 3x3 convolution), with the time embedding added in between."""

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(GROUPS, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, inputs, H, W) and (B, embedding) to (B, outputs, H, W)."""
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(F.silu(embedding))[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Multi-head self-attention over the positions of a map, with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.group_norm = nn.GroupNorm(GROUPS, width)
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        tokens = self.group_norm(x.flatten(2)).transpose(1, 2)
        heads = [
            layer(tokens).unflatten(2, (-1, HEAD_WIDTH)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        ]
        mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        return self.to_out[0](mixed).transpose(1, 2).reshape(x.shape) + x


class Resample(nn.Module):
    """A 3x3 convolution to half (strided) or twice (nearest neighbours) the side."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to (B, width, H', W')."""
        return self.conv(x if self.conv.stride[0] == 2 else F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Module):
    """The blocks of one scale, on the way down, in the middle, or on the way up.

    Args:
        inputs: channels that each residual block takes.
        outputs: channels that all of them return.
        embedding: channels of the time embedding.
        attentions: how many blocks are followed by attention.
        down: whether the map is halved at the end.
        up: whether it is doubled at the end.
    """

    def __init__(
        self,
        inputs: list[int],
        outputs: int,
        embedding: int,
        *,
        attentions: int = 0,
        down: bool = False,
        up: bool = False,
    ) -> None:
        super().__init__()
        blocks, attended = [], []
        for number, count in enumerate(inputs):
            blocks.append(ResidualBlock(count, outputs, embedding))
            if number < attentions:
                attended.append(Attention(outputs))
        self.attentions, self.resnets = nn.ModuleList(attended), nn.ModuleList(blocks)
        self.downsamplers = nn.ModuleList([Resample(outputs, 2)] if down else [])
        self.upsamplers = nn.ModuleList([Resample(outputs, 1)] if up else [])

    def forward(self, x: Tensor, embedding: Tensor, skips: list[Tensor], *, is_up: bool = False) -> Tensor:
        """The map after this stage; the way down appends to `skips`, the way up takes from it."""
        for number, block in enumerate(self.resnets):
            x = block(torch.cat([x, skips.pop()], 1) if is_up else x, embedding)
            if number < len(self.attentions):
                x = self.attentions[number](x)
            if not is_up:
                skips.append(x)
        for layer in self.downsamplers:
            x = layer(x)
            skips.append(x)
        for layer in self.upsamplers:
            x = layer(x)
        return x


class TimeEmbedding(nn.Module):
    """Sinusoidal embedding of a time (arXiv:1706.03762) and two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear(width, 4 * width)
        self.linear_2 = nn.Linear(4 * width, 4 * width)

    def forward(self, times: Tensor) -> Tensor:
        """(B,) to (B, 4 width)."""
        half = self.width // 2
        exponents = -math.log(10000) * torch.arange(half, dtype=torch.float32, device=times.device) / half
        angles = times[:, None].float() * torch.exp(exponents)[None]
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], 1).to(self.linear_1.weight.dtype)
        return self.linear_2(F.silu(self.linear_1(waves)))


class UNet(nn.Module):
    """A UNet of residual blocks, conditioned on a time.

    Args:
        inputs: input channels.
        outputs: output channels.
        widths: channels at each scale, every one half as large as the one before; multiples of 8, with attention of 32.
        layers: residual blocks at each scale; one more on the way up.
        attention: scales with attention, 0 the finest; the middle has it where any scale has.
    """

    def __init__(
        self, inputs: int, outputs: int, widths: tuple[int, ...], layers: int = 1, attention: Collection[int] = ()
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(inputs, widths[0], 3, 1, 1)
        self.time_embedding = TimeEmbedding(widths[0])
        embedding, last = 4 * widths[0], len(widths) - 1
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        for scale, width in enumerate(widths):
            before = [widths[max(scale - 1, 0)], *[width] * (layers - 1)]
            attended = layers if scale in attention else 0
            self.down_blocks.append(Stage(before, width, embedding, attentions=attended, down=scale < last))
        self.mid_block = Stage([widths[-1]] * 2, widths[-1], embedding, attentions=bool(attention))
        for scale in range(last, -1, -1):
            width = widths[scale]
            carried = [widths[min(scale + 1, last)], *[width] * layers]
            skipped = [*[width] * layers, widths[max(scale - 1, 0)]]
            joined = [a + b for a, b in zip(carried, skipped, strict=True)]
            attended = layers + 1 if scale in attention else 0
            self.up_blocks.append(Stage(joined, width, embedding, attentions=attended, up=scale > 0))
        self.conv_norm_out = nn.GroupNorm(GROUPS, widths[0])
        self.conv_out = nn.Conv2d(widths[0], outputs, 3, 1, 1)

    def forward(self, pictures: Tensor, times: Tensor | float) -> Tensor:
        """(B, outputs, H, W) of (B, inputs, H, W) and times, one for all or (B,); H and W divide by all strides."""
        times = torch.as_tensor(times, device=pictures.device).expand(len(pictures))
        embedding = self.time_embedding(times)
        h = self.conv_in(pictures)
        skips = [h]
        for stage in self.down_blocks:
            h = stage(h, embedding, skips)
        h = self.mid_block(h, embedding, [])
        for stage in self.up_blocks:
            h = stage(h, embedding, skips, is_up=True)
        return self.conv_out(F.silu(self.conv_norm_out(h)))
