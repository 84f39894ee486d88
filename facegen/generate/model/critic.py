"""The critic (discriminator) of the generator, its losses, and the frozen networks of the perceptual losses."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.restore.losses import ParserEncoder, high_pass


class Critic(nn.Module):
    """Scores patches of about a third of the picture (PatchGAN, arXiv:1611.07004), and the whole picture.

    Group norm instead of spectral norm: within a short training on a CPU a spectrally normalised critic does not learn
    to see blur.

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
        """Scores (of patches, of the whole) and feature maps of (B, 3, S, S) RGB in [0, 1]."""
        h = F.pixel_unshuffle(torch.cat([pictures * 2 - 1, high_pass(pictures)], 1), 2)
        features = []
        for stage in self.stages:
            h = stage(h)
            features.append(h)
        return [self.patch(h), self.whole(h)], features


def critic_hinge_loss(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Hinge loss of the critic, mean over its scores (arXiv:1705.02894)."""
    terms = [F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean() for r, f in zip(real, fake, strict=True)]
    return torch.stack(terms).mean()


def generator_hinge_loss(fake: list[Tensor]) -> Tensor:
    """Hinge loss of the generator, mean over the critic's scores."""
    return -torch.stack([f.float().mean() for f in fake]).mean()


class FrozenNetworks(nn.Module):
    """The face parser's encoder for feature distances and, where installed, the attribute network for the slider loss."""

    def __init__(self) -> None:
        super().__init__()
        from facegen import hub
        from facegen.generate.attributes.network import load_attributes
        from facegen.generate.weights import ATTRIBUTES

        self.maps = ParserEncoder(3)
        self.attributes = load_attributes() if hub.is_present(ATTRIBUTES) else None
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """The parser's feature maps of (B, 3, 128, 128) RGB in [0, 1]."""
        return self.maps(pictures)

    def sliders(self, pictures: Tensor) -> Tensor | None:
        """(B, 5) measured sliders as the attribute network reads them; None without its weights."""
        return None if self.attributes is None else self.attributes(pictures * 2 - 1)[:, :5].float()


@functools.cache
def frozen_networks(device: str) -> FrozenNetworks:
    """The frozen networks, loaded once a device."""
    return FrozenNetworks().to(device)
