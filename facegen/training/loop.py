"""The loop that trains any task: one process or many, resumable at every checkpoint."""

from __future__ import annotations

import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list

from facegen.config import save, to_dict, write_json
from facegen.errors import Cancelled, InputError, ResourceError, TrainingError
from facegen.system import STOP_SIGNALS
from facegen.training import checkpoint as files
from facegen.training.loader import BatchLoader
from facegen.training.logger import TrainLogger
from facegen.training.settings import TrainSettings
from facegen.training.stepper import Stepper
from facegen.training.task import Task

SAMPLES_FILE = "samples.json"
"""What a training learned from, and what it was measured on, by name; in the run folder."""
MAX_ROLLBACKS = 3
"""A training whose losses stop being finite is rolled back this often before it is given up."""


@dataclass
class LoopState:
    """State of the loop that a checkpoint holds besides weights; random numbers follow from seed and step."""

    step: int = 0
    elapsed: float = 0.0
    rate_scale: float = 1.0
    rollbacks: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainSummary:
    """How a training ended."""

    step: int
    """Steps done in all."""
    is_complete: bool
    """False if it was stopped before its planned end."""
    measures: dict[str, float]
    """The last figures on held-back data."""
    files: dict[str, Path]
    """What was exported, by name."""


class Trainer:
    """One training in one run folder.

    Args:
        task: what is trained.
        settings: how.
        folder: the run folder; gets `checkpoints/`, `previews/`, `exports/`, `tensorboard/`, `losses.jsonl` and `samples.json`.
        data: the task's data folder.
        on_line: called with each line meant for the user.
        on_progress: called after each step with the share done and the last line; `Cancelled` saves and stops.
    """

    def __init__(
        self,
        task: Task,
        settings: TrainSettings,
        folder: Path,
        *,
        data: Path | None = None,
        on_line: Callable[[str], None] = print,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> None:
        self.task, self.settings, self.folder = task, settings, Path(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.state = LoopState()
        self.measures: dict[str, float] = {}
        self._measured_at = 0
        self.stop_requested = threading.Event()
        self.is_stopped = False
        self.stepper = Stepper(task, settings, on_line)
        self.accelerator = self.stepper.accelerator
        self.is_main = self.accelerator.is_main_process
        self.on_line = self.stepper.on_line = on_line if self.is_main else _discard_line
        self.on_progress = on_progress if self.is_main else None
        self.data = task.build_data(data, self.stepper.device)
        if self.data.skipped:
            shown = ", ".join(self.data.skipped[:5]) + (" and others" if len(self.data.skipped) > 5 else "")
            self.on_line(f"Skipped {len(self.data.skipped)} files that cannot be used: {shown}.")

    def train(self, *, resume: bool = False) -> TrainSummary:
        """Trains to the planned end, or until SIGTERM or `logger.send_command` stops it.

        Raises:
            InputError: the folder holds a training and `resume` is False, or one of another model.
            TrainingError: losses were not finite more than `MAX_ROLLBACKS` times.
            ResourceError: a checkpoint could not be written, or memory ran out; earlier checkpoints are intact.
        """
        with _stop_on_sigterm(self.stop_requested):
            return self._train(resume=resume)

    def _train(self, *, resume: bool) -> TrainSummary:
        if self.is_main:
            files.remove_partial(self.checkpoints)
        known = files.list_checkpoints(self.checkpoints)
        self.accelerator.wait_for_everyone()
        if known and not resume:
            raise InputError(
                f"Expected an empty run folder, found a training of {known[-1].step} steps in {self.folder}; "
                "resume it or choose another folder."
            )
        if known:
            self._restore(known[-1])
            self.on_line(f"Resumed at step {self.state.step}.")
        else:
            self._check_disk_space()
            self._save()
        if self.is_main:
            save(self.folder / SAMPLES_FILE, self.data.names)
        accumulate, processes = self.settings.accumulate, self.accelerator.num_processes
        first_slot = self.accelerator.process_index * accumulate
        loader = BatchLoader(
            self.data,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
            slots=processes * accumulate,
            local_slots=range(first_slot, first_slot + accumulate),
            progress=self._progress,
        )
        logger = TrainLogger(self.folder, self.settings, self.on_line, is_main=self.is_main)
        logger.rewind(self.state.step)
        try:
            self._run(loader, logger)
            result = self._finish(logger)
            logger.close()
        except OSError as error:
            raise ResourceError(
                f"Could not write in {self.folder}: {error.strerror or error}. The checkpoints are intact; make room "
                "and resume."
            ) from error
        finally:
            loader.close()
        return result

    def _progress(self, step: int) -> float:
        by_steps = step / self.settings.steps
        by_time = self.state.elapsed / (60 * self.settings.minutes) if self.settings.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def _run(self, loader: BatchLoader, logger: TrainLogger) -> None:
        last_save = time.monotonic()
        while self._progress(self.state.step) < 1 and not self.is_stopped:
            started = time.monotonic()
            step, progress = self.state.step, self._progress(self.state.step)
            losses = self.stepper.step(loader.batches(step), step, progress, self.state.rate_scale)
            if not all(math.isfinite(value) for value in losses.values()):
                self._roll_back(logger)
                continue
            step += 1
            self.state.step = step
            self.state.elapsed += time.monotonic() - started
            logger.log_step(step, self._progress(step), losses, self.stepper.rate, loader.waited_seconds)
            commands = logger.read_commands()
            if time.monotonic() - last_save > 60 * self.settings.save_minutes:
                commands.add("save")
            if self.stop_requested.is_set():
                commands.add("stop")
            if self.on_progress:
                try:
                    self.on_progress(self._progress(step), logger.line)
                except Cancelled:
                    commands.add("stop")
            commands = self._broadcast_commands(commands)
            if step % self.settings.save_every == 0 or commands & {"save", "stop"}:
                if not self.stepper.is_finite():
                    self._roll_back(logger)
                    continue
                if "stop" in commands:
                    self.measures = {}  # whoever stops a training waits seconds, not minutes
                else:
                    self._measure(logger)
                self._save()
                last_save = time.monotonic()
            if "export" in commands or (self.settings.export_every and step % self.settings.export_every == 0):
                self._export(f"step-{step:08d}")
            if "stop" in commands:
                self.is_stopped = True
            elif "finish" in commands:
                return

    def _finish(self, logger: TrainLogger) -> TrainSummary:
        exported = {}
        if not self.is_stopped:
            if self._measured_at != self.state.step:
                self._measure(logger)
            self._save()
            exported = self._export("final")
        self.accelerator.wait_for_everyone()
        return TrainSummary(
            step=self.state.step,
            is_complete=not self.is_stopped,
            measures=dict(self.measures),
            files=dict(exported),
        )

    def _measure(self, logger: TrainLogger) -> None:
        """Figures and preview of the model as it is now."""
        if not self.is_main:
            return
        model, step = self.stepper.averaged_model, self.state.step
        self.measures = self.task.measure(model, self.data)
        self._measured_at = step
        logger.log_measures(step, self.measures)
        logger.log_preview(step, self.task.preview(model, self.data))

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.is_main:
            tensors, plain = self.stepper.snapshot()
            state = {
                **vars(self.state),
                **plain,
                "measures": self.measures,
                "measure": next(iter(self.measures.values()), None),
                "task": type(self.task).__name__,
                "task_settings": to_dict(self.task),
                "settings": to_dict(self.settings),
            }
            files.write_checkpoint(self.checkpoints, tensors, state)
            files.prune(self.checkpoints, self.settings.keep, self.settings.keep_hourly)
        self.accelerator.wait_for_everyone()

    def _check_disk_space(self) -> None:
        """Raises ResourceError where the disk cannot hold the checkpoints that will be kept."""
        # weights, running average and two moments of the usual optimisers
        once = 4 * sum(value.nbytes for value in self.stepper.model.state_dict().values())
        needed = once * (self.settings.keep + self.settings.keep_hourly + 2)
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise ResourceError(
                f"Expected {needed / 1e9:.1f} GB of free disk for the checkpoints in {self.folder}, found "
                f"{free / 1e9:.1f} GB; make room, or keep fewer."
            )

    def _restore(self, checkpoint: files.Checkpoint) -> None:
        trained_task = checkpoint.state.get("task")
        if trained_task != type(self.task).__name__:
            raise InputError(
                f"Expected a checkpoint of {type(self.task).__name__} in {checkpoint.folder}, found one of {trained_task}; "
                "choose another run folder."
            )
        self.stepper.restore(checkpoint)
        self.state = LoopState(**{name: checkpoint.state[name] for name in vars(LoopState())})
        self.measures = dict(checkpoint.state["measures"])

    def _roll_back(self, logger: TrainLogger) -> None:
        """Returns to the last checkpoint with half the rate."""
        broken_at, count, scale = self.state.step, self.state.rollbacks + 1, self.state.rate_scale / 2
        if count > MAX_ROLLBACKS:
            raise TrainingError(
                f"The losses were not finite at step {broken_at}, after {MAX_ROLLBACKS} returns to a checkpoint at "
                "half the rate; lower the learning rate or look at the data."
            )
        latest = files.list_checkpoints(self.checkpoints)[-1]
        self._restore(latest)
        self.state.rate_scale, self.state.rollbacks = scale, count
        if self.is_main:
            write_json(latest.folder / "state.json", {**latest.state, "rate_scale": scale, "rollbacks": count})
        logger.rewind(latest.step)
        self.accelerator.wait_for_everyone()
        self.on_line(
            f"The losses were not finite at step {broken_at}: back to step {latest.step} with the rate times {scale:g}."
        )

    def _export(self, name: str) -> dict[str, Path]:
        if not self.is_main:
            return {}
        folder = self.folder / "exports" / name
        folder.mkdir(parents=True, exist_ok=True)
        exported = dict(self.task.export(self.stepper.averaged_model, folder))
        self.on_line(f"Exported step {self.state.step} to {folder}.")
        return exported

    def _broadcast_commands(self, commands: set[str]) -> set[str]:
        """Sends the main process's commands and elapsed time to every process; returns the commands."""
        if self.accelerator.num_processes == 1:
            return commands
        shared: list[Any] = [commands, self.state.elapsed]
        broadcast_object_list(shared)
        agreed, self.state.elapsed = shared
        return agreed


def _discard_line(_line: str) -> None:
    """Only the main process prints lines."""


@contextmanager
def _stop_on_sigterm(stop: threading.Event) -> Iterator[None]:
    """While inside, SIGTERM (Ctrl-Break on Windows) requests a stop with a checkpoint instead of ending the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
