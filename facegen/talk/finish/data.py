"""Batches of drawn faces and of the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegen.array_file import read_arrays
from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.faces.clip import VERSION as ANALYSIS
from facegen.jobs.cache import file_fingerprint
from facegen.talk.finish.pairs import DrawnPair, draw_pairs
from facegen.talk.jobs import FINISH_PAIRS
from facegen.training.augment import to_float
from facegen.training.task import BatchSpec

_VERSION = 5
_MIRRORED_MAPS = (0, 3, 6)
"""Maps that change their sign in a mirror."""


class FinishData:
    """Training pairs, kept as bytes.

    Batches hold `drawn` and `truth` (B, 3, S, S) in [0, 1], `maps` (B, MAPS, S / 2, S / 2) in [-1, 1], `light`
    (B, 1, S / 4, S / 4), `region` (B, 1, S, S) and `eyes` (B, 1, S / 2, S / 2) in [0, 1], mirrored and tinted at random.

    Args:
        learned: packed pairs (`pack_pairs`) that are learned from.
        held_back: those that are only measured on.
        device: where batches go.
    """

    def __init__(self, learned: dict[str, np.ndarray], held_back: dict[str, np.ndarray], device: torch.device) -> None:
        self.learned = {name: torch.from_numpy(values) for name, values in learned.items()}
        self.held_back = {name: torch.from_numpy(values) for name, values in held_back.items()}
        self.device = device
        self.skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.learned["drawn"])

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """The drawn pairs."""
        batch = self._floats(self.learned, spec.indices)
        count, random = len(spec.indices), spec.generator
        mirrored = torch.rand(count, generator=random) < 0.5
        for name, values in batch.items():
            values[mirrored] = values[mirrored].flip(3)
            if name == "maps":
                is_mirrored_map = torch.zeros(values.shape[1], dtype=torch.bool)
                is_mirrored_map[list(_MIRRORED_MAPS)] = True
                values[mirrored[:, None] & is_mirrored_map] *= -1
        # portraits come in every light and paint, clips in few
        tint = torch.randn(count, 3, 1, 1, generator=random) * 0.08
        gain = torch.exp(tint + torch.randn(count, 1, 1, 1, generator=random) * 0.2)
        power = torch.exp(torch.randn(count, 1, 1, 1, generator=random) * 0.15)
        for name in ("drawn", "truth"):
            batch[name] = (batch[name].clamp(0, 1) ** power.to(self.device) * gain.to(self.device)).clamp(max=1)
        return batch

    def held_back_batch(self, chosen: Sequence[int] | slice) -> dict[str, Tensor]:
        """A batch of pairs held back, neither mirrored nor tinted."""
        return self._floats(self.held_back, torch.arange(len(self.held_back["drawn"]))[chosen])

    def _floats(self, pack: dict[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
        batch = {name: values[indices].to(self.device) for name, values in pack.items()}
        maps = batch.pop("maps").float().div(127)
        return {"maps": maps} | {name: to_float(values) for name, values in batch.items()}


def pack_pairs(pairs: list[DrawnPair]) -> dict[str, np.ndarray]:
    """Pairs as bytes: (N, C, H, W) uint8 of 0..1, and int8 of [-1, 1] for `maps`."""

    def stack(pictures: list[np.ndarray]) -> np.ndarray:
        return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))

    inputs = [pair.inputs for pair in pairs]
    return {
        "drawn": stack([item.drawn_rgb for item in inputs]),
        "truth": stack([pair.truth_rgb for pair in pairs]),
        "maps": stack([np.round(item.maps * 127).astype(np.int8) for item in inputs]),
        "light": stack([np.round(item.light[..., None] * 255).astype(np.uint8) for item in inputs]),
        "region": stack([np.round(item.region[..., None] * 255).astype(np.uint8) for item in inputs]),
        "eyes": stack([np.round(item.eyes[..., None] * 255).astype(np.uint8) for item in inputs]),
    }


def load_pairs(path: Path, analyser: FaceAnalyser, every: int) -> dict[str, np.ndarray]:
    """Packed pairs of a clip, from the cache where it was measured before; empty where the clip cannot be used."""

    def make(temporary: Path) -> None:
        try:
            pairs = list(draw_pairs(path, analyser, every))
        except InputError:
            pairs = []
        with temporary.open("wb") as file:
            contents: dict[str, Any] = pack_pairs(pairs) if pairs else {}
            np.savez(file, **contents)

    return read_arrays(
        FINISH_PAIRS.get(FINISH_PAIRS.path(file_fingerprint(path), _VERSION, ANALYSIS, every, suffix=".npz"), make)
    )


def join_pairs(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Packed pairs of several clips as one; each has some."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
