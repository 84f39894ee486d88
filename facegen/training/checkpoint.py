"""Checkpoints: folders of safetensors and JSON that appear complete or not at all.

`checkpoints/step-00000500/` holds model, running average, optimiser and state. It is written under another name in the
same place, synced to disk and renamed, so that a crash at any moment leaves the folders before it as they were. Which
one is last, best or an hourly backup follows from their contents: there is no index that could disagree.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegen.errors import InputError, ResourceError, TrainingError
from facegen.json_file import read_object
from facegen.system import sync

FORMAT = 1
PREFIX = "step-"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One complete checkpoint folder."""

    folder: Path
    state: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Steps done when it was made."""
        return int(self.state["step"])

    @property
    def measure(self) -> float | None:
        """The figure that decides what is best (lower is better), if the task has one."""
        return self.state.get("measure")


def list_checkpoints(folder: Path) -> list[Checkpoint]:
    """All complete checkpoints of a run's `checkpoints` folder, oldest first."""
    checkpoints = []
    for path in sorted(folder.glob(f"{PREFIX}*")):
        state = _read_state(path)
        if state.get("format", 0) > FORMAT:
            raise InputError(
                f"Expected a checkpoint of format {FORMAT} or older in {path}, found {state['format']}; update facegen."
            )
        checkpoints.append(Checkpoint(folder=path, state=state))
    return checkpoints


def _read_state(folder: Path) -> dict[str, Any]:
    path = folder / "state.json"
    state = read_object(path)
    for name, kinds in (
        ("step", int),
        ("format", int),
        ("measure", (int, float, type(None))),
        ("elapsed", (int, float)),
    ):
        if not isinstance(state.get(name, 0), kinds):
            raise InputError(
                f"Expected {name} as a number in {path}, found {state[name]!r:.60}; delete that folder and resume."
            )
    if state.get("step", -1) < 0:
        raise InputError(f"Expected the step of a checkpoint in {path}, found none; delete that folder and resume.")
    return state


def best(checkpoints: list[Checkpoint]) -> Checkpoint | None:
    """The one with the lowest measure; None where nothing was measured."""
    measured = [c for c in checkpoints if c.measure is not None]
    return min(measured, key=lambda c: (c.measure, -c.step)) if measured else None


def write_checkpoint(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Checkpoint:
    """Writes one checkpoint; one of the same step that is already there is kept, for it holds the same.

    Args:
        folder: the run's `checkpoints` folder.
        tensors: file name without ending -> tensors by name.
        state: JSON values; "step" is needed.

    Raises:
        ResourceError: it cannot be written, for example because the disk is full; the others are as they were.
    """
    final = folder / f"{PREFIX}{state['step']:08d}"
    partial = folder / f".partial-{os.getpid()}"
    full_state = {"format": FORMAT, **state}
    if final.exists():
        return Checkpoint(folder=final, state=_read_state(final))
    try:
        remove_partial(folder)
        partial.mkdir(parents=True)
        for name, values in tensors.items():
            save_file({k: v.detach().contiguous().cpu() for k, v in values.items()}, partial / f"{name}.safetensors")
        (partial / "state.json").write_text(json.dumps(full_state, indent=1), encoding="utf-8")
        for file in partial.iterdir():
            sync(file)
        partial.rename(final)
        sync(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ResourceError(
            f"Could not write the checkpoint of step {state['step']} in {folder}: {error}. "
            "The earlier ones are intact; make room and resume."
        ) from error
    return Checkpoint(folder=final, state=full_state)


def read_tensors(checkpoint: Checkpoint, name: str) -> dict[str, Tensor]:
    """The tensors of one of a checkpoint's files, on the CPU; empty if it has no such file."""
    path = checkpoint.folder / f"{name}.safetensors"
    if not path.exists():
        return {}
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"Expected readable weights in {path}, found {error}; delete that folder and resume."
        ) from error


def prune(folder: Path, keep: int, keep_hourly: int) -> None:
    """Deletes all but the newest `keep`, the best, and the newest checkpoint of each of the last hours of training."""
    checkpoints = list_checkpoints(folder)
    kept = {c.step for c in checkpoints[-keep:]}
    if (champion := best(checkpoints)) is not None:
        kept.add(champion.step)
    hourly = {int(c.state.get("elapsed", 0.0) // 3600): c.step for c in checkpoints}
    if keep_hourly:
        kept.update(hourly[hour] for hour in sorted(hourly)[-keep_hourly:])
    for checkpoint in checkpoints:
        if checkpoint.step not in kept:
            doomed = folder / f".partial-drop-{checkpoint.folder.name}"
            checkpoint.folder.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """Deletes what an interrupted write left."""
    for path in folder.glob(".partial-*"):
        shutil.rmtree(path, ignore_errors=True)


def pack_optimiser(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Splits an optimiser's state dict into tensors and JSON values."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {"state": {}, "param_groups": state["param_groups"]}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{key}"] = value
            else:
                plain["state"].setdefault(str(index), {})[key] = value
    return tensors, plain


def unpack_optimiser(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict of which `pack_optimiser` made these."""
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in plain["state"].items()}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return {"state": state, "param_groups": plain["param_groups"]}


def load_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: Path) -> None:
    """Loads weights strictly.

    Raises:
        InputError: they belong to another model.
    """
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(weights)) or [k for k in own if own[k].shape != weights[k].shape]
    if wrong:
        raise InputError(
            f"Expected weights of {type(model).__name__} in {where}, found those of another model "
            f"({wrong[0]} differs); start a new run or give its own settings."
        )
    model.load_state_dict(dict(weights))
