"""Steps and samples a second of each task and of a liae-ud pair model, bfloat16 against float32, share of waiting."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.report import report
from facegen.catalog import find_task
from facegen.errors import InputError
from facegen.training.augment import AffineRange, affine_grids, draw_warps, sample_pictures, to_float, warp_grids
from facegen.training.loader import BatchLoader
from facegen.training.losses import Mixture, soft_mask
from facegen.training.pictures import PictureStore
from facegen.training.settings import OptimiserSettings, TrainSettings
from facegen.training.stepper import Stepper
from facegen.training.task import BatchSpec, Task, TrainingData

MEASURES = ("facegen/training",)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PAIR = "liae-ud 128 pair"
DEEPFACELAB_RATE = 0.366
"""DeepFaceLab's liae-ud on such a machine, iterations a second (facts/peers_speed.md); yardstick 16 to 18.5."""


def main(arguments: list[str]) -> None:
    """Measure; with --quick fewer steps."""
    if not SHARED.is_dir():
        raise InputError(f"Expected the local material in {SHARED}, found none; this benchmark needs it.")
    count = 4 if "--quick" in arguments else 12
    rows = []
    for precision in ("float32", "bfloat16"):
        for name, batch, folder in (("parser", 16, "faces/celebamask"), ("autoencoder", 32, "faces/generated/female")):
            task = find_task(name).load()()
            rows.append(_measure(task, name, batch, SHARED / folder, precision, "adamw", 2 * count))
        rows += [
            _measure(LiaeTask(), PAIR, 4, SHARED / "faces/generated", precision, optimiser, count)
            for optimiser in ("adabelief", "adam")
        ]
    report(
        "training_speed",
        rows,
        figures={
            f"liae-ud against DeepFaceLab's, {row['numbers']}, {row['optimiser']}": round(
                float(str(row["steps/s"])) / DEEPFACELAB_RATE, 2
            )
            for row in rows
            if row["task"] == PAIR
        },
        notes=(
            "Median step after three to warm up; augmentation included.",
            "The pair's step is 4 faces A and 4 faces B, as in DeepFaceLab; its rate of 0.366/s was taken elsewhere: "
            "divide by the yardsticks before comparing.",
        ),
        measures=MEASURES,
    )


def _measure(
    task: Task, name: str, batch: int, folder: Path, precision: str, optimiser: str, steps: int
) -> dict[str, object]:
    settings = TrainSettings(
        batch_size=batch,
        precision=precision,  # type: ignore[arg-type]
        optimiser=OptimiserSettings(name=optimiser, rate=5e-5),  # type: ignore[arg-type]
    )
    stepper = Stepper(task, settings, print)
    data: TrainingData = task.build_data(folder, stepper.device)
    loader = BatchLoader(data, seed=0, batch_size=batch, slots=1, local_slots=range(1), progress=lambda step: 0.0)
    seconds, waited = [], 0.0
    for step in range(steps + 3):
        before = loader.waited_seconds
        started = time.perf_counter()
        stepper.step(loader.batches(step), step, 0.0, 1.0)
        if step >= 3:
            seconds.append(time.perf_counter() - started)
            waited += loader.waited_seconds - before
    loader.close()
    rate = 1 / statistics.median(seconds)
    return {
        "task": name,
        "numbers": precision,
        "optimiser": optimiser,
        "weights (M)": round(sum(p.numel() for p in stepper.model.parameters()) / 1e6, 2),
        "batch": batch,
        "steps/s": round(rate, 3),
        "samples/s": round(rate * batch * (2 if name == PAIR else 1), 1),
        "waiting for data (%)": round(100 * waited / sum(seconds), 2),
    }


class Up(nn.Sequential):
    """Convolution to four times the channels, activation, pixel shuffle."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 3, 1, 1), nn.LeakyReLU(0.1), nn.PixelShuffle(2))


class Residual(nn.Module):
    """Two convolutions round a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return F.leaky_relu(x + self.layers(x), 0.2)


