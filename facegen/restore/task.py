"""Training of the restorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.restore.checkpoint import save_half
from facegen.restore.critic import MAPS, RestorerCritic, relativistic_loss
from facegen.restore.data import RestorerData
from facegen.restore.losses import feature_distance, parser_encoder, texture_distance
from facegen.restore.restorer import RestorerConfig, RestorerNet, load_restorer
from facegen.training.losses import laplacian
from facegen.training.task import DISCRIMINATOR, Task, TrainingData

PREVIEW_COUNT = 6
_COARSE = 8
"""Side of the blocks whose mean colour is held in samples, pixels."""
_PERTURBATION = 0.01
"""Deviation of the noise of the approximated R1 regularization (arXiv:2501.08316)."""


class RestorerPair(nn.Module):
    """The restorer and its critic as one module, trained in turn."""

    def __init__(self, restorer: RestorerNet, critic: RestorerCritic) -> None:
        super().__init__()
        self.restorer, self.critic = restorer, critic
        self._last: tuple[Tensor, list[Tensor]] | None = None

    def forward(self, batch: dict[str, Tensor], group: int) -> dict[str, Tensor]:
        """Generator: restored pictures, distances, scores; discriminator: scores, and their change under noise."""
        real = batch["pictures"]
        if group == DISCRIMINATOR:
            assert self._last is not None
            fake, maps = self._last
            scores = self.critic(torch.cat([real, fake]), maps)
            halves = [score.chunk(2) for score in scores]
            perturbed = self.critic.score_pixels(real + _PERTURBATION * torch.randn_like(real))
            shifts = [(a.float() - b.float()).square().mean() for a, (b, _) in zip(perturbed, halves, strict=False)]
            shift = torch.stack(shifts).mean()
            return (
                _with_prefix("real", [a for a, _ in halves])
                | _with_prefix("fake", [b for _, b in halves])
                | {"shift": shift}
            )
        restored = self.restorer(batch["degraded"]).float()
        parser = parser_encoder(str(restored.device), MAPS)
        predicted = parser(restored)
        with torch.no_grad():
            target = parser(real)
            real_scores = self.critic(real, target)
        self._last = restored.detach(), [torch.cat([b, a.detach()]) for a, b in zip(predicted, target, strict=True)]
        outputs = _with_prefix("real", real_scores) | _with_prefix("fake", self.critic(restored, predicted))
        pairs = batch["is_pair"][:, 0, 0, 0] > 0
        if bool(pairs.any()):
            outputs["features"] = feature_distance([m[pairs] for m in predicted], [m[pairs] for m in target])
        return outputs | {"restored": restored}


@dataclass(frozen=True, kw_only=True)
class RestorerTask(Task):
    """Learns to restore the details of small, blurred or generated faces."""

    network: RestorerConfig = field(default_factory=RestorerConfig)
    """The restorer's architecture."""
    start: str = ""
    """Weights of a trained restorer (weights/restore/restorer.safetensors) to continue from; empty starts from scratch."""
    critic_width: int = field(default=32, metadata={"min": 8, "max": 256, "step": 8})
    """Channels of the critic's first layer."""
    crop: int = field(default=128, metadata={"min": 32, "max": 256, "step": 16})
    """Side of the random crops, pixels."""
    adversarial_from: float = field(default=0.1, metadata={"min": 0.0, "max": 1.0, "formerly": "rivalry_from"})
    """Fraction of the training after which the adversarial loss starts; its weight then rises over another tenth."""
    feature_weight: float = field(default=0.1, metadata={"min": 0.0, "max": 100.0})
    """Weight of the distance between the parser's feature maps."""
    texture_weight: float = field(default=0.4, metadata={"min": 0.0, "max": 100.0})
    """Weight of the distance of local gradient energy."""
    adversarial_weight: float = field(default=0.03, metadata={"min": 0.0, "max": 10.0, "formerly": "rivalry_weight"})
    """Weight of the adversarial loss."""
    steadiness: float = field(default=5.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of the critic's approximated R1 regularization."""

    group_count = 2

    def build_data(self, folder: Path | None, device: torch.device) -> RestorerData:
        """Reads the pictures; what `training.held_out` says is held back."""
        if folder is None:
            raise InputError("Expected a folder of aligned face pictures, found none given; add --data DIR.")
        return RestorerData(Path(folder), self.crop, device)

    def build_model(self) -> nn.Module:
        """A new restorer, or a trained one, with a new critic."""
        network = self.network.build()
        if self.start:
            network = load_restorer(Path(self.start)).train().requires_grad_(True)
        return RestorerPair(network, RestorerCritic(self.critic_width))

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The restorer's, then the critic's."""
        assert isinstance(model, RestorerPair)
        return [list(model.restorer.parameters()), list(model.critic.parameters())]

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Pixel, edge, feature and texture losses of pairs, colour loss of samples, adversarial loss of both."""
        outputs = model(batch, group)
        real, fake = _by_prefix(outputs, "real"), _by_prefix(outputs, "fake")
        if group == DISCRIMINATOR:
            return {"critic": relativistic_loss(real, fake), "steadiness": self.steadiness * outputs["shift"]}
        restored, degraded = outputs["restored"], batch["degraded"]
        pairs = batch["is_pair"][:, 0, 0, 0] > 0
        a, b = restored[pairs], batch["pictures"][pairs]
        zero = restored.sum() * 0
        losses = {"pixels": zero, "edges": zero, "features": zero, "texture": zero}
        if len(a):
            losses = {
                "pixels": (a - b).abs().mean(),
                "edges": 0.5 * laplacian(a, b),
                "features": self.feature_weight * outputs["features"],
                "texture": self.texture_weight * texture_distance(a, b),
            }
        if len(a) < len(restored):
            coarse = F.avg_pool2d(restored[~pairs] - degraded[~pairs], _COARSE)
            losses["colours"] = coarse.abs().mean()
        strength = min(1.0, max(0.0, (progress - self.adversarial_from) / 0.1))
        losses["fooling"] = self.adversarial_weight * strength * relativistic_loss(fake, real)
        return losses

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Edge and pixel error on held-back faces, after and before restoration."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, degraded = data.preview(12)
        restored = model.restorer(degraded).float()
        figures = {"edges": float(laplacian(restored, pictures)), "pixels": float((restored - pictures).abs().mean())}
        before = {"edges before": float(laplacian(degraded, pictures))}
        return figures | before | {"pixels before": float((degraded - pictures).abs().mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Degraded, restored and original pictures, a row each."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, degraded = data.preview(PREVIEW_COUNT)
        rows = torch.stack([degraded, model.restorer(degraded).float(), pictures]).clamp(0, 1)
        return (rows * 255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`restorer.safetensors` in half precision."""
        assert isinstance(model, RestorerPair)
        return {"restorer": save_half(model.restorer, folder / "restorer.safetensors")}


def _with_prefix(kind: str, scores: list[Tensor]) -> dict[str, Tensor]:
    return {f"{kind}{number}": score for number, score in enumerate(scores)}


def _by_prefix(outputs: dict[str, Tensor], kind: str) -> list[Tensor]:
    return [outputs[name] for name in sorted(outputs) if name.startswith(kind)]
