"""Training of the face parser."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.faces.parse import CLASSES, ParserNetConfig
from facegen.faces.parse.data import LabelledPictures, ParserData, read_labelled, split
from facegen.faces.parse.network import ParserNet, to_input, upsample
from facegen.training.augment import to_float
from facegen.training.task import Task, TrainingData

PALETTE_RGB = np.array(
    [
        (20, 20, 28), (226, 178, 150), (240, 140, 110), (90, 200, 250), (60, 110, 255), (30, 60, 200), (150, 90, 40),
        (110, 60, 20), (250, 120, 190), (200, 70, 140), (255, 250, 230), (220, 40, 60), (160, 10, 40), (120, 60, 160),
        (60, 200, 120), (250, 220, 60), (190, 170, 20), (190, 140, 110), (90, 110, 130),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""(19, 3) RGB: the colours in which class maps are shown."""

WEIGHTS_BY_CLASS = (
    1.0, 1.0, 1.3, 2.0, 3.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.5, 2.5, 2.5, 1.0, 2.0, 2.5, 2.5, 1.2, 1.2,
)  # fmt: skip
"""What a pixel of each class counts in the cross-entropy: small parts count more."""


@dataclass(frozen=True, kw_only=True)
class ParserTask(Task):
    """Learns which pixel is skin, hair, eye and so on, and what covers a face."""

    network: ParserNetConfig = field(default_factory=ParserNetConfig)
    """The network's size."""
    early_size: int = field(default=192, metadata={"min": 32, "max": 512, "step": 32})
    """Side of the pictures trained on at first, pixels."""
    final_size: int = field(default=256, metadata={"min": 32, "max": 512, "step": 32})
    """Side of the pictures at the end, with labels in full size."""
    final_share: float = field(default=0.3, metadata={"min": 0.0, "max": 1.0})
    """Share of the training at the final size."""
    dice_weight: float = field(default=0.5, metadata={"min": 0.0, "max": 10.0})
    """Weight of the overlap loss beside the cross-entropy."""

    def build_data(self, folder: Path | None, device: torch.device) -> ParserData:
        """Reads the folder, keeps a tenth back for `measure` and `preview`."""
        if folder is None:
            raise InputError("Expected a data folder with images/ and masks/, found none given; add --data DIR.")
        pictures, skipped = read_labelled(folder)
        training, held_back = split(pictures)
        return ParserData(
            training,
            held_back,
            skipped=skipped,
            early_size=self.early_size,
            final_size=self.final_size,
            final_share=self.final_share,
            device=device,
        )

    def build_model(self) -> nn.Module:
        """A fresh network."""
        return ParserNet(self.network)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Cross-entropy and soft dice; at the labels' own size."""
        labels = batch["labels"]
        logits = model(to_input(batch["pictures"])).float()
        if logits.shape[2] != labels.shape[1]:
            logits = upsample(logits, labels.shape[1] // logits.shape[2])
        weights = torch.tensor(WEIGHTS_BY_CLASS, device=logits.device)
        logs = F.log_softmax(logits, 1)
        return {
            "cross-entropy": F.nll_loss(logs, labels, weights),
            "dice": self.dice_weight * dice_loss(logs.exp(), labels),
        }

    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Held-back figures: «1 - mean IoU» first, then the IoU of each class."""
        assert isinstance(data, ParserData)
        overlaps = intersection_over_union(model, data.held_back)
        return {"1 - mean IoU": 1 - float(np.mean(list(overlaps.values()))), **overlaps}

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Held-back pictures above their predicted classes."""
        assert isinstance(data, ParserData)
        held_back = data.held_back.take(list(range(min(8, len(data.held_back)))))
        maps = predict(model, held_back.pictures).argmax(1)
        predicted = PALETTE_RGB[maps.cpu().numpy()]
        pictures = held_back.pictures.permute(0, 2, 3, 1).numpy()
        return np.concatenate([np.concatenate(list(row), 1) for row in (pictures, predicted)], 0)

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`parser.safetensors` in half precision; its metadata say how to rebuild the network."""
        from safetensors.torch import save_file

        path = folder / "parser.safetensors"
        half = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
        about = {"network": json.dumps(to_dict(self.network))}
        save_file({k: v.contiguous() for k, v in half.items()}, path, metadata=about)
        return {"parser": path}


def dice_loss(probabilities: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft overlap, mean over the classes that the batch holds (Milletari et al., arXiv:1606.04797)."""
    truth = F.one_hot(labels, probabilities.shape[1]).permute(0, 3, 1, 2).to(probabilities.dtype)
    both = (probabilities * truth).sum((0, 2, 3))
    each = (probabilities + truth).sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    return (1 - (2 * both + 1) / (each + 1))[present].mean()


@torch.no_grad()
def predict(model: nn.Module, pictures: Tensor, batch_size: int = 20) -> Tensor:
    """(N, 19, S, S) logits of (N, 3, S, S) uint8 pictures."""
    device = next(model.parameters()).device
    parts = [
        upsample(model(to_input(to_float(part.to(device))).contiguous(memory_format=torch.channels_last)).float())
        for part in pictures.split(batch_size)
    ]
    return torch.cat(parts)


def intersection_over_union(model: nn.Module, data: LabelledPictures) -> dict[str, float]:
    """IoU of each class that occurs, over all the pictures together."""
    table = torch.zeros(len(CLASSES) ** 2, dtype=torch.int64)
    for pictures, labels in zip(data.pictures.split(20), data.labels.split(20), strict=True):
        predicted = predict(model, pictures).argmax(1).cpu()
        table += torch.bincount((labels.long() * len(CLASSES) + predicted).flatten(), minlength=len(table))
    square = table.view(len(CLASSES), len(CLASSES)).double()
    both = square.diagonal()
    overlap = both / (square.sum(0) + square.sum(1) - both)
    return {name: value for name, value in zip(CLASSES, overlap.tolist(), strict=True) if not math.isnan(value)}
