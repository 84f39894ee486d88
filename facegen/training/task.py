"""`Task`: what a room gives to the training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

GENERATOR, DISCRIMINATOR = 0, 1
"""Indices of the parameter groups of an adversarial training; a task with one group has index 0 alone."""


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchSpec:
    """Which samples make up a batch, and its only source of randomness.

    Both are functions of the run's seed and the step, so that a resumed run trains on the batches of an uninterrupted one.
    """

    indices: Tensor
    """(B,) int64, on the CPU; positions in the data."""
    generator: torch.Generator
    """On the CPU; seeded from run seed, step and slot."""
    step: int
    """Steps done before this one."""
    progress: float
    """Share of the planned training that is done, 0..1."""


@dataclass(frozen=True, kw_only=True)
class SampleNames:
    """Which files, clips or people a training has to do with: what its weights have seen can be looked up later."""

    learned: tuple[str, ...] = ()
    """Those that are learned from; where a task does not know which of them it can use, all that it read."""
    held_back: tuple[str, ...] = ()
    """Those that are only measured on."""

    @classmethod
    def split(cls, names: Iterable[str | Path], is_held_back: Iterable[bool]) -> SampleNames:
        """Names, or paths by their names, with whether each is held back."""
        pairs = [(Path(name).name, bool(held)) for name, held in zip(names, is_held_back, strict=True)]
        return cls(
            learned=tuple(name for name, held in pairs if not held),
            held_back=tuple(name for name, held in pairs if held),
        )


class TrainingData(Protocol):
    """Samples decoded once and kept compact; batches come out augmented and on the device."""

    skipped: tuple[str, ...]
    """Names of files that could not be used."""
    names: SampleNames
    """Names of those that are used."""

    def __len__(self) -> int: ...

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Tensors that have the batch as first axis, on the task's device."""
        ...


class Task(ABC):
    """One thing that can be trained. Features subclass it; the loop never names one.

    A subclass is a frozen dataclass whose fields are the task's own settings (JSON values, a docstring under each).
    """

    @abstractmethod
    def build_data(self, folder: Path | None, device: torch.device) -> TrainingData:
        """Reads the data.

        Raises:
            InputError: nothing usable is there.
        """

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A fresh network; called after the seed is set."""

    group_count: ClassVar[int] = 1
    """Number of parameter groups, each with its own losses and optimiser; 2 for a generator and its discriminator."""

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The parameters of each group: `GENERATOR` first, then `DISCRIMINATOR`; by default one group of all."""
        return [list(model.parameters())]

    @abstractmethod
    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Scalars by name; the loop minimises their sum. Names are shown to the user.

        Args:
            model: call it only through its `forward`, which several processes listen to.
            batch: what the data made.
            progress: share of the training that is done, 0..1.
            group: index of the parameter group that these losses train.
        """

    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Figures on held-back data; the first one decides what «best» is (lower is better). Empty: none."""
        return {}

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB picture of what the model does now."""
        return None

    @abstractmethod
    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Writes the files that the feature uses; returns them by name."""
