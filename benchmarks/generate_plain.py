"""Trains the plain convolutional CVAE that `generate_quality` compares the generator with.

    python -m benchmarks generate_plain --data DATASET --run FOLDER [--minutes 35]
    python -m benchmarks generate_quality --data DATASET --plain FOLDER

As many weights as the generator's, the same pictures (photographs and variants), conditions and optimiser; Gaussian
likelihood with the best spread (arXiv:2006.13202), one latent vector, one prior. What was cut off goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegen.config import override, write_json
from facegen.generate.dataset.packed import SIDE, PackedFaces
from facegen.generate.tasks import GENERATOR
from facegen.json_file import read_json
from facegen.training.augment import to_float
from facegen.training.loop import Trainer
from facegen.training.settings import TrainSettings
from facegen.training.task import BatchSpec, Task, TrainingData

WIDTHS = (40, 76, 116, 152, 192)
"""Channels at 1/2 to 1/32 of the side."""
CODES = 128
HEAD = 4
WEIGHTS = "plain.safetensors"


class PlainCvae(nn.Module):
    """Convolutions down to one vector, and up again; the five values stand beside picture and vector."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(zip((8, *WIDTHS), WIDTHS, strict=False))
        self.small = SIDE // 2 ** len(WIDTHS)
        last = WIDTHS[-1] * self.small**2
        self.encoder = nn.Sequential(*(_block(a, b, 2) for a, b in pairs), nn.Flatten(), nn.Linear(last, 2 * CODES))
        self.begin = nn.Linear(CODES + 5, last)
        ups = [
            layer for a, b in reversed(pairs[1:]) for layer in (nn.Upsample(scale_factor=2), _block(b, a), _block(a, a))
        ]
        self.decoder = nn.Sequential(
            *ups, nn.Upsample(scale_factor=2), _block(WIDTHS[0], WIDTHS[0]), nn.Conv2d(WIDTHS[0], 3, 3, 1, 1)
        )

    def decode(self, codes: Tensor, sliders: Tensor) -> Tensor:
        """(B, 3, 128, 128) in about [0, 1] of (B, 128) codes and (B, 5) values."""
        h = self.begin(torch.cat([codes, sliders], 1)).unflatten(1, (WIDTHS[-1], self.small, self.small))
        return self.decoder(h) + 0.5

    def forward(self, pictures: Tensor, sliders: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures drawn again, and the divergence of each in nats."""
        planes = sliders[:, :, None, None].expand(-1, -1, SIDE, SIDE)
        mean, spread = self.encoder(torch.cat([pictures * 2 - 1, planes], 1)).float().chunk(2, 1)
        spread = spread.clamp(-8, 4)
        codes = mean + (spread / 2).exp() * torch.randn_like(mean) if self.training else mean
        divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(1)
        return self.decode(codes, sliders), divergence


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


class PlainData:
    """Batches of `pictures` (B, 3, 128, 128) in [0, 1] and `sliders` (B, 5): of each face a random variant, mirrored."""

    def __init__(self, pack: PackedFaces, device: torch.device) -> None:
        self.pack, self.device = pack, device
        self.skipped: tuple[str, ...] = ()
        self.places = np.flatnonzero(~pack.is_held_out())

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch."""
        faces = self.places[spec.indices.numpy()]
        variants = torch.randint(self.pack.pictures.shape[1], (len(faces),), generator=spec.generator).numpy()
        pictures = to_float(torch.from_numpy(self.pack.pictures[faces, variants]).permute(0, 3, 1, 2).contiguous())
        sliders = torch.from_numpy(self.pack.drawn[faces, variants])
        mirrored = torch.rand(len(faces), generator=spec.generator) < 0.5
        pictures[mirrored] = pictures[mirrored].flip(3)
        sliders[mirrored, HEAD] = 1 - sliders[mirrored, HEAD]
        return {"pictures": pictures.to(self.device), "sliders": sliders.to(self.device)}


@dataclass(frozen=True, kw_only=True)
class PlainTask(Task):
    """The plain CVAE."""

    def build_data(self, folder: Path | None, device: torch.device) -> PlainData:
        """Opens the prepared dataset."""
        return PlainData(PackedFaces.read(folder), device)

    def build_model(self) -> nn.Module:
        """A fresh network."""
        return PlainCvae()

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Negative evidence bound a pixel value, the divergence warmed up over the first tenth."""
        drawn, divergence = model(batch["pictures"], batch["sliders"])
        error = (drawn.float() - batch["pictures"]).square().mean()
        return {
            "pixels": 0.5 * error.log(),
            "divergence": min(1.0, 10 * progress) * divergence.mean() / batch["pictures"][0].numel(),
        }

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Samples."""
        assert isinstance(model, PlainCvae)
        drawn = sample_faces(model, np.full((8, 5), 0.5, np.float32), range(8))
        return np.concatenate(list(drawn), 1)

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`plain.safetensors`."""
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)
        return {"plain": folder / WEIGHTS}


@torch.no_grad()
def sample_faces(model: PlainCvae, sliders: np.ndarray, seeds: range, temperature: float = 0.8) -> np.ndarray:
    """(N, 128, 128, 3) uint8 faces of nobody for (N, 5) values."""
    noise = [torch.randn(1, CODES, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    drawn = model.decode(temperature * torch.cat(noise), torch.from_numpy(sliders))
    return drawn.float().clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def load(run: Path) -> tuple[PlainCvae, dict]:
    """The trained CVAE of a run, and how long it was trained."""
    from safetensors.torch import load_file

    model = PlainCvae().eval()
    model.load_state_dict(load_file(run / WEIGHTS))
    return model, read_json(run / "spent.json")


def main(arguments: list[str]) -> None:
    """Trains, or goes on."""
    parser = argparse.ArgumentParser(prog="generate_plain")
    parser.add_argument("--data", type=Path, required=True, help="a folder made by «facegen generate dataset»")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=35.0, help="by the clock, those of earlier parts included")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    shared = [change for change in GENERATOR.presets["default"] if not change.startswith(("steps", "task."))]
    settings = override(TrainSettings(), [*shared, "steps=1000000", f"minutes={asked.minutes}", "batch_size=16"])
    spent = asked.run / "spent.json"
    before = read_json(spent)["cpu_minutes"] if spent.is_file() else 0.0
    trainer = Trainer(PlainTask(), settings, asked.run, data=asked.data, on_line=lambda line: print(line, flush=True))
    result = trainer.train(resume=before > 0)
    cpu_minutes = before + time.process_time() / 60
    write_json(spent, {"steps": result.step, "pictures": 16 * result.step, "cpu_minutes": cpu_minutes})
    weights = sum(p.numel() for p in PlainCvae().parameters())
    print(f"{weights:,} weights, {16 * result.step:,} pictures, {cpu_minutes:.1f} CPU minutes")
    if result.files:
        (asked.run / WEIGHTS).write_bytes(result.files["plain"].read_bytes())
