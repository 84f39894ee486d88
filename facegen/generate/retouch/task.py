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

from facegen.array_file import read_array
from facegen.config import to_dict
from facegen.errors import InputError
from facegen.generate.dataset.packed import SIDE, PackedFaces
from facegen.generate.frame.variants import CANONICAL
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.latents import Latents
from facegen.generate.model.vae import LEADING, NEIGHBOURS
from facegen.generate.retouch.retoucher import RetoucherConfig, RetoucherNet, add_noise, outer_weight, resize
from facegen.generate.sliders import Sliders
from facegen.restore.checkpoint import load_frozen, save_int8
from facegen.training.augment import to_float
from facegen.training.held_out import HELD_OUT_SHARE
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

PREVIEW_COUNT = 8
DRAWINGS = 3
"""Drawings of each face: one as encoded, the others with details from the prior and something of another face.

Around the face the latter look as if all of it were another's, as in new faces, whose hair and clothes suffer from that.
"""
_FOREIGN = 0.4
"""Largest weight of another face in them."""
_DETAIL = 0.64
"""Strength of the deep groups' noise in them, as in new faces of usual temperature."""
MAX_REPEATS = 3
"""Most repeats of a face in one pass over the data; rare faces and those of small datasets are repeated."""
MIN_HELD_OUT = 30
"""Faces of a dataset that no training sees, where there are more than six times as many."""
MIN_TIME = 0.1
"""Smallest flow-matching time that 256 pixels are trained at; the last sampling step goes from 1/8 to 0."""
_BATCH_SIZE = 16


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
        parts = [_PairedFaces.from_dataset(path, generator, side) for path in _datasets(folder)]
        self.parts = tuple(parts)
        self.names = SampleNames(
            learned=tuple(name for part in parts for name in part.names.learned),
            held_back=tuple(name for part in parts for name in part.names.held_back),
        )
        largest = max(len(part.train_indices) for part in parts)
        self._samples: list[tuple[int, int]] = []
        for number, part in enumerate(parts):
            # small datasets are curated
            repeats = min(MAX_REPEATS, round((largest / max(1, len(part.train_indices))) ** 0.5))
            for index in part.train_indices:
                self._samples += [(number, int(index))] * min(MAX_REPEATS, repeats * (1 + int(part.is_rare[index])))

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch, mirrored at random."""
        which = torch.randint(DRAWINGS, (len(spec.indices),), generator=spec.generator)
        mirrored = torch.rand(len(spec.indices), generator=spec.generator) < 0.5
        samples = [self._samples[index] for index in spec.indices.tolist()]
        return self._batch([(*sample, int(n)) for sample, n in zip(samples, which, strict=True)], mirrored)

    def held_out_batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Held-out photographs and drawings of them like those of new faces, RGB in [-1, 1]; an equal number of each dataset."""
        each = -(-count // len(self.parts))
        samples = [(n, int(index), 1) for n, part in enumerate(self.parts) for index in part.held_out_indices[:each]]
        batch = self._batch(samples[:count], torch.zeros(len(samples[:count]), dtype=torch.bool))
        return batch["photographs"], batch["drawn"]

    def _batch(self, samples: list[tuple[int, int, int]], mirrored: Tensor) -> dict[str, Tensor]:
        tensors = []
        for pictures in (
            np.stack([self.parts[number].photographs[index] for number, index, _ in samples]),
            np.stack([self.parts[number].drawn[index, drawing] for number, index, drawing in samples]),
        ):
            rgb = to_float(torch.from_numpy(pictures).permute(0, 3, 1, 2).to(self.device)).mul(2).sub(1)
            rgb[mirrored] = rgb[mirrored].flip(3)
            tensors.append(resize(rgb, self.side))
        return {"photographs": tensors[0], "drawn": tensors[1]}


def _datasets(folder: Path | None) -> list[Path]:
    """A dataset, or those in a folder."""
    inside = sorted(path.parent for path in folder.glob("*/dataset.json")) if folder and folder.is_dir() else []
    return inside or [folder]  # type: ignore[list-item]  # PackedFaces says what is missing


@dataclass(frozen=True, eq=False, kw_only=True)
class _PairedFaces:
    """One dataset's photographs and drawings of them, in its order."""

    photographs: np.ndarray
    """(N, S, S, 3) uint8 RGB."""
    drawn: np.ndarray
    """(N, DRAWINGS, 128, 128, 3) uint8 RGB, for faces that look ahead."""
    train_indices: np.ndarray
    """Indices of the faces that are trained on."""
    held_out_indices: np.ndarray
    """Indices of the faces that are held out."""
    names: SampleNames
    """Of both."""
    is_rare: np.ndarray
    """(N,) bool: faces of a rare kind, see `PackedFaces.is_rare`."""

    @classmethod
    def from_dataset(cls, folder: Path, generator: FaceGenerator, side: int) -> _PairedFaces:
        pack = PackedFaces.read(folder)
        if side > SIDE and pack.large is None:
            raise InputError(
                f"Expected a dataset with photographs of {side} pixels in {folder}, found none; make it with --large."
            )
        ahead = pack.is_frontal()
        held = pack.is_held_out(max(HELD_OUT_SHARE, min(MIN_HELD_OUT, len(pack) / 6) / len(pack)))
        train_indices, held_out_indices = np.flatnonzero(ahead & ~held), np.flatnonzero(ahead & held)
        if min(len(train_indices), len(held_out_indices)) < 2:
            raise InputError(
                f"Expected a dataset with dozens of faces that look ahead, found {int(ahead.sum())} of {len(pack)}; add "
                "photographs."
            )
        return cls(
            photographs=pack.canonical[..., :3] if pack.large is None or side == SIDE else pack.large,
            drawn=_load_drawings(
                folder, pack, [train_indices, held_out_indices], generator, with_own_colours=side > SIDE
            ),
            train_indices=train_indices,
            held_out_indices=held_out_indices,
            names=SampleNames.split(np.array(pack.names)[ahead], held[ahead]),
            is_rare=pack.is_rare(),
        )


def _load_drawings(
    folder: Path, pack: PackedFaces, groups: list[np.ndarray], generator: FaceGenerator, *, with_own_colours: bool
) -> np.ndarray:
    """(N, DRAWINGS, 128, 128, 3) uint8, from an earlier training on the same dataset with the same generator or drawn now."""
    digest = sha256(repr((DRAWINGS, _FOREIGN, _DETAIL, with_own_colours, len(pack))).encode())
    digest.update(next(iter(generator.vae.parameters())).detach().cpu().numpy().tobytes())
    path = folder / f"drawings-{digest.hexdigest()[:12]}.npy"
    if not path.is_file():
        drawn = np.zeros((len(pack), DRAWINGS, SIDE, SIDE, 3), np.uint8)
        for indices in groups:
            sliders = [CANONICAL] * len(indices)
            if with_own_colours:
                measured = [Sliders.from_controls(pack.drawn[index, 0].tolist()) for index in indices]
                sliders = [replace(CANONICAL, hair=one.hair, background=one.background) for one in measured]
            drawn[indices] = _draw_faces(np.ascontiguousarray(pack.canonical[indices]), sliders, generator)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, drawn)
        partial.replace(path)
    return read_array(path, is_mapped=True)


