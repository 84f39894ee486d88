"""Training of the retoucher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.generate.dataset.packed import HELD_BACK, SIDE, PackedFaces
from facegen.generate.frame.variants import CANONICAL
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.latents import Latents
from facegen.generate.model.vae import LEADING, NEIGHBOURS
from facegen.generate.retouch.retoucher import RetoucherConfig, RetoucherNet, add_noise, enlarged, outer_weight
from facegen.generate.sliders import Sliders
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
MOST_OFTEN = 3
"""How often a pass over the data shows a face at most: rare ones and those of small datasets more often than once."""
LEAST_HELD_BACK = 30
"""Faces of a dataset that no training sees, where there are more than six times as many."""
LEAST_SHARE = 0.1
"""Nearest to the photograph that pictures of 256 pixels are trained at; a retouch ends with a step of 1/8."""
_AT_ONCE = 16


class RetoucherData:
    """Batches of `drawn` and `photographs`, both (B, 3, S, S) RGB of -1 to 1 in the canonical frame.

    Args:
        folder: a dataset, or a folder of datasets; faces that look aside, whose far side is smeared in the canonical frame,
            are left out. Drawings are kept in there.
        generator: draws.
        side: S, 128 or 256 (for datasets with large photographs).
        device: where batches go.
    """

    def __init__(self, folder: Path | None, generator: FaceGenerator, side: int, device: torch.device) -> None:
        self.device, self.side = device, side
        self.skipped: tuple[str, ...] = ()
        parts = [_Pairs.from_dataset(place, generator, side) for place in _datasets(folder)]
        self.parts = tuple(parts)
        largest = max(len(part.trained) for part in parts)
        self._places: list[tuple[int, int]] = []
        for number, part in enumerate(parts):
            # a small dataset is one that has been chosen for its pictures
            times = min(MOST_OFTEN, round((largest / max(1, len(part.trained))) ** 0.5))
            for place in part.trained:
                self._places += [(number, int(place))] * min(MOST_OFTEN, times * (1 + int(part.rare[place])))

    def __len__(self) -> int:
        return len(self._places)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch, mirrored at random."""
        which = torch.randint(DRAWINGS, (len(spec.indices),), generator=spec.generator)
        mirrored = torch.rand(len(spec.indices), generator=spec.generator) < 0.5
        chosen = [self._places[index] for index in spec.indices.tolist()]
        return self._batch([(*place, int(n)) for place, n in zip(chosen, which, strict=True)], mirrored)

    def shown(self, count: int) -> tuple[Tensor, Tensor]:
        """Held-back photographs and new-face-like drawings of them, RGB of -1 to 1; an equal number of each dataset."""
        each = -(-count // len(self.parts))
        chosen = [(n, int(place), 1) for n, part in enumerate(self.parts) for place in part.held_back[:each]]
        batch = self._batch(chosen[:count], torch.zeros(len(chosen[:count]), dtype=torch.bool))
        return batch["photographs"], batch["drawn"]

    def _batch(self, chosen: list[tuple[int, int, int]], mirrored: Tensor) -> dict[str, Tensor]:
        found = []
        for pictures in (
            np.stack([self.parts[number].photographs[place] for number, place, _ in chosen]),
            np.stack([self.parts[number].drawn[place, drawing] for number, place, drawing in chosen]),
        ):
            rgb = to_float(torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.device)).mul(2).sub(1)
            rgb[mirrored] = rgb[mirrored].flip(3)
            found.append(enlarged(rgb, self.side))
        return {"photographs": found[0], "drawn": found[1]}


def _datasets(folder: Path | None) -> list[Path]:
    """A dataset, or those in a folder."""
    inside = sorted(path.parent for path in folder.glob("*/dataset.json")) if folder and folder.is_dir() else []
    return inside or [folder]  # type: ignore[list-item]  # PackedFaces says what is missing


