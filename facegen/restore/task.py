"""Training of the restorer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.restore.critic import PatchCritic
from facegen.restore.network import RestorerConfig, RestorerNet
from facegen.restore.texture import texture_distance
from facegen.training.augment import add_compression, add_noise, to_float, uniform
from facegen.training.losses import laplacian
from facegen.training.pictures import PictureStore
from facegen.training.task import Draw, Task, TrainingData

SIDE = 256
SHOWN = 6


class RestorerData:
    """Batches of `damaged` and `pictures`, both (B, 3, crop, crop) in [0, 1].

    Args:
        folder: pictures of aligned faces. Where it has the folders `drawn/` and `originals/`, files of one name in both
            are pairs («reconstruction -> original»), and every other sample of a batch is such a pair.
        crop: side of the pieces.
        device: where batches go.
    """

    def __init__(self, folder: Path, crop: int, device: torch.device) -> None:
        self.crop, self.device = crop, device
        pairs = folder / "drawn"
        originals = folder / "originals" if pairs.is_dir() else folder
        store = PictureStore.read(originals, SIDE)
        self.skipped = store.skipped
        held = max(1, len(store) // 12)
        self.held_back, self.pictures = store.pictures[:held], store.pictures[held:]
        self.drawn: Tensor | None = None
        if pairs.is_dir():
            drawn = PictureStore.read(pairs, SIDE)
            if [p.stem for p in drawn.paths] != [p.stem for p in store.paths]:
                raise InputError(f"Expected the same names in {pairs} and {originals}, found others; make them again.")
            self.drawn = drawn.pictures[held:]

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, draw: Draw) -> dict[str, Tensor]:
        """Random pieces, mirrored at random, damaged."""
        random = draw.generator
        pictures = to_float(self.pictures[draw.indices].to(self.device))
        damaged = damage(pictures, random)
        if self.drawn is not None:
            damaged[::2] = to_float(self.drawn[draw.indices[::2]].to(self.device))
        if bool(torch.rand((), generator=random) < 0.5):
            pictures, damaged = pictures.flip(3), damaged.flip(3)
        top, left = (8 * int(torch.randint((SIDE - self.crop) // 8 + 1, (), generator=random)) for _ in range(2))
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        return {"pictures": pictures[..., rows, columns], "damaged": damaged[..., rows, columns].contiguous()}


def damage(pictures: Tensor, random: Generator) -> Tensor:
    """Faces as they come from small pictures and from generators: shrunk, blurred, noisy, compressed."""
    damaged = torch.empty_like(pictures)
    sides = (48 + 8 * torch.randint(13, (len(pictures),), generator=random)).tolist()
    for place, side in enumerate(sides):
        small = F.interpolate(pictures[place : place + 1], size=side, mode="bilinear", antialias=True)
        if side >= 96 and bool(torch.rand((), generator=random) < 0.5):
            small = blur(small, float(uniform(1, 0.4, 1.3, random)))
        damaged[place] = F.interpolate(small, size=pictures.shape[2], mode="bicubic", align_corners=False)[0]
    damaged = add_noise(damaged.clamp(0, 1), random, share=0.25, largest=0.03)
    return add_compression(damaged, random, share=0.25)


def blur(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 3, H, W)."""
    places = torch.arange(-4, 5, device=pictures.device, dtype=pictures.dtype)
    window = torch.exp(-places.square() / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, 1, 9)
    padded = F.pad(pictures, (4, 4, 4, 4), mode="replicate")
    return F.conv2d(F.conv2d(padded, window, groups=3), window.transpose(2, 3), groups=3)


