"""LPIPS, the learned distance between pictures, where its weights are present (Zhang et al., arXiv:1801.03924).

Needs two well-known files in the `lpips` folder below facegen's weights (or torch's own hub cache):
`alexnet-owt-7be5be79.pth` (torchvision) and `lpips_alex.pth` (the authors' version 0.1 heads).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegen.config import home
from facegen.errors import WeightsError

BACKBONE, HEADS = "alexnet-owt-7be5be79.pth", "lpips_alex.pth"
TAPS = (1, 4, 7, 9, 11)
"""Layers of AlexNet's features after which pictures are compared: each ReLU."""
MEAN, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def _folders() -> tuple[Path, ...]:
    return home() / "weights" / "lpips", Path(torch.hub.get_dir()) / "checkpoints"


def _find(name: str) -> Path | None:
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)


class Lpips(nn.Module):
    """AlexNet's features with a learned weight for each channel."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import alexnet

        self.features = alexnet(weights=None).features
        self.heads = nn.ParameterList(torch.ones(1, c, 1, 1) for c in (64, 192, 384, 256, 256))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))

    def forward(self, drawn: Tensor, wanted: Tensor) -> Tensor:
        """(B,) distances of (B, 3, H, W) pictures in [0, 1]; H and W 64 or more."""
        both = (torch.cat([drawn, wanted]) * 2 - 1 - self.mean) / self.scale
        total = drawn.new_zeros(len(drawn))
        for place, layer in enumerate(self.features[: TAPS[-1] + 1]):
            both = layer(both)
            if place in TAPS:
                unit = both / (both.square().sum(1, keepdim=True) + 1e-10).sqrt()
                a, b = unit.chunk(2)
                total = total + ((a - b).square() * self.heads[TAPS.index(place)]).sum(1).mean((1, 2))
        return total


def lpips(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance.

    Raises:
        WeightsError: the weights are not there.
    """
    return _loaded(str(drawn.device))(drawn.float(), wanted.float()).mean()


@functools.cache
def _loaded(device: str) -> Lpips:
    backbone, heads = _find(BACKBONE), _find(HEADS)
    if backbone is None or heads is None:
        raise WeightsError(
            f"The loss lpips needs {BACKBONE} and {HEADS} in {_folders()[0]}, which are not there; add them or take "
            "another loss."
        )
    model = Lpips()
    features: dict[str, Any] = torch.load(backbone, weights_only=True)
    learned: dict[str, Any] = torch.load(heads, weights_only=True)
    model.features.load_state_dict(
        {k.removeprefix("features."): v for k, v in features.items() if k.startswith("features.")}
    )
    for place, head in enumerate(model.heads):
        head.data.copy_(learned[f"lin{place}.model.1.weight"])
    return model.eval().requires_grad_(False).to(device)
