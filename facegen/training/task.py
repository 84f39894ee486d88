"""What a feature gives to the loop so that it can be trained: its `Task`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False, kw_only=True)
class Draw:
    """Which samples make the next batch, and the only source of randomness for it.

    Everything follows from the seed and the step, so that a resumed run draws what an uninterrupted one would have.
    """

    indices: Tensor
    """(B,) int64, on the CPU; places in the data."""
    generator: torch.Generator
    """On the CPU; seeded from run seed, step and slot."""
    step: int
    """Steps done before this one."""
    progress: float
    """Share of the planned training that is done, 0..1."""


class TrainingData(Protocol):
    """Samples decoded once and kept compact; batches come out augmented and on the device."""

    skipped: tuple[str, ...]
    """Names of files that could not be used."""

    def __len__(self) -> int: ...

    def batch(self, draw: Draw) -> dict[str, Tensor]:
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

    players: ClassVar[int] = 1
    """Groups of weights that are trained in turn with losses of their own; 2 for a model and its critic."""

    def parameters_of_players(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """The weights of each player; all of them for a single one."""
        return [list(model.parameters())]

    @abstractmethod
    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, player: int) -> dict[str, Tensor]:
        """Scalars by name; the loop minimises their sum. Names are shown to the user.

        Args:
            model: call it only through its `forward`, which several processes listen to.
            batch: what the data made.
            progress: share of the training that is done, 0..1.
            player: whose turn it is.
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
