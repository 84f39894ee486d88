"""What holds the generator to looking like photographs: a critic of patches, and features of frozen networks."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.faces.parse.network import ParserNet, ParserNetConfig, fold
from facegen.restore.texture import details


class Critic(nn.Module):
    """Scores patches of about a third of the picture (arXiv:1611.07004), and the whole.

    Group norms rather than spectral ones: in the short trainings of a CPU a critic that may change slowly only sees
    no blur.

    Args:
        widths: channels at 1/2, 1/4, 1/8 and 1/16 of the side; multiples of 8.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192)) -> None:
        super().__init__()
        stages: list[nn.Module] = [nn.Sequential(nn.Conv2d(24, widths[0], 3, 1, 1), nn.LeakyReLU(0.2))]
        for inputs, outputs in zip(widths, widths[1:], strict=False):
            stages.append(
                nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), nn.GroupNorm(8, outputs), nn.LeakyReLU(0.2))
            )
        self.stages = nn.ModuleList(stages)
        last = widths[-1]
        self.patch = nn.Conv2d(last, 1, 3, 1, 1)
        self.whole = nn.Sequential(nn.Conv2d(last, last, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(last, 1, 4, 2, 1))

    def forward(self, pictures: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Scores (of patches, of the whole) and features of (B, 3, S, S) RGB in [0, 1]."""
        h = F.pixel_unshuffle(torch.cat([pictures * 2 - 1, details(pictures)], 1), 2)
        features = []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return [self.patch(h), self.whole(h)], features


def critic_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss of the critic, mean over its scores."""
    terms = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def fooling_loss(fake: list[Tensor]) -> Tensor:
    """What the generator gains by a critic that believes it."""
    return -torch.stack([f.float().mean() for f in fake]).mean()


class FrozenFeatures(nn.Module):
    """The face parser for feature distances and, where its weights are there, the attribute network for the sliders."""

    def __init__(self) -> None:
        super().__init__()
        from facegen import hub
        from facegen.generate.weights import ATTRIBUTES, load_attributes

        self.parser = _load_parser()
        self.attributes = load_attributes() if hub.is_present(ATTRIBUTES) else None
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Maps of (B, 3, 128, 128) RGB in [0, 1]."""
        inputs = (pictures * 2 - 1).contiguous(memory_format=torch.channels_last)
        parser = self.parser
        maps = [parser.encoder[0](F.relu(parser.stem(F.pixel_unshuffle(inputs, 2))))]
        for down, blocks in zip(list(parser.downs)[:2], list(parser.encoder)[1:3], strict=True):
            maps.append(blocks(F.relu(down(maps[-1]))))
        return maps

    def sliders(self, pictures: Tensor) -> Tensor | None:
        """(B, 5) measured sliders as the attribute network reads them; None without its weights."""
        return None if self.attributes is None else self.attributes(pictures * 2 - 1)[:, :5].float()


def _load_parser() -> ParserNet:
    from safetensors.torch import load_file

    from facegen import hub
    from facegen.faces.parse.weights import PARSER

    network = ParserNet(ParserNetConfig()).eval()
    network.load_state_dict({name: value.float() for name, value in load_file(hub.fetch(PARSER)).items()})
    return fold(network)


def feature_distance(drawn: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean absolute difference of maps, each in units of its own mean strength."""
    terms = [
        (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp_min(1e-4)
        for a, b in zip(drawn, wanted, strict=True)
    ]
    return torch.stack(terms).mean()


@functools.cache
def frozen_features(device: str) -> FrozenFeatures:
    """The frozen networks, loaded once a device."""
    return FrozenFeatures().to(device)
