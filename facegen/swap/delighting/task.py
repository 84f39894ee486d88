"""Training of the delighting of sources: pictures of people in even light in, `delighting.safetensors` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.errors import InputError
from facegen.swap.delighting.data import DelightingData, load_atlases, unevenness, unpack_atlas
from facegen.swap.delighting.network import DelightingNet
from facegen.swap.fields.graph import FOLD
from facegen.swap.fields.network import save_half
from facegen.training.pictures import find_pictures
from facegen.training.task import SampleNames, Task, TrainingData

_HELD_BACK_EVERY = 20
_BATCH, _SHOWN, _LIT = 32, 8, 4
_COARSER = ((1, 1.0), (2, 0.5), (6, 1.0))
"""Sizes of cells, in those of the fields, over which light is compared, and their weights."""


@dataclass(frozen=True, kw_only=True)
class DelightingTask(Task):
    """Learns what of an unwrapped face is light: random light is put onto faces in even light, and must be separated from them."""

    even: float = field(default=0.6, metadata={"min": 0.05, "max": 1.0})
    """Share of the pictures, those in the most even light, that is learned from."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> DelightingData:
        """Unwraps every picture below the folder, once; every twentieth of those in even light is only measured on."""
        if folder is None:
            raise InputError("Expected a folder of pictures of people, found none; name it with --data.")
        pictures = find_pictures(Path(folder))
        atlases = np.concatenate(list(load_atlases(pictures)))
        if not len(atlases):
            raise InputError(f"Expected pictures of people in {folder}, found none that can be used.")
        order = np.argsort([unevenness(unpack_atlas(packed)) for packed in atlases], kind="stable")
        even = atlases[np.sort(order[: max(1, round(self.even * len(atlases)))])]
        data = DelightingData(even, range(0, len(even), _HELD_BACK_EVERY), device)
        # atlases do not say which pictures they are of
        data.names = SampleNames(learned=tuple(path.name for path in pictures))
        return data

    def build_model(self) -> DelightingNet:
        """A fresh network."""
        return DelightingNet()

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Errors of light over three sizes, and of its steps."""
        light, steps = field_errors(model(batch["picture"], batch["maps"]), batch["target"])
        return {"light": light, "steps": steps}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Errors on pictures held back, as shares of what they were before."""
        assert isinstance(data, DelightingData)
        names = ("light", "steps")
        sums = {name: [0.0, 0.0] for name in names}
        for first in range(0, data.held_back_count, _BATCH):
            batch = data.held_back_batch(first, _BATCH)
            fields = model(batch["picture"], batch["maps"])
            for index, predicted in enumerate((fields, torch.zeros_like(fields))):
                for name, error in zip(names, field_errors(predicted, batch["target"]), strict=True):
                    sums[name][index] += float(error)
        left = {name: after / max(before, 1e-9) for name, (after, before) in sums.items()}
        return {"share of error left": float(np.mean(list(left.values())))} | left

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """Unwrapped faces of people held back in random light, without the light that the network sees, and without it."""
        assert isinstance(data, DelightingData)
        batch = data.held_back_batch(0, _SHOWN)
        fields = model(batch["picture"], batch["maps"])
        rows = []
        for light in (torch.zeros_like(fields), fields, batch["target"][:, :3]):
            large = F.interpolate(light, scale_factor=FOLD, mode="bilinear", align_corners=False)
            rows.append((batch["picture"] - large + _LIT).exp())
        sheet = torch.stack(rows).clamp(0, 255)
        return sheet.round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`delighting.safetensors` in half precision."""
        return {"delighting": save_half(model, folder / "delighting.safetensors")}


def field_errors(fields: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean errors of light over three sizes of cells, and of its steps from cell to cell; a constant is no error.

    Args:
        fields: (B, 3, FIELD, FIELD) of the network.
        target: (B, 4, FIELD, FIELD), see `DelightingData`.
    """
    seen = target[:, 3:]
    counted = seen.sum((2, 3), keepdim=True) + 1e-4
    error = fields - target[:, :3]
    error = error - (error * seen).sum((2, 3), keepdim=True) / counted
    share = seen.mean() + 1e-6
    light = fields.new_zeros(())
    for size, weight in _COARSER:
        light = light + weight * F.avg_pool2d(error * seen, size).abs().mean() / share
    down = error.diff(dim=2).abs() * torch.minimum(seen[:, :, 1:], seen[:, :, :-1])
    right = error.diff(dim=3).abs() * torch.minimum(seen[..., 1:], seen[..., :-1])
    return light, (down.mean() + right.mean()) / share
