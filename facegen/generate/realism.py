"""The classifier of photographs versus generated faces: `RealismClassifier`, and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.device import choose_device
from facegen.errors import InputError
from facegen.generate.attributes.network import AttributeNet, AttributeNetConfig, load_attribute_net
from facegen.generate.weights import REALISM
from facegen.restore.checkpoint import save_half
from facegen.training.augment import add_noise, jitter_colour, to_float
from facegen.training.held_out import is_held_out
from facegen.training.pictures import PictureStore
from facegen.training.task import BatchSpec, SampleNames, Task, TrainingData

REALISM_CONFIG = AttributeNetConfig(widths=(48, 80, 112), blocks=(1, 1, 1), outputs=1, pooling="map")


class RealismData:
    """`pictures` (B, 3, S, S) in [0, 1] and `is_real` (B,), as many of each kind.

    Args:
        folder: holds `photographs/` and `generated/`; of each what `training.held_out` says is held back.
        side: of the pictures.
        device: where batches go.
    """

    def __init__(self, folder: Path, side: int, device: torch.device) -> None:
        self.device = device
        self.skipped: tuple[str, ...] = ()
        for name in ("photographs", "generated"):
            if not (folder / name).is_dir():
                raise InputError(f"Expected the folders photographs/ and generated/ in {folder}, found no {name}/.")
        stores = [PictureStore.read(folder / name, side) for name in ("generated", "photographs")]
        held = [torch.from_numpy(is_held_out(store.paths)) for store in stores]
        self.held_back = [store.pictures[kind] for store, kind in zip(stores, held, strict=True)]
        self.kinds = [store.pictures[~kind] for store, kind in zip(stores, held, strict=True)]
        paths = [path for store in stores for path in store.paths]
        self.names = SampleNames.split(paths, torch.cat(held).tolist())

    def __len__(self) -> int:
        return max(len(kind) for kind in self.kinds)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One batch, mirrored and tinted at random."""
        count = len(spec.indices)
        is_real = torch.arange(count) % 2
        chosen = [self.kinds[int(kind)] for kind in is_real]
        pictures = to_float(torch.stack([k[int(i) % len(k)] for k, i in zip(chosen, spec.indices, strict=True)]))
        mirrored = torch.rand(count, generator=spec.generator) < 0.5
        pictures[mirrored] = pictures[mirrored].flip(3)
        pictures = _resample(pictures, spec.generator)
        pictures = jitter_colour(pictures.to(self.device), spec.generator, strength=0.15)
        pictures = add_noise(pictures, spec.generator, share=0.3, largest=0.02)
        return {"pictures": pictures, "is_real": is_real.float().to(self.device)}


def _resample(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Downsamples every other batch and back, so that the classifier does not rely on the finest details alone."""
    side = pictures.shape[2]
    small = side // 2 + 8 * int(torch.randint(side // 16 + 1, (), generator=random))
    if small == side or bool(torch.rand((), generator=random) < 0.5):
        return pictures
    shrunk = F.interpolate(pictures, size=small, mode="bilinear", antialias=True)
    return F.interpolate(shrunk, size=side, mode="bicubic", align_corners=False).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class RealismTask(Task):
    """Learns to classify photographs versus generated faces."""

    network: AttributeNetConfig = field(default_factory=lambda: REALISM_CONFIG)
    """The network's architecture."""

    def build_data(self, folder: Path | None, device: torch.device) -> RealismData:
        """Reads both folders."""
        if folder is None:
            raise InputError("Expected a folder with photographs/ and generated/, found none given; add --data DIR.")
        return RealismData(Path(folder), self.network.side, device)

    def build_model(self) -> nn.Module:
        """An untrained network."""
        return AttributeNet(self.network)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Binary cross-entropy with label smoothing, so that scores do not saturate."""
        logits = model(batch["pictures"] * 2 - 1).float()[:, 0]
        return {"realism": F.binary_cross_entropy_with_logits(logits, batch["is_real"] * 0.9 + 0.05)}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Error rates on held-back pictures, of both kinds and of each."""
        assert isinstance(data, RealismData)
        wrong = []
        for kind, pictures in enumerate(data.held_back):
            predicted = model(to_float(pictures[:128].to(data.device)) * 2 - 1).float()[:, 0] > 0
            wrong.append(float((predicted != bool(kind)).float().mean()))
        return {"error": sum(wrong) / 2, "generated taken for real": wrong[0], "real taken for generated": wrong[1]}

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`realism.safetensors` in half precision."""
        return {"realism": save_half(model, folder / "realism.safetensors")}


_BATCH_SIZE = 16
_ORANGE = np.array([255, 90, 0], np.float32)


class RealismClassifier:
    """The trained classifier of photographs versus generated faces.

    Args:
        device: as `device.choose_device` takes it.
        path: exported by `facegen train realism`; None loads the bundled weights.

    Raises:
        WeightsError: the weights are missing, were changed or are another model's.
    """

    def __init__(self, device: str = "auto", path: Path | None = None) -> None:
        self.device = choose_device(device)
        self._network = load_attribute_net(Path(path or hub.fetch(REALISM)), REALISM_CONFIG).to(self.device)

    def score(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N,) float32 probability 0..1 of a photograph, for (N, S, S, 3) uint8 aligned faces."""
        return 1 / (1 + np.exp(-self.score_map(pictures_rgb).mean((1, 2))))

    def score_map(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N, 8, 8) float32 logits of the patches; negative where they look generated."""
        side = REALISM_CONFIG.side
        maps = []
        for start in range(0, len(pictures_rgb), _BATCH_SIZE):
            part = [
                cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA)
                for p in pictures_rgb[start : start + _BATCH_SIZE]
            ]
            inputs = torch.from_numpy(np.stack(part)).to(self.device).permute(0, 3, 1, 2).float().div(127.5) - 1
            with torch.inference_mode():
                maps.append(self._network.score_map(inputs)[:, 0].float().cpu().numpy())
        return np.concatenate(maps)

    def highlight(self, picture_rgb: np.ndarray) -> np.ndarray:
        """The (S, S, 3) uint8 picture in grey, orange where it looks most generated; scaled per picture."""
        side = len(picture_rgb)
        scores = cv2.resize(self.score_map(picture_rgb[None])[0], (side, side), interpolation=cv2.INTER_CUBIC)
        alpha = np.clip((np.median(scores) - scores) / max(float(np.ptp(scores)) / 2, 1e-3), 0, 1)
        grey = picture_rgb.mean(2, keepdims=True)
        return (grey + 0.8 * alpha[..., None] * (_ORANGE - grey)).clip(0, 255).astype(np.uint8)