def _draw_faces(canonical: np.ndarray, sliders: list[Sliders], generator: FaceGenerator) -> np.ndarray:
    """(N, DRAWINGS, 128, 128, 3) uint8 of (N, 128, 128, 5) canonical pictures."""
    random = torch.Generator().manual_seed(0)
    encoded = [
        generator.encode_canonical(canonical[start : start + _BATCH_SIZE], CANONICAL)
        for start in range(0, len(canonical), _BATCH_SIZE)
    ]
    latents = Latents.concat(encoded)
    leading = latents.texture[:, :LEADING].cpu()
    drawn = np.empty((len(canonical), DRAWINGS, *canonical.shape[1:3], 3), np.uint8)
    around = outer_weight(drawn.shape[2])[..., None].numpy()
    for start in range(0, len(canonical), _BATCH_SIZE):
        block = range(start, min(start + _BATCH_SIZE, len(canonical)))
        part, requested = latents.take(block), sliders[block.start : block.stop]
        drawn[block, 0] = generator.draw(part, requested)
        distances = torch.cdist(leading[list(block)], leading)
        neighbours = distances.argsort(1)[:, 1 : 1 + min(NEIGHBOURS, len(leading) - 1)]
        for number in range(1, DRAWINGS):
            neighbour_indices = neighbours.gather(
                1, torch.randint(neighbours.shape[1], (len(part), 1), generator=random)
            )[:, 0]
            foreign = (
                latents.texture[neighbour_indices.to(part.texture.device)] - part.texture
            ) @ generator.vae.blend.T
            strength_of_other = _FOREIGN * torch.rand(len(part), 1, generator=random).to(foreign)
            noises = tuple(_DETAIL * torch.randn(n.shape, generator=random).to(n) for n in part.noises)
            base, other = (
                generator.draw(
                    replace(part, texture=(part.texture + strength * foreign).clamp(-2, 2), noises=noises), requested
                )
                for strength in (strength_of_other, 1.0)
            )
            drawn[block, number] = (base + around * (other.astype(np.float32) - base)).round()
    return drawn