@dataclass(frozen=True, eq=False, kw_only=True)
class _Pairs:
    """One dataset's photographs and drawings of them, in its order."""

    photographs: np.ndarray
    """(N, S, S, 3) uint8 RGB."""
    drawn: np.ndarray
    """(N, DRAWINGS, 128, 128, 3) uint8 RGB, for faces that look ahead."""
    trained: np.ndarray
    """Places of faces that are trained on."""
    held_back: np.ndarray
    rare: np.ndarray
    """(N,) bool: what there is little of."""

    @classmethod
    def from_dataset(cls, folder: Path, generator: FaceGenerator, side: int) -> _Pairs:
        pack = PackedFaces.read(folder)
        if side > SIDE and pack.large is None:
            raise InputError(
                f"Expected a dataset with photographs of {side} pixels in {folder}, found none; make it with --large."
            )
        ahead = pack.is_frontal()
        held = pack.is_held_out(max(HELD_BACK, min(LEAST_HELD_BACK, len(pack) / 6) / len(pack)))
        trained, held_back = np.flatnonzero(ahead & ~held), np.flatnonzero(ahead & held)
        if min(len(trained), len(held_back)) < 2:
            raise InputError(
                f"Expected a dataset with dozens of faces that look ahead, found {int(ahead.sum())} of {len(pack)}; add "
                "photographs."
            )
        return cls(
            photographs=pack.canonical[..., :3] if pack.large is None or side == SIDE else pack.large,
            drawn=_drawings(folder, pack, [trained, held_back], generator, as_photographed=side > SIDE),
            trained=trained,
            held_back=held_back,
            rare=pack.rare(),
        )


def _drawings(
    folder: Path, pack: PackedFaces, groups: list[np.ndarray], generator: FaceGenerator, *, as_photographed: bool
) -> np.ndarray:
    """(N, DRAWINGS, 128, 128, 3) uint8, from an earlier training on the same dataset with the same generator or drawn now."""
    digest = sha256(repr((DRAWINGS, _FOREIGN, _DETAIL, as_photographed, len(pack))).encode())
    digest.update(next(iter(generator.vae.parameters())).detach().cpu().numpy().tobytes())
    path = folder / f"drawings-{digest.hexdigest()[:12]}.npy"
    if not path.is_file():
        drawn = np.zeros((len(pack), DRAWINGS, SIDE, SIDE, 3), np.uint8)
        for places in groups:
            sliders = [CANONICAL] * len(places)
            if as_photographed:
                own = [Sliders.from_controls(pack.drawn[place, 0].tolist()) for place in places]
                sliders = [replace(CANONICAL, hair=one.hair, background=one.background) for one in own]
            drawn[places] = _drawn(np.ascontiguousarray(pack.canonical[places]), sliders, generator)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, drawn)
        partial.replace(path)
    return np.load(path, mmap_mode="r")


def _drawn(canonical: np.ndarray, sliders: list[Sliders], generator: FaceGenerator) -> np.ndarray:
    """(N, DRAWINGS, 128, 128, 3) uint8 of (N, 128, 128, 5) canonical pictures."""
    random = torch.Generator().manual_seed(0)
    encoded = [
        generator.encode_canonical(canonical[start : start + _AT_ONCE], CANONICAL)
        for start in range(0, len(canonical), _AT_ONCE)
    ]
    known = Latents.concat(encoded)
    leading = known.texture[:, :LEADING].cpu()
    drawn = np.empty((len(canonical), DRAWINGS, *canonical.shape[1:3], 3), np.uint8)
    around = outer_weight(drawn.shape[2])[..., None].numpy()
    for start in range(0, len(canonical), _AT_ONCE):
        chosen = range(start, min(start + _AT_ONCE, len(canonical)))
        part, asked = known.take(chosen), sliders[chosen.start : chosen.stop]
        drawn[chosen, 0] = generator.draw(part, asked)
        gaps = torch.cdist(leading[list(chosen)], leading)
        near = gaps.argsort(1)[:, 1 : 1 + min(NEIGHBOURS, len(leading) - 1)]
        for number in range(1, DRAWINGS):
            others = near.gather(1, torch.randint(near.shape[1], (len(part), 1), generator=random))[:, 0]
            foreign = (known.texture[others.to(part.texture.device)] - part.texture) @ generator.vae.blend.T
            share = _FOREIGN * torch.rand(len(part), 1, generator=random).to(foreign)
            noises = tuple(_DETAIL * torch.randn(n.shape, generator=random).to(n) for n in part.noises)
            of_itself, of_another = (
                generator.draw(
                    replace(part, texture=(part.texture + much * foreign).clamp(-2, 2), noises=noises), asked
                )
                for much in (share, 1.0)
            )
            drawn[chosen, number] = (of_itself + around * (of_another.astype(np.float32) - of_itself)).round()
    return drawn


