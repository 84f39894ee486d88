"""Losses of the restorer: distances of the frozen face parser's feature maps and of local texture statistics."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.faces.parse import ParserNetConfig
from facegen.faces.parse.network import ParserNet, fuse_batch_norms

CHANNELS = ParserNetConfig().widths
"""Channels of the parser's feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side."""
_WINDOW, _STRIDE = 8, 4


class ParserEncoder(nn.Module):
    """The frozen encoder of the face parser (perceptual features, arXiv:1603.08155).

    Args:
        count: number of feature maps, from the finest on.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.parser = _load_parser()
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps, fine to coarse, of (B, 3, S, S) RGB in [0, 1]."""
        parser = self.parser
        inputs = (pictures * 2 - 1).contiguous(memory_format=torch.channels_last)
        maps = [parser.encoder[0](F.relu(parser.stem(F.pixel_unshuffle(inputs, 2))))]
        for down, blocks in list(zip(parser.downs, list(parser.encoder)[1:], strict=True))[: self.count - 1]:
            maps.append(blocks(F.relu(down(maps[-1]))))
        return maps


def _load_parser() -> ParserNet:
    from safetensors.torch import load_file

    from facegen import hub
    from facegen.faces.weights import PARSER

    network = ParserNet(ParserNetConfig()).eval()
    network.load_state_dict({name: value.float() for name, value in load_file(hub.fetch(PARSER)).items()})
    return fuse_batch_norms(network)


@functools.cache
def parser_encoder(device: str, count: int) -> ParserEncoder:
    """The frozen encoder, loaded once a device."""
    return ParserEncoder(count).to(device)


def feature_distance(predicted: list[Tensor], target: list[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, each divided by the mean magnitude of its target."""
    terms = [
        (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp_min(1e-4)
        for a, b in zip(predicted, target, strict=True)
    ]
    return torch.stack(terms).mean()


def high_pass(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) pictures minus their 3x3 box blur, times four: an input that shows a critic sharpness directly."""
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    return 4 * (pictures - F.avg_pool2d(padded, 3, 1))


def texture_distance(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean difference of local gradient energy in four directions, at two scales.

    Pixel losses reward blur where the position of a strand of hair is uncertain; this one compares the energy of
    texture in 8x8 windows and ignores its exact position.

    Args:
        predicted: (B, 3, H, W) in [0, 1].
        target: the same.
    """
    terms = []
    for _ in range(2):
        terms.append((_gradient_energy(predicted) - _gradient_energy(target)).abs().mean())
        predicted, target = F.avg_pool2d(predicted, 2), F.avg_pool2d(target, 2)
    return torch.stack(terms).mean()


def _gradient_energy(pictures: Tensor) -> Tensor:
    """(B, 7, h, w) windowed root mean square of first differences in four directions and second differences in three.

    Second differences are large for checkerboard patterns and small in photographs.
    """
    grey = pictures.mean(1, keepdim=True)
    middle, right, left = grey[..., 1:-1, 1:-1], grey[..., 1:-1, 2:], grey[..., 1:-1, :-2]
    below, above, corner = grey[..., 2:, 1:-1], grey[..., :-2, 1:-1], grey[..., 2:, 2:]
    bands = [
        right - middle,
        below - middle,
        corner - middle,
        below - right,
        left + right - 2 * middle,
        above + below - 2 * middle,
        middle + corner - right - below,
    ]
    squares = torch.cat(bands, 1).square()
    return (F.avg_pool2d(squares, _WINDOW, _STRIDE) + 1e-5).sqrt()
