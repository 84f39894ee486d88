"""Training of the harmonization of swaps: pictures of people in, `harmonization.safetensors` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.errors import InputError
from facegen.restore.data import blur
from facegen.swap.fields.graph import FOLD
from facegen.swap.fields.network import save_half
from facegen.swap.harmonization.data import HarmonizationData, load_pairs
from facegen.swap.harmonization.network import HarmonizationNet
from facegen.training.pictures import find_pictures
from facegen.training.task import SampleNames, Task, TrainingData

_FINE_PX = 2.0
"""About `inputs.FINE` of a frontal face in the square, pixels."""
_HELD_BACK_EVERY = 10
_BATCH, _SHOWN = 32, 8
_COARSER = ((1, 1.0), (2, 0.5), (6, 1.0))
"""Sizes of cells, in those of the fields, over which light is compared, and their weights."""


@dataclass(frozen=True, kw_only=True)
class HarmonizationTask(Task):
    """Learns what a drawn face must become to stand in the light of the frame around it."""

    per_picture: int = field(default=4, metadata={"min": 1, "max": 32, "step": 1})
    """Frames that each picture is drawn on."""
    detail: float = field(default=0.15, metadata={"min": 0.0, "max": 2.0})
    """Weight of the energy of fine detail."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> HarmonizationData:
        """Draws the pairs of every picture below the folder, once; every tenth file of them is only measured on."""
        if folder is None:
            raise InputError("Expected a folder of pictures of people, found none; name it with --data.")
        shards = list(load_pairs(find_pictures(Path(folder)), self.per_picture))
        if not shards:
            raise InputError(f"Expected pictures of at least two people in {folder}, found none that can be used.")
        held_back = shards[::_HELD_BACK_EVERY]
        learned = [shard for index, shard in enumerate(shards) if index % _HELD_BACK_EVERY] or shards
        data = HarmonizationData([pack for _, pack in learned], [pack for _, pack in held_back], device)
        data.names = SampleNames(learned=_names(learned), held_back=_names(held_back))
        return data

    def build_model(self) -> HarmonizationNet:
        """A fresh network."""
        return HarmonizationNet()

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Errors of light over three sizes, of its steps, and of the energy of fine detail."""
        light, steps, detail = field_errors(model(batch["drawn"], batch["maps"]), batch["target"])
        return {"light": light, "steps": steps, "detail": self.detail * detail}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Errors on pictures held back, as shares of what they were before."""
        assert isinstance(data, HarmonizationData)
        names = ("light", "steps", "detail")
        sums = {name: [0.0, 0.0] for name in names}
        count = len(data.held_back["drawn"])
        chosen = list(range(0, count, max(1, count // 256)))
        for start in range(0, len(chosen), _BATCH):
            batch = data.held_back_batch(chosen[start : start + _BATCH])
            fields = model(batch["drawn"], batch["maps"])
            for index, predicted in enumerate((fields, torch.zeros_like(fields))):
                for name, error in zip(names, field_errors(predicted, batch["target"]), strict=True):
                    sums[name][index] += float(error)
        left = {name: after / max(before, 1e-9) for name, (after, before) in sums.items()}
        return {"share of error left": float(np.mean(list(left.values())))} | left

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """Drawn faces of people held back, finished by the network, and as the truth would have them."""
        assert isinstance(data, HarmonizationData)
        count = len(data.held_back["drawn"])
        batch = data.held_back_batch(list(range(0, count, max(1, count // _SHOWN)))[:_SHOWN])
        fields = model(batch["drawn"], batch["maps"])
        tone = batch["maps"][:, 13:14, :1, :1] + 4.7
        rows = [
            (apply_fields(batch["drawn"], change) + tone).exp()
            for change in (torch.zeros_like(fields), fields, batch["target"][:, :4] * (batch["target"][:, 4:] > 0.2))
        ]
        sheet = torch.stack(rows).clamp(0, 255)
        return sheet.round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`harmonization.safetensors` in half precision."""
        return {"harmonization": save_half(model, folder / "harmonization.safetensors")}


def _names(shards: Sequence[tuple[Sequence[Path], dict[str, Tensor]]]) -> tuple[str, ...]:
    return tuple(path.name for pictures, _ in shards for path in pictures)


def apply_fields(drawn: Tensor, fields: Tensor) -> Tensor:
    """Harmonizes drawings, as `inputs.apply_fields` does: (B, 3, SIDE, SIDE) log RGB."""
    fields = F.interpolate(fields, scale_factor=FOLD, mode="bilinear", align_corners=False)
    detail = drawn - blur(drawn, _FINE_PX)
    return drawn + fields[:, :3] + detail * (fields[:, 3:].exp() - 1)


def field_errors(fields: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean errors of log RGB over three sizes of cells, of its steps from cell to cell, and of fine detail's log factor.

    Args:
        fields: (B, 4, FIELD, FIELD) of the network.
        target: (B, 5, FIELD, FIELD), see `HarmonizationPair.target`.
    """
    seen = target[:, 4:]
    error = (fields[:, :3] - target[:, :3].clamp(-2, 2)) * seen
    light, steps = fields.new_zeros(()), fields.new_zeros(())
    for size, share in _COARSER:
        counted = F.avg_pool2d(seen, size)
        pooled = F.avg_pool2d(error, size)
        light = light + share * pooled.abs().mean() / (counted.mean() + 1e-6)
        if size < _COARSER[-1][0]:
            near = pooled / (counted + 1e-2)
            down = near.diff(dim=2).abs() * torch.minimum(counted[:, :, 1:], counted[:, :, :-1])
            right = near.diff(dim=3).abs() * torch.minimum(counted[..., 1:], counted[..., :-1])
            steps = steps + (down.mean() + right.mean()) / (counted.mean() + 1e-6)
    detail = ((fields[:, 3:] - target[:, 3:4]).abs() * seen).mean() / (seen.mean() + 1e-6)
    return light, steps, detail
