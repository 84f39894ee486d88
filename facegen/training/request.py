"""What was asked of a training: written into its run folder, and enough to repeat it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from facegen.config import from_dict, load, override, to_dict
from facegen.errors import InputError
from facegen.training.info import TaskInfo
from facegen.training.settings import TrainSettings

TASK_PREFIX = "task."
SHORT_NAMES = {"lr": "optimiser.rate", "batch": "batch_size"}
"""Names that people are used to."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """One training as asked for."""

    FORMAT: ClassVar[int] = 1

    task: str
    """Name of the task, as the catalog lists it."""
    data: str = ""
    """Data folder."""
    preset: str = ""
    """Where the settings started from."""
    settings: TrainSettings
    """How it is trained."""
    task_settings: dict[str, Any]
    """The task's own settings."""


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
    """The request with key=value changes put in.

    Raises:
        InputError: no such setting, or a value out of bounds.
    """
    own: list[str] = []
    common: list[str] = []
    for change in changes:
        key, _, value = change.partition("=")
        full = f"{SHORT_NAMES.get(key, key)}={value}" if "=" in change else change
        (own if key.startswith(TASK_PREFIX) else common).append(full.removeprefix(TASK_PREFIX))
    task = override(from_dict(info.load(), request.task_settings), own)
    return replace(request, settings=override(request.settings, common), task_settings=to_dict(task))


def read_request(folder: Path) -> TrainRequest:
    """The request of a run folder.

    Raises:
        InputError: there is none, or it was written by a newer facegen.
    """
    path = folder / "train.json"
    if not path.exists():
        raise InputError(f"Expected the folder of a training at {folder}, found no train.json there; check the path.")
    return load(TrainRequest, path)
