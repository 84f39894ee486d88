"""Convolutions of many channels on few pixels, whose weight gradients a CPU computes faster as one matrix product."""

from __future__ import annotations

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
