"""The request of a training: written into its run folder, and enough to repeat it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from facegen.config import from_dict, load, override, to_dict
from facegen.errors import InputError
from facegen.jobs.files import INPUT, OUTPUT
from facegen.jobs.job import Result
from facegen.training.info import TASK_MODELS, TaskInfo
from facegen.training.settings import TrainSettings

TASK_PREFIX = "task."
SHORT_NAMES = {"lr": "optimiser.rate", "batch": "batch_size"}
"""Short names of common settings."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """One training."""

    FORMAT: ClassVar[int] = 1

    task: str
    """Name of the task, as the catalog lists it."""
    data: str = field(default="", metadata=INPUT)
    """Data folder."""
    preset: str = ""
    """Where the settings started from."""
    settings: TrainSettings
    """How it is trained."""
    task_settings: dict[str, Any] = field(metadata=TASK_MODELS)
    """The task's own settings."""
    search: tuple[str, ...] = ()
    """Train with each of these values instead of once: «key=value,value»."""
    trials: int = 10
    """Trainings that a search may do."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training of a search."""

    number: int
    settings: dict[str, str]
    """What was tried, by name."""
    value: float | None
    """The task's first measure, or its losses' sum where it measures nothing; lower is better. None: it failed."""
    note: str
    """Why it failed; empty if it did not."""


@dataclass(frozen=True, kw_only=True)
class TrainResult(Result):
    """Result of a training."""

    step: int
    """Steps done in all; 0 for a search."""
    measures: dict[str, float] = field(default_factory=dict)
    """The last figures on held-back data."""
    files: dict[str, str] = field(default_factory=dict, metadata=OUTPUT)
    """What was exported, by name."""
    trials: tuple[Trial, ...] = ()
    """Of a search, best first."""

    @property
    def summary(self) -> str:
        """Steps and figures as a sentence."""
        if self.trials:
            return f"{len(self.trials)} trainings."
        return f"{self.step} steps. " + ", ".join(f"{name} {value:.4g}" for name, value in self.measures.items())


def make_request(info: TaskInfo, *, preset: str = "", data: str = "", changes: Iterable[str] = ()) -> TrainRequest:
    """A request from a preset and changes to it.

    Args:
        info: the task.
        preset: one of `info.presets`; the first one if empty.
        data: the data folder.
        changes: key=value; the task's own keys begin with «task.».

    Raises:
        InputError: no such preset or setting, or a value out of bounds.
    """
    preset = preset or next(iter(info.presets), "")
    if preset and preset not in info.presets:
        raise InputError(f"Expected a preset of {', '.join(info.presets)} for {info.name}, found {preset!r}.")
    request = TrainRequest(
        task=info.name,
        data=data,
        preset=preset,
        settings=TrainSettings(),
        task_settings=to_dict(info.load()()),
    )
    return change_request(info, request, (*info.presets.get(preset, ()), *changes))


def change_request(info: TaskInfo, request: TrainRequest, changes: Iterable[str]) -> TrainRequest:
    """The request with key=value changes applied.

    Raises:
        InputError: no such setting, or a value out of bounds.
    """
    task_changes: list[str] = []
    common_changes: list[str] = []
    for change in changes:
        key, _, value = change.partition("=")
        full = f"{SHORT_NAMES.get(key, key)}={value}" if "=" in change else change
        (task_changes if key.startswith(TASK_PREFIX) else common_changes).append(full.removeprefix(TASK_PREFIX))
    task = override(from_dict(info.load(), request.task_settings), task_changes)
    return replace(request, settings=override(request.settings, common_changes), task_settings=to_dict(task))


def changes_from_preset(info: TaskInfo, request: TrainRequest) -> list[str]:
    """What a request sets that its preset does not, as key=value; nested settings with dots."""
    preset = make_request(info, preset=request.preset)
    task_changes = _differences(preset.task_settings, request.task_settings, TASK_PREFIX)
    return [*_differences(to_dict(preset.settings), to_dict(request.settings), ""), *task_changes]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str) -> list[str]:
    changes: list[str] = []
    for key, value in new.items():
        previous = old.get(key)
        if isinstance(value, Mapping) and isinstance(previous, Mapping):
            changes += _differences(previous, value, f"{prefix}{key}.")
        elif value != previous:
            changes.append(f"{prefix}{key}={value if isinstance(value, str) else json.dumps(value)}")
    return changes


def read_request(folder: Path) -> TrainRequest:
    """The request of a run folder.

    Raises:
        InputError: there is none, or it was written by a newer facegen.
    """
    path = folder / "train.json"
    if not path.exists():
        raise InputError(f"Expected the folder of a training at {folder}, found no train.json there; check the path.")
    return load(TrainRequest, path)