class Inter(nn.Module):
    """Two dense layers and one doubling: the code of a face as a small map."""

    def __init__(self, flat: int, code: int, channels: int, side: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(flat, code), nn.Linear(code, channels * side**2))
        self.shape = (channels, side, side)
        self.up = Up(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, features) to (B, channels, 2 * side, 2 * side)."""
        return self.up(self.dense(x).unflatten(1, self.shape))


class LiaeUd(nn.Module):
    """DeepFaceLab's liae with the flags u and d, from its description (facts/training_and_merging.md, 1.3)."""

    def __init__(self, side: int = 128, e: int = 64, d: int = 64, ae: int = 256, m: int = 22) -> None:
        super().__init__()
        widths = [3, e, 2 * e, 4 * e, 8 * e]
        self.encoder = nn.Sequential(
            *(layer for a, b in itertools.pairwise(widths) for layer in (nn.Conv2d(a, b, 5, 2, 2), nn.LeakyReLU(0.1))),
            nn.Flatten(),
        )
        flat = 8 * e * (side // 16) ** 2
        self.inter_ab = Inter(flat, ae, 2 * ae, side // 32)
        self.inter_b = Inter(flat, ae, 2 * ae, side // 32)
        self.face = nn.Sequential(
            *(Up(4 * ae, 8 * d), Residual(8 * d), Up(8 * d, 4 * d), Residual(4 * d), Up(4 * d, 2 * d), Residual(2 * d))
        )
        self.out = nn.ModuleList([nn.Conv2d(2 * d, 3, 1), *(nn.Conv2d(2 * d, 3, 3, 1, 1) for _ in range(3))])
        self.mask = nn.Sequential(
            *(Up(4 * ae, 8 * m), Up(8 * m, 4 * m), Up(4 * m, 2 * m), Up(2 * m, m), nn.Conv2d(m, 1, 1), nn.Sigmoid())
        )

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Faces and masks of A, then B, drawn again."""
        flat = self.encoder(torch.cat([a, b]))
        flat = flat * torch.rsqrt(flat.square().mean(1, keepdim=True) + 1e-6)
        both = self.inter_ab(flat)
        of_a, of_b = both.chunk(2)
        code = torch.cat([torch.cat([of_a, of_a], 1), torch.cat([self.inter_b(flat.chunk(2)[1]), of_b], 1)])
        x = self.face(code)
        parts = torch.stack([layer(x) for layer in self.out], 2).flatten(1, 2)
        return torch.sigmoid(F.pixel_shuffle(parts, 2)), self.mask(code)


class PairData:
    """Warped faces of two sets, with what they were."""

    skipped: tuple[str, ...] = ()

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.stores = [PictureStore.read(folder / name, 128) for name in ("female", "male")]
        self.device = device

    def __len__(self) -> int:
        return len(self.stores[0])

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Inputs and targets of A and B."""
        made = {}
        for name, store in zip("ab", self.stores, strict=True):
            pictures = to_float(store.take(spec.indices % len(store)).to(self.device))
            grids = affine_grids(AffineRange().draw(len(pictures), spec.generator).to(self.device), 128)
            fields = draw_warps(len(pictures), spec.generator).to(self.device)
            made[name] = sample_pictures(pictures, warp_grids(grids, fields))
            made[f"{name}_wanted"] = sample_pictures(pictures, grids)
        return made


@dataclass(frozen=True, kw_only=True)
class LiaeTask(Task):
    """The pair model with DeepFaceLab's losses."""

    def build_data(self, folder: Path | None, device: torch.device) -> PairData:
        """The two halves of the generated faces."""
        assert folder is not None
        return PairData(folder, device)

    def build_model(self) -> nn.Module:
        """A fresh network."""
        return LiaeUd()

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """10 DSSIM + 10 MSE inside the mask, 10 MSE of the mask, for A and B."""
        faces, masks = model(batch["a"], batch["b"])
        axis = torch.linspace(-1, 1, 128, device=faces.device)
        oval = ((axis[None] / 0.7) ** 2 + (axis[:, None] / 0.9) ** 2 < 1).float().expand(len(batch["a"]), 1, 128, 128)
        soft = soft_mask(oval, 128)
        mixture = Mixture({"dssim": 10.0, "mse": 10.0})
        losses = {}
        for name, face, mask in zip("ab", faces.float().chunk(2), masks.float().chunk(2), strict=True):
            shape = 10 * (mask - oval).square().mean()
            losses[name.upper()] = mixture(face, batch[f"{name}_wanted"], mask=soft) + shape
        return losses

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Nothing: this model is only timed."""
        return {}
