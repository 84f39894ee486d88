"""Training of the retoucher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.frame.variants import CANONICAL
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.latents import Latents
from facegen.generate.model.vae import LEADING, NEIGHBOURS
from facegen.generate.retouch.retoucher import RetoucherConfig, RetoucherNet, noised, outside
from facegen.restore.checkpoint import load_frozen, save_int8
from facegen.training.augment import to_float
from facegen.training.task import BatchSpec, Task, TrainingData

SHOWN = 8
DRAWINGS = 3
"""Drawings of each face: one as encoded, the others with details from the prior and something of another face.

Around the face the latter look as if all of it were another's, as in new faces, whose hair and clothes suffer from that.
"""
_FOREIGN = 0.4
"""How much of another face they have at most."""
_DETAIL = 0.64
"""Strength of the deep groups' noise in them, as in new faces of usual temperature."""
_AT_ONCE = 16


class RetoucherData:
    """Batches of `drawn` and `photographs`, both (B, 3, 128, 128) RGB of -1 to 1 in the canonical frame.

    Args:
        pack: the dataset; faces that look aside, whose far side is smeared in the canonical frame, are left out.
        generator: draws.
        device: where batches go.
    """

    def __init__(self, pack: PackedFaces, generator: FaceGenerator, device: torch.device) -> None:
        self.device = device
        self.skipped: tuple[str, ...] = ()
        ahead, held = pack.look_ahead(), pack.held_back()
        places = [np.flatnonzero(ahead & ~held), np.flatnonzero(ahead & held)[:64]]
        if min(map(len, places)) < 2:
            raise InputError(
                f"Expected a dataset with dozens of faces that look ahead, found {int(ahead.sum())} of {len(pack)}; add "
                "photographs."
            )
        (self.photographs, self.drawn), self.held_back = (_pairs(pack, found, generator) for found in places)

    def __len__(self) -> int:
        return len(self.photographs)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch, mirrored at random."""
        which = torch.randint(DRAWINGS, (len(spec.indices),), generator=spec.generator)
        mirrored = torch.rand(len(spec.indices), generator=spec.generator) < 0.5
        pictures = torch.stack([self.photographs[spec.indices], self.drawn[spec.indices, which]], 1)
        pictures[mirrored] = pictures[mirrored].flip(4)
        photographs, drawn = to_float(pictures.to(self.device)).mul(2).sub(1).unbind(1)
        return {"photographs": photographs, "drawn": drawn}

    def shown(self, count: int) -> tuple[Tensor, Tensor]:
        """Held-back photographs and new-face-like drawings of them, RGB in [0, 1]."""
        photographs, drawn = self.held_back
        return to_float(photographs[:count].to(self.device)), to_float(drawn[:count, 1].to(self.device))


def _pairs(pack: PackedFaces, places: np.ndarray, generator: FaceGenerator) -> tuple[Tensor, Tensor]:
    """(N, 3, 128, 128) photographs and (N, DRAWINGS, 3, 128, 128) drawings, uint8."""
    random = torch.Generator().manual_seed(0)
    photographs = np.ascontiguousarray(pack.canonical[places])
    encoded = [
        generator.encode_canonical(photographs[start : start + _AT_ONCE], CANONICAL)
        for start in range(0, len(photographs), _AT_ONCE)
    ]
    known = Latents.concat(encoded)
    leading = known.texture[:, :LEADING].cpu()
    drawn = np.empty((len(places), DRAWINGS, *photographs.shape[1:3], 3), np.uint8)
    around = outside(drawn.shape[2])[..., None].numpy()
    for start in range(0, len(places), _AT_ONCE):
        chosen = range(start, min(start + _AT_ONCE, len(places)))
        part = known.take(chosen)
        drawn[chosen, 0] = generator.draw(part, CANONICAL)
        gaps = torch.cdist(leading[list(chosen)], leading)
        near = gaps.argsort(1)[:, 1 : 1 + min(NEIGHBOURS, len(leading) - 1)]
        for number in range(1, DRAWINGS):
            others = near.gather(1, torch.randint(near.shape[1], (len(part), 1), generator=random))[:, 0]
            foreign = (known.texture[others.to(part.texture.device)] - part.texture) @ generator.vae.blend.T
            share = _FOREIGN * torch.rand(len(part), 1, generator=random).to(foreign)
            noises = tuple(_DETAIL * torch.randn(n.shape, generator=random).to(n) for n in part.noises)
            of_itself, of_another = (
                generator.draw(
                    replace(part, texture=(part.texture + much * foreign).clamp(-2, 2), noises=noises), CANONICAL
                )
                for much in (share, 1.0)
            )
            drawn[chosen, number] = (of_itself + around * (of_another.astype(np.float32) - of_itself)).round()
    rgb = torch.from_numpy(photographs[..., :3]).permute(0, 3, 1, 2).contiguous()
    return rgb, torch.from_numpy(drawn).permute(0, 1, 4, 2, 3).contiguous()


@dataclass(frozen=True, kw_only=True)
class RetoucherTask(Task):
    """Learns what photographs of drawn faces would look like."""

    network: RetoucherConfig = field(default_factory=RetoucherConfig)
    """The network's size."""
    generator: str = ""
    """Folder of the generator that draws (diffusers' form); empty takes the bundled one."""
    start: str = ""
    """Weights of a trained retoucher (weights/generate/retoucher.safetensors) to go on from; empty begins afresh."""

    def build_data(self, folder: Path | None, device: torch.device) -> RetoucherData:
        """Has every face of the prepared dataset drawn, a few minutes on a CPU."""
        drawer = FaceGenerator.load(Path(self.generator) if self.generator else None, device.type)
        return RetoucherData(PackedFaces.read(folder), drawer, device)

    def build_model(self) -> nn.Module:
        """A network, fresh or from its weights."""
        if not self.start:
            return self.network.build()
        return load_frozen(self.network.build(), Path(self.start), "retoucher").train().requires_grad_(True)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Squared error of the direction, at a random share of the way."""
        photographs, drawn = batch["photographs"], batch["drawn"]
        away = noised(drawn, torch.randn_like(drawn))
        shares = torch.rand(len(drawn), device=drawn.device)
        between = torch.lerp(photographs, away, shares[:, None, None, None])
        direction = model(between, drawn, shares)
        return {"direction": F.mse_loss(direction.float(), away - photographs)}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Error of the direction on held-back faces, at the same shares each time."""
        assert isinstance(data, RetoucherData)
        photographs, drawn = (t * 2 - 1 for t in data.shown(64))
        random = torch.Generator().manual_seed(0)
        away = noised(drawn, torch.randn(drawn.shape, generator=random).to(drawn))
        shares = torch.linspace(0.02, 0.98, len(drawn), device=drawn.device)
        between = torch.lerp(photographs, away, shares[:, None, None, None])
        return {"direction": float(F.mse_loss(model(between, drawn, shares).float(), away - photographs))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back photographs, drawings of them, and these retouched."""
        assert isinstance(data, RetoucherData)
        assert isinstance(model, RetoucherNet)
        photographs, drawn = data.shown(SHOWN)
        noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0)).to(drawn)
        rows = torch.stack([photographs, drawn, model.retouch(drawn, noise)])
        return rows.mul(255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`retoucher.safetensors`."""
        assert isinstance(model, RetoucherNet)
        return {"retoucher": save_int8(model, folder / "retoucher.safetensors")}
