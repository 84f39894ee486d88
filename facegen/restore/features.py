"""Feature distances from our own face parser, which no restorer or generator trains."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.faces.parse.network import ParserNet, ParserNetConfig, fold

CHANNELS = ParserNetConfig().widths
"""Channels of the parser's maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of the side."""


class ParserMaps(nn.Module):
    """The frozen parser's encoder.

    Args:
        count: how many maps, from the finest on.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.parser = _load_parser()
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Maps of (B, 3, S, S) RGB in [0, 1]."""
        parser = self.parser
        inputs = (pictures * 2 - 1).contiguous(memory_format=torch.channels_last)
        maps = [parser.encoder[0](F.relu(parser.stem(F.pixel_unshuffle(inputs, 2))))]
        for down, blocks in list(zip(parser.downs, list(parser.encoder)[1:], strict=True))[: self.count - 1]:
            maps.append(blocks(F.relu(down(maps[-1]))))
        return maps


def _load_parser() -> ParserNet:
    from safetensors.torch import load_file

    from facegen import hub
    from facegen.faces.parse.weights import PARSER

    network = ParserNet(ParserNetConfig()).eval()
    network.load_state_dict({name: value.float() for name, value in load_file(hub.fetch(PARSER)).items()})
    return fold(network)


@functools.cache
def parser_maps(device: str, count: int) -> ParserMaps:
    """The frozen maps, loaded once a device."""
    return ParserMaps(count).to(device)


def feature_distance(drawn: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean absolute difference of maps, each in units of its own mean strength."""
    terms = [
        (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp_min(1e-4)
        for a, b in zip(drawn, wanted, strict=True)
    ]
    return torch.stack(terms).mean()
