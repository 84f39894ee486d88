"""The parser's network: a compact U-Net of residual blocks, quick on a CPU.

After U-Net (Ronneberger et al., arXiv:1505.04597) with additive skips as in LinkNet (arXiv:1707.03718). Full
3x3 convolutions on few channels rather than depthwise ones: on CPUs they train and run faster for the same quality.
"""

from __future__ import annotations

import copy
import itertools

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facegen.faces.parse import ParserNetConfig


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution and batch norm, without an activation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_norm(width, width)
        self.second = conv_norm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.relu(x + self.second(F.relu(self.first(x))))


class Context(nn.Module):
    """Adds a global context vector to each position (global average pooling and two 1x1 layers)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return x + self.layers(x.mean((2, 3), keepdim=True))


class ParserNet(nn.Module):
    """Pictures to class logits."""

    def __init__(self, config: ParserNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = conv_norm(12, widths[0])
        self.downs = nn.ModuleList(conv_norm(a, b, 3, 2) for a, b in itertools.pairwise(widths))
        self.encoder = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(count)))
            for width, count in zip(widths, config.blocks, strict=True)
        )
        self.context = Context(widths[-1])
        self.ups = nn.ModuleList(conv_norm(b, a, 1) for a, b in itertools.pairwise(widths))
        self.decoder = nn.ModuleList(Residual(width) for width in widths[1:-1])
        self.finest = conv_norm(widths[0], widths[0])
        self.head = nn.Conv2d(widths[0], config.classes, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits at half the input's side.

        Args:
            pictures: (B, 3, H, W) RGB in [-1, 1]; H and W multiples of 32.

        Returns:
            (B, classes, H / 2, W / 2); `upsample` brings them to the input's size.
        """
        x = F.relu(self.stem(F.pixel_unshuffle(pictures, 2)))
        skips = [self.encoder[0](x)]
        for down, blocks in zip(self.downs, self.encoder[1:], strict=True):
            skips.append(blocks(F.relu(down(skips[-1]))))
        x = self.context(skips.pop())
        for index in reversed(range(len(self.ups))):
            skip = skips[index]
            x = F.interpolate(self.ups[index](x), size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = F.relu(x + skip)
            x = self.decoder[index - 1](x) if index else F.relu(x + self.finest(x))
        return self.head(x)


def upsample(logits: Tensor, factor: int = 2) -> Tensor:
    """Logits of the network at the pictures' own size, bilinear."""
    return F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)


def to_input(pictures_rgb: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] to the network's [-1, 1]."""
    return pictures_rgb * 2 - 1


def fuse_batch_norms(model: ParserNet) -> ParserNet:
    """A copy in which each batch norm is folded into its convolution: same result, quicker."""
    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], nn.BatchNorm2d):
            convolution = module[0]
            assert isinstance(convolution, nn.Conv2d)
            module[0] = fuse_conv_bn_eval(convolution, module[1])
            module[1] = nn.Identity()
    return folded