class RestorerPair(nn.Module):
    """The restorer and its critic, as one model with two players."""

    def __init__(self, restorer: RestorerNet, critic: PatchCritic) -> None:
        super().__init__()
        self.restorer, self.critic = restorer, critic
        self._shown: Tensor | None = None

    def forward(self, batch: dict[str, Tensor], player: int, is_rivalry: bool) -> dict[str, Tensor]:
        """For player 0 restored pictures and the critic's view of them; for 1 its scores of real and restored."""
        if player == 1:
            assert self._shown is not None
            if not is_rivalry:
                return {"idle": torch.stack([p.sum() for p in self.critic.parameters()]).sum() * 0}
            return {"scores": self.critic(torch.cat([batch["pictures"], self._shown]))[0]}
        restored = self.restorer(batch["damaged"]).float()
        self._shown = restored.detach()
        found = {"restored": restored}
        if is_rivalry:
            found["scores"], drawn = self.critic(restored)
            with torch.no_grad():
                _, wanted = self.critic(batch["pictures"])
            terms = [(a.float() - b.float()).abs().mean() for a, b in zip(drawn, wanted, strict=True)]
            found["match"] = torch.stack(terms).mean()
        return found


@dataclass(frozen=True, kw_only=True)
class RestorerTask(Task):
    """Learns to give a small, blurred or generated face its details back."""

    network: RestorerConfig = field(default_factory=RestorerConfig)
    """The restorer's size."""
    critic_width: int = field(default=32, metadata={"min": 8, "max": 256, "step": 8})
    """Channels of the critic's first layer."""
    crop: int = field(default=128, metadata={"min": 32, "max": 256, "step": 16})
    """Side of the pieces that are trained on, pixels."""
    rivalry_from: float = field(default=0.2, metadata={"min": 0.0, "max": 1.0})
    """Share of the training after which the critic takes part."""
    texture_weight: float = field(default=0.4, metadata={"min": 0.0, "max": 100.0})
    """Weight of the distance of local texture strengths."""
    rivalry_weight: float = field(default=0.005, metadata={"min": 0.0, "max": 10.0})
    """Weight of fooling the critic."""
    match_weight: float = field(default=0.05, metadata={"min": 0.0, "max": 10.0})
    """Weight of the distance in the critic's features."""

    players = 2

    def build_data(self, folder: Path | None, device: torch.device) -> RestorerData:
        """Reads the pictures; every twelfth is kept back."""
        if folder is None:
            raise InputError("Expected a folder of aligned face pictures, found none given; add --data DIR.")
        return RestorerData(Path(folder), self.crop, device)

    def build_model(self) -> nn.Module:
        """A fresh restorer with its critic."""
        return RestorerPair(self.network.build(), PatchCritic(self.critic_width))

    def parameters_of_players(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The restorer's, then the critic's."""
        assert isinstance(model, RestorerPair)
        return [list(model.restorer.parameters()), list(model.critic.parameters())]

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, player: int) -> dict[str, Tensor]:
        """Pixels and edges; once the critic takes part, its belief and features."""
        is_rivalry = progress >= self.rivalry_from
        found = model(batch, player, is_rivalry)
        if player == 1:
            if not is_rivalry:
                return {"critic": found["idle"]}
            real, fake = found["scores"].float().chunk(2)
            return {"critic": F.relu(1 - real).mean() + F.relu(1 + fake).mean()}
        restored, wanted = found["restored"], batch["pictures"]
        losses = {
            "pixels": (restored - wanted).abs().mean(),
            "edges": 0.5 * laplacian(restored, wanted),
            "texture": self.texture_weight * texture_distance(restored, wanted),
        }
        if is_rivalry:
            losses["fooling"] = -self.rivalry_weight * found["scores"].float().mean()
            losses["matching"] = self.match_weight * found["match"]
        return losses

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Edge and pixel error on held-back faces, and what they were before."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, damaged = _held_back(data, 24)
        restored = model.restorer(damaged).float()
        figures = {"edges": float(laplacian(restored, pictures)), "pixels": float((restored - pictures).abs().mean())}
        before = {"edges before": float(laplacian(damaged, pictures))}
        return figures | before | {"pixels before": float((damaged - pictures).abs().mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Damaged, restored and true pictures."""
        assert isinstance(data, RestorerData)
        assert isinstance(model, RestorerPair)
        pictures, damaged = _held_back(data, SHOWN)
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


def _held_back(data: RestorerData, count: int) -> tuple[Tensor, Tensor]:
    pictures = to_float(data.held_back[:count].to(data.device))
    damaged = damage(pictures, torch.Generator().manual_seed(0))
    layout = torch.channels_last
    return pictures.contiguous(memory_format=layout), damaged.contiguous(memory_format=layout)
