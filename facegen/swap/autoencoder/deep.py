"""Convolutions of many channels on few pixels, whose weights' gradients a CPU works out quicker as one matrix product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_PLACES = 1024
"""Pixels of a batch up to which that is quicker."""


class DeepConv2d(nn.Conv2d):
    """`nn.Conv2d` with another way back to its weights while training in bfloat16 on a CPU; the numbers are the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K, H', W')."""
        stride, places = self.stride[0], x.shape[0] * (x.shape[2] // self.stride[0]) * (x.shape[3] // self.stride[0])
        is_plain = (
            not torch.is_grad_enabled()
            or x.device.type != "cpu"
            or not torch.is_autocast_enabled("cpu")
            or places > MOST_PLACES
            or not self.weight.requires_grad
        )
        if is_plain:
            return super().forward(x)
        kind = torch.get_autocast_dtype("cpu")
        assert isinstance(self.padding, tuple)
        found: Tensor = _ByMatrix.apply(x.to(kind), self.weight, self.bias, stride, self.padding[0])
        return found


class _ByMatrix(torch.autograd.Function):
    """A convolution whose weights' gradient is (places, K)^T (places, C k k)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            near = weight.to(x.dtype)
            ctx.save_for_backward(x, near)
            ctx.stride, ctx.padding, ctx.dtype, ctx.has_bias = stride, padding, weight.dtype, bias is not None
            return F.conv2d(x, near, bias.to(x.dtype) if bias is not None else None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slope,) = gradients
        x, weight = ctx.saved_tensors
        stride, padding, (count, _, kernel, _) = ctx.stride, ctx.padding, weight.shape
        with torch.autocast("cpu", enabled=False):
            to_input = None
            if ctx.needs_input_grad[0]:
                steps, pads = [stride, stride], [padding, padding]
                to_input = torch.ops.aten.convolution_backward(
                    slope, x, weight, None, steps, pads, [1, 1], False, [0, 0], 1, [True, False, False]
                )[0]
            rows = slope.permute(0, 2, 3, 1).reshape(-1, count)
            around = F.pad(x, (padding, padding, padding, padding)).permute(0, 2, 3, 1)
            high, wide = (stride * (side - 1) + 1 for side in slope.shape[2:])
            seen = [
                around[:, i : i + high : stride, j : j + wide : stride] for i in range(kernel) for j in range(kernel)
            ]
            to_weight = rows.t() @ torch.cat(seen, -1).reshape(len(rows), -1)
            to_weight = to_weight.view(count, kernel, kernel, -1).permute(0, 3, 1, 2).to(ctx.dtype)
            to_bias = rows.float().sum(0).to(ctx.dtype) if ctx.has_bias else None
        return to_input, to_weight, to_bias, None, None
