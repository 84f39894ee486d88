"""The networks of the SAEHD family: encoder, inter, decoder and discriminators, after their published shapes.

`df`: one encoder and one inter for both people, a decoder each. `liae`: inter AB for both people and inter B (DeepFaceLab's
name) for A only; A's code is B then AB, B's is AB twice, and one decoder serves both. `amp`: an inter each, whose channels
are mixed while training, so that a swap can stop anywhere between the two. Letters after the dash: `u` normalises the code,
`t` goes one step deeper with residual blocks, `d` doubles the resolution by a pixel shuffle of four outputs, `c` has another
activation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_POSITIONS = 1024
"""Output pixels of a batch up to which that is faster."""


class DeepConv2d(nn.Conv2d):
    """`nn.Conv2d` with another weight gradient while training in bfloat16 on a CPU; the results are the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H', W')."""
        stride = self.stride[0]
        positions = x.shape[0] * (x.shape[2] // stride) * (x.shape[3] // stride)
        is_plain = (
            not torch.is_grad_enabled()
            or x.device.type != "cpu"
            or not torch.is_autocast_enabled("cpu")
            or positions > MAX_POSITIONS
            or not self.weight.requires_grad
        )
        if is_plain:
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu")
        assert isinstance(self.padding, tuple)
        output: Tensor = _MatrixGradientConv2d.apply(x.to(dtype), self.weight, self.bias, stride, self.padding[0])
        return output


class _MatrixGradientConv2d(torch.autograd.Function):
    """A convolution whose weight gradient is (positions, K)^T (positions, C k k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            cast_weight = weight.to(x.dtype)
            ctx.save_for_backward(x, cast_weight)
            ctx.stride, ctx.padding, ctx.dtype, ctx.has_bias = stride, padding, weight.dtype, bias is not None
            return F.conv2d(x, cast_weight, bias.to(x.dtype) if bias is not None else None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        stride, padding, (count, _, kernel, _) = ctx.stride, ctx.padding, weight.shape
        with torch.autocast("cpu", enabled=False):
            grad_input = None
            if ctx.needs_input_grad[0]:
                steps, pads = [stride, stride], [padding, padding]
                grad_input = torch.ops.aten.convolution_backward(
                    gradient, x, weight, None, steps, pads, [1, 1], False, [0, 0], 1, [True, False, False]
                )[0]
            rows = gradient.permute(0, 2, 3, 1).reshape(-1, count)
            padded = F.pad(x, (padding, padding, padding, padding)).permute(0, 2, 3, 1)
            high, wide = (stride * (side - 1) + 1 for side in gradient.shape[2:])
            patches = [
                padded[:, i : i + high : stride, j : j + wide : stride] for i in range(kernel) for j in range(kernel)
            ]
            grad_weight = rows.t() @ torch.cat(patches, -1).reshape(len(rows), -1)
            grad_weight = grad_weight.view(count, kernel, kernel, -1).permute(0, 3, 1, 2).to(ctx.dtype)
            grad_bias = rows.float().sum(0).to(ctx.dtype) if ctx.has_bias else None
        return grad_input, grad_weight, grad_bias, None, None


Activation = Callable[[Tensor], Tensor]


def activation_of(flags: frozenset[str]) -> Activation:
    """Leaky ReLU, or x cos(x) with the letter c."""
    if "c" in flags:
        return lambda x: x * torch.cos(x)
    return lambda x: F.leaky_relu(x, 0.1)


class LeakyResidual(nn.Module):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = DeepConv2d(channels, channels, 3, 1, 1)
        self.second = DeepConv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)


class Upscale(nn.Module):
    """A 3x3 convolution to four times the channels, and a pixel shuffle."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.conv, self.activation = DeepConv2d(inputs, outputs * 4, 3, 1, 1), activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, outputs, 2H, 2W)."""
        return F.pixel_shuffle(self.activation(self.conv(x)), 2)


class Encoder(nn.Module):
    """Strided 5x5 convolutions to a flat vector."""

    def __init__(self, resolution: int, channels: int, flags: frozenset[str]) -> None:
        super().__init__()
        factors = (1, 2, 4, 8, 8) if "t" in flags else (1, 2, 4, 8)
        widths = [3, *(factor * channels for factor in factors)]
        self.convs = nn.ModuleList(DeepConv2d(a, b, 5, 2, 2) for a, b in zip(widths, widths[1:], strict=False))
        self.first = LeakyResidual(widths[1]) if "t" in flags else None
        self.last = LeakyResidual(widths[-1]) if "t" in flags else None
        self.is_normed, self.activation = "u" in flags, activation_of(flags)
        self.size = widths[-1] * math.ceil(resolution / 2 ** len(factors)) ** 2

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, R, R) in [0, 1] to (B, size)."""
        x = pictures
        for number, conv in enumerate(self.convs):
            x = self.activation(conv(x))
            if number == 0 and self.first is not None:
                x = self.first(x)
        if self.last is not None:
            x = self.last(x)
        x = x.flatten(1)
        # normalised to unit length (Karras et al., arXiv:1710.10196, 4.2)
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-6) if self.is_normed else x


class Inter(nn.Module):
    """Two dense layers with the bottleneck between them, then a small feature map.

    Args:
        inputs: dimensions of the code.
        bottleneck: dimensions between the two layers.
        side: of the feature map.
        channels: of the feature map.
        outputs: channels after an upscale; 0 for none.
        activation: of the upscale.
    """

    def __init__(
        self, inputs: int, bottleneck: int, side: int, channels: int, outputs: int, activation: Activation
    ) -> None:
        super().__init__()
        self.side = side
        self.narrow = nn.Linear(inputs, bottleneck)
        self.widen = nn.Linear(bottleneck, side**2 * channels)
        self.up = Upscale(channels, outputs, activation) if outputs else None

    def forward(self, code: Tensor) -> Tensor:
        """(B, inputs) to (B, channels, side, side), or (B, outputs, 2 side, 2 side) with the upscale."""
        x = self.widen(self.narrow(code)).reshape(-1, self.widen.out_features // self.side**2, self.side, self.side)
        return x if self.up is None else self.up(x)


class Decoder(nn.Module):
    """Feature map to a face and, by separate upscales, to its mask."""

    def __init__(self, inputs: int, channels: int, mask_channels: int, flags: frozenset[str]) -> None:
        super().__init__()
        activation = activation_of(flags)
        factors = (8, 8, 4, 2) if "t" in flags else (8, 4, 2)
        widths = [inputs, *(factor * channels for factor in factors)]
        self.ups = nn.ModuleList(Upscale(a, b, activation) for a, b in zip(widths, widths[1:], strict=False))
        self.residuals = nn.ModuleList(LeakyResidual(width) for width in widths[1:])
        self.is_doubled = "d" in flags
        self.out = nn.Conv2d(widths[-1], 3, 1)
        self.outs = nn.ModuleList(nn.Conv2d(widths[-1], 3, 3, 1, 1) for _ in range(3 if self.is_doubled else 0))
        mask_factors = (*factors, 1) if self.is_doubled else factors
        mask_widths = [inputs, *(factor * mask_channels for factor in mask_factors)]
        self.mask_ups = nn.ModuleList(
            Upscale(a, b, activation) for a, b in zip(mask_widths, mask_widths[1:], strict=False)
        )
        self.mask_out = nn.Conv2d(mask_widths[-1], 1, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, L, L) to picture (B, 3, R, R) and mask (B, 1, R, R), both in [0, 1]."""
        x = features
        for up, residual in zip(self.ups, self.residuals, strict=True):
            x = residual(up(x))
        x = F.pixel_shuffle(self._four_outputs(x), 2) if self.is_doubled else self.out(x)
        mask = features
        for up in self.mask_ups:
            mask = up(mask)
        return torch.sigmoid(x), torch.sigmoid(self.mask_out(mask))

    def _four_outputs(self, x: Tensor) -> Tensor:
        """(B, 12, H, W): the four outputs that are shuffled into squares of pixels, in one convolution."""
        convs: list[Any] = [self.out, *self.outs]
        weights = torch.stack([F.pad(self.out.weight, (1, 1, 1, 1)), *(conv.weight for conv in convs[1:])], 1)
        biases = torch.stack([conv.bias for conv in convs], 1)
        return F.conv2d(x, weights.flatten(0, 1), biases.flatten(), padding=1)