@dataclass(frozen=True, kw_only=True)
class RetoucherTask(Task):
    """Learns the flow from drawn faces to photographs of them."""

    network: RetoucherConfig = field(default_factory=RetoucherConfig)
    """The network's size."""
    generator: str = ""
    """Folder of the generator that draws (diffusers' form); empty takes the bundled one."""
    start: str = ""
    """Weights of a trained retoucher to go on from; of 128 pixels (weights/generate/retoucher.safetensors) also for 256. Empty
    begins afresh."""

    def build_data(self, folder: Path | None, device: torch.device) -> RetoucherData:
        """Draws every face of the prepared dataset, a few minutes on a CPU."""
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
        """Squared error of the velocity at a random time (flow matching)."""
        photographs, drawn = batch["photographs"], batch["drawn"]
        noised = add_noise(drawn, torch.randn_like(drawn))
        times = self._sample_times(drawn)
        interpolated = torch.lerp(photographs, noised, times[:, None, None, None])
        direction = model(interpolated, drawn, times)
        return {"direction": F.mse_loss(direction.float(), noised - photographs)}

    def _sample_times(self, drawn: Tensor) -> Tensor:
        """(B,) random flow-matching times: uniform for 128 pixels, else logit-normal (arXiv:2403.03206)."""
        if not self.network.fine:
            return torch.rand(len(drawn), device=drawn.device)
        return MIN_TIME + (1 - MIN_TIME) * torch.sigmoid(torch.randn(len(drawn), device=drawn.device))

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Error of the direction on held-back faces, at the same times in every call."""
        assert isinstance(data, RetoucherData)
        photographs, drawn = data.held_out_batch(64)
        random = torch.Generator().manual_seed(0)
        noised = add_noise(drawn, torch.randn(drawn.shape, generator=random).to(drawn))
        times = torch.linspace(MIN_TIME if self.network.fine else 0.02, 0.98, len(drawn), device=drawn.device)
        interpolated = torch.lerp(photographs, noised, times[:, None, None, None])
        parts = (t.split(_BATCH_SIZE) for t in (interpolated, drawn, times))
        direction = torch.cat([model(*part).float() for part in zip(*parts, strict=True)])
        return {"direction": float(F.mse_loss(direction, noised - photographs))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back photographs, drawings of them, and these retouched."""
        assert isinstance(data, RetoucherData)
        assert isinstance(model, RetoucherNet)
        photographs, drawn = ((t + 1) / 2 for t in data.held_out_batch(PREVIEW_COUNT))
        noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0)).to(drawn)
        rows = torch.stack([photographs, drawn, model.retouch(drawn, noise)])
        return rows.mul(255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`retoucher.safetensors`."""
        assert isinstance(model, RetoucherNet)
        metadata = {"config": json.dumps(to_dict(model.config))}
        return {"retoucher": save_int8(model, folder / "retoucher.safetensors", metadata)}
