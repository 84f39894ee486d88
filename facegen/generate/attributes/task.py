"""Training of the attribute network: five sliders by regression, and gender."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.generate.attributes.network import AttributeNet, AttributeNetConfig, load_attribute_net
from facegen.generate.dataset.packed import HEAD, PackedFaces
from facegen.generate.sliders import NAMES
from facegen.restore.checkpoint import save_half
from facegen.training.augment import add_noise, lower_resolution, to_float
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

FEMALE = 5
"""Index of the gender logit (positive: female) among the outputs."""


class AttributeData:
    """Pictures with their measured sliders.

    Batches: `pictures` (B, 3, S, S) in [0, 1]; `values` (B, 6): the five measured sliders and 1 for female, NaN where
    unknown. Mirrored at random, the head's yaw with them.
    """

    def __init__(self, pack: PackedFaces, device: torch.device) -> None:
        self.pack, self.device = pack, device
        self.skipped: tuple[str, ...] = ()
        measured = np.asarray(pack.measured, np.float32)
        female = np.array([{"female": 1.0, "male": 0.0}.get(g, np.nan) for g in pack.groups], np.float32)
        values = np.concatenate([measured, np.broadcast_to(female[:, None, None], (*measured.shape[:2], 1))], 2)
        self.values = torch.from_numpy(values.reshape(-1, 6))
        is_held_out = pack.is_held_out()
        self.names = SampleNames.split(pack.names, is_held_out)
        held = np.repeat(is_held_out, measured.shape[1])
        known = np.isfinite(measured).any(2).reshape(-1)
        self.train_indices = torch.from_numpy(np.flatnonzero(known & ~held))
        self.held_out_indices = torch.from_numpy(np.flatnonzero(known & held))
        self._variants = measured.shape[1]

    def __len__(self) -> int:
        return len(self.train_indices)

    def pictures_at(self, indices: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1]: the pictures at these indices of all variants."""
        faces, variants = (indices // self._variants).numpy(), (indices % self._variants).numpy()
        pictures = self.pack.pictures[faces, variants]
        return to_float(torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).to(self.device))

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One augmented batch."""
        indices, random = self.train_indices[spec.indices], spec.generator
        pictures, values = self.pictures_at(indices), self.values[indices].clone()
        mirrored = torch.rand(len(indices), generator=random) < 0.5
        pictures[mirrored.to(self.device)] = pictures[mirrored.to(self.device)].flip(3)
        values[mirrored, HEAD] = 1 - values[mirrored, HEAD]
        # tint and noise, no brightness: two sliders are luminances
        pictures = pictures * (1 + 0.05 * torch.randn(len(indices), 3, 1, 1, generator=random)).to(self.device)
        pictures = lower_resolution(pictures.clamp(0, 1), random, share=0.2, largest=2.0)
        pictures = add_noise(pictures, random, share=0.3, largest=0.03)
        return {"pictures": pictures, "values": values.to(self.device)}


@dataclass(frozen=True, kw_only=True)
class AttributesTask(Task):
    """Learns to predict the five sliders' values and gender from a picture."""

    network: AttributeNetConfig = field(default_factory=AttributeNetConfig)
    """The network's architecture."""
    start: str = ""
    """Weights of a trained network (weights/generate/attributes.safetensors) to continue from; empty starts from scratch."""

    def build_data(self, folder: Path | None, device: torch.device) -> AttributeData:
        """Opens the prepared dataset without its held-back faces."""
        return AttributeData(PackedFaces.read(folder), device)

    def build_model(self) -> nn.Module:
        """A network, new or trained."""
        if not self.start:
            return AttributeNet(self.network)
        return load_attribute_net(Path(self.start), self.network).train().requires_grad_(True)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Smooth L1 loss of the five sliders, cross-entropy of gender."""
        predicted, values = model(batch["pictures"] * 2 - 1).float(), batch["values"]
        known = values.isfinite()
        target = torch.where(known, values, predicted.detach())
        measured = F.smooth_l1_loss(predicted[:, :5], target[:, :5], beta=0.05)
        is_known = known[:, FEMALE]
        gender = F.binary_cross_entropy_with_logits(predicted[is_known, FEMALE], values[is_known, FEMALE])
        return {"measures": 4 * measured, "choice": 0.1 * gender if bool(is_known.any()) else predicted.sum() * 0}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """1 - R2 of the worst slider, R2 of each, and the accuracy of gender, on held-back faces."""
        assert isinstance(data, AttributeData)
        predicted = predict(model, data, data.held_out_indices)
        figures = {
            f"R2 {name}": r_squared(predicted[:, i], data.values[data.held_out_indices, i])
            for i, name in enumerate(NAMES)
        }
        gender = data.values[data.held_out_indices, FEMALE]
        known = gender.isfinite()
        correct = ((predicted[known, FEMALE] > 0) == (gender[known] > 0.5)).float().mean()
        return {"1 - worst R2": 1 - min(figures.values()), **figures, "choice accuracy": float(correct)}

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`attributes.safetensors` in half precision."""
        return {"attributes": save_half(model, folder / "attributes.safetensors")}


@torch.no_grad()
def predict(model: nn.Module, data: AttributeData, indices: Tensor) -> Tensor:
    """(N, outputs) predictions for pictures of the dataset."""
    parts = [
        model((data.pictures_at(part) * 2 - 1).contiguous(memory_format=torch.channels_last)).float().cpu()
        for part in indices.split(64)
    ]
    return torch.cat(parts)


def r_squared(predicted: Tensor, target: Tensor) -> float:
    """Coefficient of determination over the finite targets; 0 for fewer than two."""
    known = target.isfinite()
    if int(known.sum()) < 2:
        return 0.0
    residual = (predicted[known] - target[known]).square().sum()
    return float(1 - residual / (target[known] - target[known].mean()).square().sum().clamp_min(1e-12))