class CodeDiscriminator(nn.Module):
    """Discriminates codes of the two people (option `true_face_power`)."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 256
        for number in range(1 + side // 8):
            following = min(256 * 2 ** (number + 1), 2048)
            layers += [nn.Conv2d(channels if number == 0 else width, following, 4 if number == 0 else 3, 2, 1)]
            layers += [nn.LeakyReLU(0.1)]
            width = following
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, code: Tensor) -> Tensor:
        """(B, C, L, L) to logits (B, 1, l, l)."""
        return self.layers(code)


class UNetPatchDiscriminator(nn.Module):
    """U-Net discriminator of patches at its bottleneck and of pixels at its output (Schoenfeld et al., arXiv:2002.12655).

    Args:
        patch: approximate receptive field at the bottleneck, pixels.
        channels: after the first convolution; doubles to 512.
    """

    def __init__(self, patch: int, channels: int) -> None:
        super().__init__()
        strides = _strides_for(patch)
        widths = [min(channels * 2**number, 512) for number in range(len(strides) + 1)]
        self.first = nn.Conv2d(3, widths[0], 1)
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride, 1) for a, b, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(b * (1 if number == 0 else 2), a, 3, stride, 1, stride - 1)
            for number, (a, b, stride) in enumerate(reversed(list(zip(widths, widths[1:], strides, strict=False))))
        )
        self.centre = nn.Conv2d(widths[-1], 1, 1)
        self.full = nn.Conv2d(widths[0] * 2, 1, 1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, R, R) to logits at the bottleneck (B, 1, r, r) and at the output (B, 1, R, R)."""
        x = F.leaky_relu(self.first(pictures), 0.2)
        skips = [x]
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
            skips.append(x)
        centre = self.centre(x)
        skips.pop()
        for up in self.ups:
            x = F.leaky_relu(up(x), 0.2)
            skip = skips.pop()
            x = torch.cat([x[..., : skip.shape[2], : skip.shape[3]], skip], 1)
        return centre, self.full(x)


def _strides_for(patch: int) -> list[int]:
    """Strides of 3x3 convolutions whose receptive field is nearest to a patch size, with as few layers as possible."""
    best: tuple[int, int, list[int]] | None = None
    for halvings in range(1, 7):
        for plain in range(3):
            strides = [2] * halvings + [1] * plain
            field = 1
            for stride in reversed(strides):
                field = field * stride + 3 - stride
            candidate = (abs(field - patch), len(strides), strides)
            best = candidate if best is None or candidate[:2] < best[:2] else best
    assert best is not None
    return best[2]