@dataclass(frozen=True, kw_only=True)
class RetoucherTask(Task):
    """Learns what photographs of drawn faces would look like."""

    network: RetoucherConfig = field(default_factory=RetoucherConfig)
    """The network's size."""
    generator: str = ""
    """Folder of the generator that draws (diffusers' form); empty takes the bundled one."""
    start: str = ""
    """Weights of a trained retoucher to go on from; of 128 pixels (weights/generate/retoucher.safetensors) also for 256. Empty
    begins afresh."""

    def build_data(self, folder: Path | None, device: torch.device) -> RetoucherData:
        """Has every face of the prepared dataset drawn, a few minutes on a CPU."""
        drawer = FaceGenerator.load(Path(self.generator) if self.generator else None, device.type)
        return RetoucherData(folder, drawer, self.network.side, device)

    def build_model(self) -> nn.Module:
        """A network, fresh or from its weights."""
        if not self.start:
            return self.network.build()
        network = self.network.build()
        start = Path(self.start)
        if self.network.fine and not RetoucherConfig.from_weights(start).fine:
            network.unet = load_frozen(replace(self.network, fine=()).build(), start, "retoucher").unet
        else:
            network = load_frozen(network, start, "retoucher")
        return network.train().requires_grad_(True)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Squared error of the direction, at a random share of the way."""
        photographs, drawn = batch["photographs"], batch["drawn"]
        away = add_noise(drawn, torch.randn_like(drawn))
        shares = self._shares(drawn)
        between = torch.lerp(photographs, away, shares[:, None, None, None])
        direction = model(between, drawn, shares)
        return {"direction": F.mse_loss(direction.float(), away - photographs)}

    def _shares(self, drawn: Tensor) -> Tensor:
        """(B,) random shares of the way: evenly for 128 pixels, else logit-normal (arXiv:2403.03206)."""
        if not self.network.fine:
            return torch.rand(len(drawn), device=drawn.device)
        return LEAST_SHARE + (1 - LEAST_SHARE) * torch.sigmoid(torch.randn(len(drawn), device=drawn.device))

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Error of the direction on held-back faces, at the same shares each time."""
        assert isinstance(data, RetoucherData)
        photographs, drawn = data.shown(64)
        random = torch.Generator().manual_seed(0)
        away = add_noise(drawn, torch.randn(drawn.shape, generator=random).to(drawn))
        shares = torch.linspace(LEAST_SHARE if self.network.fine else 0.02, 0.98, len(drawn), device=drawn.device)
        between = torch.lerp(photographs, away, shares[:, None, None, None])
        parts = (t.split(_AT_ONCE) for t in (between, drawn, shares))
        direction = torch.cat([model(*part).float() for part in zip(*parts, strict=True)])
        return {"direction": float(F.mse_loss(direction, away - photographs))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back photographs, drawings of them, and these retouched."""
        assert isinstance(data, RetoucherData)
        assert isinstance(model, RetoucherNet)
        photographs, drawn = ((t + 1) / 2 for t in data.shown(SHOWN))
        noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0)).to(drawn)
        rows = torch.stack([photographs, drawn, model.retouch(drawn, noise)])
        return rows.mul(255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`retoucher.safetensors`."""
        assert isinstance(model, RetoucherNet)
        metadata = {"config": json.dumps(to_dict(model.config))}
        return {"retoucher": save_int8(model, folder / "retoucher.safetensors", metadata)}
