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
from facegen.restore.critic import MAPS, PatchCritic, rivalry
from facegen.restore.data import RestorerData
from facegen.restore.features import feature_distance, parser_maps
from facegen.restore.network import RestorerConfig, RestorerNet
from facegen.restore.texture import texture_distance
from facegen.training.losses import laplacian
from facegen.training.task import Task, TrainingData

SHOWN = 6
_COARSE = 8
"""Pixels a side over which a sample's colours are held."""
_SHAKE = 0.01
"""Noise that must not change the critic's mind (arXiv:2501.08316 holds critics still in this way)."""


class RestorerPair(nn.Module):
    """The restorer and its critic, as one model with two players."""

    def __init__(self, restorer: RestorerNet, critic: PatchCritic) -> None:
        super().__init__()
        self.restorer, self.critic = restorer, critic
        self._shown: tuple[Tensor, list[Tensor]] | None = None

    def forward(self, batch: dict[str, Tensor], player: int) -> dict[str, Tensor]:
        """For player 0 restored pictures, maps and the critic's view of both kinds; for 1 its view, and when shaken."""
        real = batch["pictures"]
        if player == 1:
            assert self._shown is not None
            shown, maps = self._shown
            scores = self.critic(torch.cat([real, shown]), maps)
            halves = [score.chunk(2) for score in scores]
            shaken = self.critic.pixels(real + _SHAKE * torch.randn_like(real))
            shifts = [(a.float() - b.float()).square().mean() for a, (b, _) in zip(shaken, halves, strict=False)]
            shift = torch.stack(shifts).mean()
            return _named("real", [a for a, _ in halves]) | _named("fake", [b for _, b in halves]) | {"shift": shift}
        restored = self.restorer(batch["damaged"]).float()
        parser = parser_maps(str(restored.device), MAPS)
        drawn = parser(restored)
        with torch.no_grad():
            wanted = parser(real)
            liked = self.critic(real, wanted)
        self._shown = restored.detach(), [torch.cat([b, a.detach()]) for a, b in zip(drawn, wanted, strict=True)]
        found = _named("real", liked) | _named("fake", self.critic(restored, drawn))
        pairs = batch["is_pair"][:, 0, 0, 0] > 0
        if bool(pairs.any()):
            found["features"] = feature_distance([m[pairs] for m in drawn], [m[pairs] for m in wanted])
        return found | {"restored": restored}


@dataclass(frozen=True, kw_only=True)
class RestorerTask(Task):
    """Learns to give a small, blurred or generated face its details back."""

    network: RestorerConfig = field(default_factory=RestorerConfig)
    """The restorer's size."""
    start: str = ""
    """Weights of a trained restorer (weights/restore/restorer.safetensors) to go on from; empty begins afresh."""
    critic_width: int = field(default=32, metadata={"min": 8, "max": 256, "step": 8})
    """Channels of the critic's first layer."""
    crop: int = field(default=128, metadata={"min": 32, "max": 256, "step": 16})
    """Side of the pieces that are trained on, pixels."""
    rivalry_from: float = field(default=0.1, metadata={"min": 0.0, "max": 1.0})
    """Share of the training for which the critic only looks on; then it counts, more and more over another tenth."""
    feature_weight: float = field(default=0.1, metadata={"min": 0.0, "max": 100.0})
    """Weight of the distance in the parser's maps."""
    texture_weight: float = field(default=0.4, metadata={"min": 0.0, "max": 100.0})
    """Weight of the distance of local texture strengths."""
    rivalry_weight: float = field(default=0.03, metadata={"min": 0.0, "max": 10.0})
    """Weight of fooling the critic."""
    steadiness: float = field(default=5.0, metadata={"min": 0.0, "max": 1000.0})
    """Weight of what a little noise changes in the critic's scores of photographs."""

    players = 2

    def build_data(self, folder: Path | None, device: torch.device) -> RestorerData:
        """Reads the pictures; every twelfth is kept back."""
        if folder is None:
            raise InputError("Expected a folder of aligned face pictures, found none given; add --data DIR.")
        return RestorerData(Path(folder), self.crop, device)

    def build_model(self) -> nn.Module:
        """A restorer, fresh or from its weights, with a fresh critic."""
        from facegen.restore.restorer import load_restorer

        network = self.network.build()
        if self.start:
            network = load_restorer(Path(self.start)).train().requires_grad_(True)
        return RestorerPair(network, PatchCritic(self.critic_width))

    def parameters_of_players(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The restorer's, then the critic's."""
        assert isinstance(model, RestorerPair)
        return [list(model.restorer.parameters()), list(model.critic.parameters())]

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, player: int) -> dict[str, Tensor]:
        """Pixels, edges and features of pairs, colours of samples, and for both the critic's belief."""
        found = model(batch, player)
        real, fake = _numbered(found, "real"), _numbered(found, "fake")
        if player == 1:
            return {"critic": rivalry(real, fake), "steadiness": self.steadiness * found["shift"]}
        restored, given = found["restored"], batch["damaged"]
        pairs = batch["is_pair"][:, 0, 0, 0] > 0
        a, b = restored[pairs], batch["pictures"][pairs]
        nothing = restored.sum() * 0
        losses = {"pixels": nothing, "edges": nothing, "features": nothing, "texture": nothing}
        if len(a):
            losses = {
                "pixels": (a - b).abs().mean(),
                "edges": 0.5 * laplacian(a, b),
                "features": self.feature_weight * found["features"],
                "texture": self.texture_weight * texture_distance(a, b),
            }
        if len(a) < len(restored):
            coarse = F.avg_pool2d(restored[~pairs] - given[~pairs], _COARSE)
            losses["colours"] = coarse.abs().mean()
        strength = min(1.0, max(0.0, (progress - self.rivalry_from) / 0.1))
        losses["fooling"] = self.rivalry_weight * strength * rivalry(fake, real)
        return losses

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Edge and pixel error on held-back faces, and what they were before."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, damaged = data.shown(24)
        restored = model.restorer(damaged).float()
        figures = {"edges": float(laplacian(restored, pictures)), "pixels": float((restored - pictures).abs().mean())}
        before = {"edges before": float(laplacian(damaged, pictures))}
        return figures | before | {"pixels before": float((damaged - pictures).abs().mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Damaged, restored and true pictures."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, damaged = data.shown(SHOWN)
        rows = torch.stack([damaged, model.restorer(damaged).float(), pictures]).clamp(0, 1)
        return (rows * 255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`restorer.safetensors` in half precision."""
        from safetensors.torch import save_file

        assert isinstance(model, RestorerPair)
        path = folder / "restorer.safetensors"
        state = model.restorer.state_dict()
        half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        save_file({k: v.contiguous() for k, v in half.items()}, path)
        return {"restorer": path}


def _named(kind: str, scores: list[Tensor]) -> dict[str, Tensor]:
    return {f"{kind}{number}": score for number, score in enumerate(scores)}


def _numbered(found: dict[str, Tensor], kind: str) -> list[Tensor]:
    return [found[name] for name in sorted(found) if name.startswith(kind)]
