"""A small network that looks at a face: the five input models, the choice of training data and the realism classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.faces.parse.network import Residual


@dataclass(frozen=True, kw_only=True)
class AttributeNetConfig:
    """What rebuilds the network from its weights."""

    widths: tuple[int, ...] = (64, 96, 144)
    """Channels at 1/4, 1/8 and 1/16 of the input's side."""
    blocks: tuple[int, ...] = (1, 2, 2)
    """Residual blocks at each of these scales."""
    outputs: int = 6
    """Numbers that are said of a picture."""
    pooling: Literal["flat", "map"] = "flat"
    """Whether places are told apart («flat», for measures), or a map of scores is averaged («map», for realism)."""
    side: int = field(default=128, metadata={"min": 32, "max": 512, "step": 32})
    """Side of the pictures, pixels."""


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class AttributeNet(nn.Module):
    """Pictures to numbers; differentiable, so that a generator can be held to what it says."""

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
        """Maps at 1/4, 1/8 and 1/16 of the side of (B, 3, S, S) RGB in [-1, 1]."""
        x = F.pixel_unshuffle(pictures, 4)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in [-1, 1] to (B, outputs)."""
        said = self.head(self.features(pictures)[-1])
        return said if self.config.pooling == "flat" else said.mean((2, 3))

    def score_map(self, pictures: Tensor) -> Tensor:
        """(B, outputs, S / 16, S / 16) scores by place, of a network that averages them."""
        return self.head(self.features(pictures)[-1])


def load_attribute_net(path: str, config: AttributeNetConfig) -> AttributeNet:
    """The frozen network from its weights.

    Raises:
        WeightsError: the file holds another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from facegen.errors import WeightsError

    network = AttributeNet(config).eval().requires_grad_(False)
    try:
        network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"Expected the weights of an attribute network in {path}, found another model; install them again."
        ) from error
    return network.to(memory_format=torch.channels_last)
