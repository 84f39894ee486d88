"""Initializers of weights."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Initializer = Literal["default", "he_uniform", "conv_aware"]


@torch.no_grad()
def initialize(model: nn.Module, name: Initializer, *, icnr: bool = True) -> None:
    """Draws the weights of all convolutions and dense layers anew; biases become zero.

    Args:
        model: changed in place.
        name: "he_uniform" (He et al., arXiv:1502.01852), "conv_aware" (Aghajanyan, arXiv:1702.06295; dense layers get
            he_uniform), or "default" to leave them as torch draws them.
        icnr: give convolutions that feed a pixel shuffle the same filter for each sub-pixel, so that a fresh network
            draws no checkerboard (ICNR: Aitken et al., arXiv:1707.02937).
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and name != "default":
            if name == "conv_aware" and isinstance(module, nn.Conv2d):
                module.weight.copy_(convolution_aware(module.weight))
            else:
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for convolution, factor in _find_shuffled_convolutions(model) if icnr else ():
        convolution.weight.copy_(icnr_weights(convolution.weight, factor))


def convolution_aware(weight: Tensor) -> Tensor:
    """(O, I, kh, kw) weights whose filters are orthogonal in frequency, with the variance of He et al.

    The spectra of the kernels that make one output are rows of random orthogonal matrices (arXiv:1702.06295,
    section 4).
    """
    outputs, inputs, height, width = weight.shape
    frequencies = height * (width // 2 + 1)
    stacks = math.ceil(inputs / frequencies)
    random = torch.randn(outputs * stacks, frequencies, frequencies)
    rows = torch.linalg.qr(random)[0].reshape(outputs, stacks * frequencies, frequencies)[:, :inputs]
    spectra = rows.reshape(outputs, inputs, height, width // 2 + 1).to(torch.complex64)
    kernels = torch.fft.irfft2(spectra, s=(height, width))
    kernels = kernels + torch.randn(kernels.shape) * kernels.std() * 0.05
    return (kernels * (math.sqrt(2 / (inputs * height * width)) / kernels.std())).to(weight)


def icnr_weights(weight: Tensor, factor: int) -> Tensor:
    """ICNR: the first of each `factor`**2 filters repeated, in the order that a pixel shuffle reads."""
    return weight[:: factor**2].repeat_interleave(factor**2, 0)


def _find_shuffled_convolutions(model: nn.Module) -> list[tuple[nn.Conv2d, int]]:
    """Convolutions that feed a pixel shuffle, and its factor."""
    pairs = []
    for module in model.modules():
        children = list(module.children()) if isinstance(module, nn.Sequential) else []
        for index, child in enumerate(children):
            if isinstance(child, nn.PixelShuffle):
                convolution = next((c for c in reversed(children[:index]) if isinstance(c, nn.Conv2d)), None)
                if convolution is not None:
                    pairs.append((convolution, child.upscale_factor))
    return pairs
