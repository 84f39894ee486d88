"""A small convolutional network that predicts numbers from a face: five sliders, gender, or realism."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.faces.parse.network import Residual
from facegen.generate.weights import ATTRIBUTES
from facegen.restore.checkpoint import load_frozen


@dataclass(frozen=True, kw_only=True)
class AttributeNetConfig:
    """Architecture of an attribute network."""

    widths: tuple[int, ...] = (64, 96, 144)
    """Channels at 1/4, 1/8 and 1/16 of the input's side."""
    blocks: tuple[int, ...] = (1, 2, 2)
    """Residual blocks at each of these scales."""
    outputs: int = 6
    """Number of outputs."""
    pooling: Literal["flat", "map"] = "flat"
    """«flat»: fully connected head, for measures; «map»: a score map that is averaged, for realism."""
    side: int = field(default=128, metadata={"min": 32, "max": 512, "step": 32})
    """Side of the pictures, pixels."""


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class AttributeNet(nn.Module):
    """Pictures to numbers; also a differentiable loss network of the generator."""

    def __init__(self, config: AttributeNetConfig) -> None:
        super().__init__()
        self.config = config
        stages = []
        scales = zip((48, *config.widths), config.widths, config.blocks, strict=False)
        for number, (inputs, outputs, blocks) in enumerate(scales):
            stride = 2 if number else 1
            stages.append(
                nn.Sequential(
                    conv_norm(inputs, outputs, stride), nn.ReLU(), *(Residual(outputs) for _ in range(blocks))
                )
            )
        self.stages = nn.ModuleList(stages)
        last = config.widths[-1]
        if config.pooling == "flat":
            small = config.side // 16
            self.head: nn.Module = nn.Sequential(
                nn.Conv2d(last, 32, 1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * small**2, 128), nn.ReLU(),
                nn.Linear(128, config.outputs),
            )  # fmt: skip
        else:
            self.head = nn.Conv2d(last, config.outputs, 1)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps at 1/4, 1/8 and 1/16 of the side of (B, 3, S, S) RGB in [-1, 1]."""
        x = F.pixel_unshuffle(pictures, 4)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in [-1, 1] to (B, outputs)."""
        outputs = self.head(self.features(pictures)[-1])
        return outputs if self.config.pooling == "flat" else outputs.mean((2, 3))

    def score_map(self, pictures: Tensor) -> Tensor:
        """(B, outputs, S / 16, S / 16) score map of a network with «map» pooling."""
        return self.head(self.features(pictures)[-1])


def load_attribute_net(path: Path, config: AttributeNetConfig) -> AttributeNet:
    """The frozen network from its weights.

    Raises:
        WeightsError: the file holds another model.
    """
    return load_frozen(AttributeNet(config), path, "attribute network").to(memory_format=torch.channels_last)


def load_attributes() -> AttributeNet:
    """The bundled, frozen network of the five sliders and gender.

    Raises:
        WeightsError: its weights are missing or were changed.
    """
    return load_attribute_net(Path(hub.fetch(ATTRIBUTES)), AttributeNetConfig())
