"""A small autoencoder for any face: the engine's smoke test, and an example of a task in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegen.config import save
from facegen.errors import InputError
from facegen.training.augment import AffineRange, affine_grids, jitter_colour, sample_pictures, to_float
from facegen.training.initializers import initialize
from facegen.training.losses import Mixture
from facegen.training.pictures import PictureStore
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

SHOWN = 8


class Autoencoder(nn.Module):
    """Strided convolutions down to a code, pixel shuffles up again.

    Args:
        size: side of the pictures, a multiple of 16.
        width: channels after the first convolution.
        code: numbers in the middle.
    """

    def __init__(self, size: int, width: int, code: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        small = size // 16
        down: list[nn.Module] = []
        for inputs, outputs in zip([3, *widths], widths, strict=False):
            down += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.1)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(widths[-1] * small**2, code))
        self.widen = nn.Sequential(
            nn.Linear(code, widths[-1] * small**2), nn.Unflatten(1, (widths[-1], small, small)), nn.LeakyReLU(0.1)
        )
        up: list[nn.Module] = []
        for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], 3], strict=True):
            up += [nn.Conv2d(inputs, outputs * 4, 3, 1, 1), nn.PixelShuffle(2), nn.LeakyReLU(0.1)]
        self.decoder = nn.Sequential(*up[:-1])
        initialize(self, "he_uniform")

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in [0, 1] to the same, drawn again; not clipped."""
        return self.decoder(self.widen(self.encoder(pictures * 2 - 1))) * 0.5 + 0.5


class FaceData:
    """Faces mirrored, moved a little and tinted: `pictures` (B, 3, S, S) in [0, 1]."""

    def __init__(self, store: PictureStore, device: torch.device) -> None:
        self.store, self.device, self.skipped = store, device, store.skipped
        self.names = SampleNames(learned=tuple(path.name for path in store.paths))

    def __len__(self) -> int:
        return len(self.store)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One augmented batch."""
        pictures = to_float(self.store.take(spec.indices).to(self.device))
        matrices = AffineRange(rotation_deg=5, scale=1.08, shift=0.03).draw(len(pictures), spec.generator)
        matrices[torch.rand(len(pictures), generator=spec.generator) < 0.5, :, 0] *= -1
        pictures = sample_pictures(pictures, affine_grids(matrices.to(self.device), pictures.shape[2]))
        return {"pictures": jitter_colour(pictures, spec.generator, strength=0.2)}

    def examples(self) -> Tensor:
        """The first few pictures as they are."""
        return to_float(self.store.take(torch.arange(min(SHOWN, len(self))))).to(self.device)


@dataclass(frozen=True, kw_only=True)
class AutoencoderTask(Task):
    """Learns to draw any face again from a short code."""

    size: int = field(default=64, metadata={"min": 16, "max": 256, "step": 16})
    """Side of the pictures, pixels."""
    width: int = field(default=32, metadata={"min": 4, "max": 256, "step": 4})
    """Channels after the first convolution."""
    code: int = field(default=256, metadata={"min": 4, "max": 4096})
    """Numbers that a face is squeezed into."""

    def build_data(self, folder: Path | None, device: torch.device) -> FaceData:
        """All pictures of the folder, small and in memory."""
        if folder is None:
            raise InputError("Expected a folder of face pictures, found none given; add --data DIR.")
        return FaceData(PictureStore.read(folder, self.size), device)

    def build_model(self) -> nn.Module:
        """A fresh network."""
        return Autoencoder(self.size, self.width, self.code)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Structure and colour."""
        drawn = model(batch["pictures"]).float()
        return {"face": Mixture({"dssim": 1.0, "l1": 1.0})(drawn, batch["pictures"])}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Mean absolute error on the first pictures as they are."""
        assert isinstance(data, FaceData)
        pictures = data.examples()
        return {"error": float((model(pictures) - pictures).abs().mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Pictures above what becomes of them."""
        assert isinstance(data, FaceData)
        pictures = data.examples()
        rows = torch.stack([pictures, model(pictures).clamp(0, 1)])
        return (rows * 255).byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Weights and the settings that rebuild the network."""
        from safetensors.torch import save_file

        weights, settings = folder / "autoencoder.safetensors", folder / "autoencoder.json"
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, weights)
        save(settings, self)
        return {"weights": weights, "settings": settings}
