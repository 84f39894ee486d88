"""Training of the five input models and the choice of training data, on one trunk."""

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
from facegen.training.task import BatchSpec, Task, TrainingData

FEMALE = 5
"""Place of the choice's logit among the outputs."""
WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0)


class AttributeData:
    """Pictures with what was measured on them.

    Batches: `pictures` (B, 3, S, S) in [0, 1]; `values` (B, 6): the five measured sliders and 1 for female, NaN where
    unknown. Mirrored at random, with the head's turn mirrored too.
    """

    def __init__(self, pack: PackedFaces, device: torch.device) -> None:
        self.pack, self.device = pack, device
        self.skipped: tuple[str, ...] = ()
        measured = np.asarray(pack.measured, np.float32)
        female = np.array([{"female": 1.0, "male": 0.0}.get(g, np.nan) for g in pack.groups], np.float32)
        values = np.concatenate([measured, np.broadcast_to(female[:, None, None], (*measured.shape[:2], 1))], 2)
        self.values = torch.from_numpy(values.reshape(-1, 6))
        held = np.repeat(pack.held_back(), measured.shape[1])
        known = np.isfinite(measured).any(2).reshape(-1)
        self.places = torch.from_numpy(np.flatnonzero(known & ~held))
        self.held_places = torch.from_numpy(np.flatnonzero(known & held))
        self._variants = measured.shape[1]

    def __len__(self) -> int:
        return len(self.places)

    def pictures_at(self, places: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 1]."""
        faces, variants = (places // self._variants).numpy(), (places % self._variants).numpy()
        found = self.pack.pictures[faces, variants]
        return to_float(torch.from_numpy(np.ascontiguousarray(found)).permute(0, 3, 1, 2).to(self.device))

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One augmented batch."""
        places, random = self.places[spec.indices], spec.generator
        pictures, values = self.pictures_at(places), self.values[places].clone()
        mirrored = torch.rand(len(places), generator=random) < 0.5
        pictures[mirrored.to(self.device)] = pictures[mirrored.to(self.device)].flip(3)
        values[mirrored, HEAD] = 1 - values[mirrored, HEAD]
        # tint and noise only: brightness is what two of the sliders are about
        pictures = pictures * (1 + 0.05 * torch.randn(len(places), 3, 1, 1, generator=random)).to(self.device)
        pictures = lower_resolution(pictures.clamp(0, 1), random, share=0.2, largest=2.0)
        pictures = add_noise(pictures, random, share=0.3, largest=0.03)
        return {"pictures": pictures, "values": values.to(self.device)}


@dataclass(frozen=True, kw_only=True)
class AttributesTask(Task):
    """Learns to read the five sliders' values, and female or male, from a picture."""

    network: AttributeNetConfig = field(default_factory=AttributeNetConfig)
    """The network's size."""
    start: str = ""
    """Weights of trained input models (weights/generate/attributes.safetensors) to go on from; empty begins afresh."""

    def build_data(self, folder: Path | None, device: torch.device) -> AttributeData:
        """Opens the prepared dataset; the held-back faces are not trained on."""
        return AttributeData(PackedFaces.read(folder), device)

    def build_model(self) -> nn.Module:
        """A network, fresh or from its weights."""
        if not self.start:
            return AttributeNet(self.network)
        return load_attribute_net(self.start, self.network).train().requires_grad_(True)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Smooth absolute error of the five, cross-entropy of the choice."""
        said, values = model(batch["pictures"] * 2 - 1).float(), batch["values"]
        known = values.isfinite()
        wanted = torch.where(known, values, said.detach())
        measured = F.smooth_l1_loss(said[:, :5], wanted[:, :5], beta=0.05)
        is_known = known[:, FEMALE]
        choice = F.binary_cross_entropy_with_logits(said[is_known, FEMALE], values[is_known, FEMALE])
        return {"measures": 4 * measured, "choice": 0.1 * choice if bool(is_known.any()) else said.sum() * 0}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """1 - R2 (the worst of the five first), then R2 of each and the choice's accuracy, on held-back faces."""
        assert isinstance(data, AttributeData)
        said = predict(model, data, data.held_places)
        figures = {
            f"R2 {name}": r_squared(said[:, i], data.values[data.held_places, i]) for i, name in enumerate(NAMES)
        }
        chosen = data.values[data.held_places, FEMALE]
        known = chosen.isfinite()
        right = ((said[known, FEMALE] > 0) == (chosen[known] > 0.5)).float().mean()
        return {"1 - worst R2": 1 - min(figures.values()), **figures, "choice accuracy": float(right)}

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`attributes.safetensors` in half precision."""
        return {"attributes": save_half(model, folder / "attributes.safetensors")}


@torch.no_grad()
def predict(model: nn.Module, data: AttributeData, places: Tensor) -> Tensor:
    """(N, outputs) what a network says of pictures of the dataset."""
    parts = [
        model((data.pictures_at(part) * 2 - 1).contiguous(memory_format=torch.channels_last)).float().cpu()
        for part in places.split(64)
    ]
    return torch.cat(parts)


def r_squared(said: Tensor, wanted: Tensor) -> float:
    """Share of the variance that is explained, where something was measured; nothing there: 0."""
    known = wanted.isfinite()
    if int(known.sum()) < 2:
        return 0.0
    left = (said[known] - wanted[known]).square().sum()
    return float(1 - left / (wanted[known] - wanted[known].mean()).square().sum().clamp_min(1e-12))
