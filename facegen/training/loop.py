"""The loop that trains any task: one process or many, resumable at every checkpoint."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from facegen.config import to_dict, write_json
from facegen.device import choose_device, seed_everything
from facegen.errors import TrainingError
from facegen.training import checkpoint as files
from facegen.training.ema import Ema
from facegen.training.feed import Feed, mixed_seed
from facegen.training.optimisers import LrDropout, build_optimiser, rate_at, set_rate
from facegen.training.precision import is_bfloat16_quick
from facegen.training.settings import TrainSettings
from facegen.training.task import Task
from facegen.training.watch import Watch

MAX_ROLLBACKS = 3
"""A training whose losses stop being finite is rolled back this often before it is given up."""

Progress = Callable[[float, str], None]


@dataclass
class _Position:
    """Where a training is; everything that a checkpoint holds besides weights."""

    step: int = 0
    elapsed: float = 0.0
    rate_scale: float = 1.0
    rollbacks: int = 0
    measures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainResult:
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
        folder: the run folder; gets `checkpoints/`, `previews/`, `exports/`, `stats.jsonl`, TensorBoard events.
        data: the task's data folder.
        say: takes each line meant for the user.
        on_progress: called with the share done and a text.
    """

    def __init__(
        self,
        task: Task,
        settings: TrainSettings,
        folder: Path,
        *,
        data: Path | None = None,
        say: Callable[[str], None] = print,
        on_progress: Progress | None = None,
    ) -> None:
        self.task, self.settings, self.folder = task, settings, Path(folder)
        self.on_progress = on_progress
        self.accelerator = _accelerator(settings)
        self.is_main = self.accelerator.is_main_process
        self.say = say if self.is_main else _silent
        self.position = _Position()
        self.stop_asked = threading.Event()
        self.device = self.accelerator.device
        seed_everything(settings.seed, deterministic=settings.deterministic)
        self.data = task.build_data(data, self.device)
        if self.data.skipped:
            shown = ", ".join(self.data.skipped[:5]) + (" and others" if len(self.data.skipped) > 5 else "")
            self.say(f"Skipped {len(self.data.skipped)} files that cannot be used: {shown}.")
        self._build()

    def _build(self) -> None:
        settings = self.settings
        seed_everything(settings.seed, deterministic=settings.deterministic)
        self.model = self.task.build_model().to(self.device)
        if settings.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = Ema(self.model, settings.ema_decay) if settings.ema_decay else None
        optimiser = build_optimiser(self.model.parameters(), settings.optimiser)
        self.wrapped, self.optimiser = self.accelerator.prepare(self.model, optimiser)
        keep = settings.optimiser.lr_dropout
        self.lr_dropout = LrDropout(self.model.parameters(), keep) if keep < 1 else None

    @property
    def checkpoints(self) -> Path:
        """Where this run's checkpoints lie."""
        return self.folder / "checkpoints"

    @property
    def shown_model(self) -> nn.Module:
        """The model that is measured, shown and exported: the running average where there is one."""
        return self.ema.model if self.ema else self.model

    def train(self, *, resume: bool = False) -> TrainResult:
        """Trains to the planned end, or until asked to stop.

        Raises:
            TrainingError: losses were not finite more than `MAX_ROLLBACKS` times.
            ResourceError: a checkpoint could not be written; the earlier ones are intact.
        """
        files.remove_partial(self.checkpoints)
        known = files.list_checkpoints(self.checkpoints) if resume else []
        if known:
            self._load(known[-1])
            self.say(f"Resumed at step {self.position.step}.")
        else:
            self._save()
        processes, accumulate = self.accelerator.num_processes, self.settings.accumulate
        first_slot = self.accelerator.process_index * accumulate
        feed = Feed(
            self.data,
            seed=self.settings.seed,
            batch_size=self.settings.batch_size,
            slots=processes * accumulate,
            own_slots=range(first_slot, first_slot + accumulate),
            progress=self._progress,
        )
        watch = Watch(self.folder, self.settings, is_main=self.is_main, say=self.say)
        try:
            with _stop_on_sigterm(self.stop_asked):
                self._run(feed, watch)
        finally:
            feed.close()
            watch.close()
        return self._finish()

    def _progress(self, step: int) -> float:
        by_steps = step / self.settings.steps
        by_time = self.position.elapsed / (60 * self.settings.minutes) if self.settings.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def _run(self, feed: Feed, watch: Watch) -> None:
        last_save = time.monotonic()
        while self._progress(self.position.step) < 1:
            started = time.monotonic()
            losses = self._step(feed)
            self.position.elapsed += time.monotonic() - started
            if not all(math.isfinite(value) for value in losses.values()):
                self._roll_back()
                continue
            self.position.step += 1
            step, progress = self.position.step, self._progress(self.position.step)
            watch.note(step, self.position.elapsed, losses, self.optimiser.param_groups[0]["lr"], feed.waited_seconds)
            if self.on_progress and self.is_main:
                self.on_progress(progress, watch.line)
            asked = self._agree(watch.asked() | ({"stop"} if self.stop_asked.is_set() else set()))
            is_due = step % self.settings.save_every == 0
            is_late = time.monotonic() - last_save > 60 * self.settings.save_minutes
            if is_due or self._agree({"late"} if is_late else set()) or asked & {"save", "stop"}:
                self._report(watch)
                self._save()
                last_save = time.monotonic()
            if "export" in asked or (self.settings.export_every and step % self.settings.export_every == 0):
                self._export(f"step-{step:08d}")
            if "stop" in asked:
                self.stop_asked.set()
                return

    def _step(self, feed: Feed) -> dict[str, float]:
        step = self.position.step
        progress = self._progress(step)
        rate = rate_at(self.settings.optimiser, step, progress) * self.position.rate_scale
        set_rate(self.optimiser, rate)
        self.wrapped.train()
        sums: dict[str, Tensor] = {}
        batches = feed.batches(step)
        for number, batch in enumerate(batches):
            torch.manual_seed(mixed_seed(self.settings.seed, step, self.accelerator.process_index, number, 3))
            with self.accelerator.accumulate(self.wrapped):
                with self.accelerator.autocast():
                    losses = self.task.losses(self.wrapped, batch, progress)
                self.accelerator.backward(torch.stack(list(losses.values())).sum())
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0) + value.detach().float() / len(batches)
                if self.accelerator.sync_gradients and self.settings.optimiser.clip_norm:
                    self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.settings.optimiser.clip_norm)
                if self.lr_dropout and self.accelerator.sync_gradients:
                    self.lr_dropout.step(self.optimiser, mixed_seed(self.settings.seed, step, 4))
                else:
                    self.optimiser.step()
                self.optimiser.zero_grad()
        if self.ema:
            self.ema.update(self.model, step)
        means = self.accelerator.reduce(torch.stack(list(sums.values())), "mean")
        return dict(zip(sums, means.tolist(), strict=True))

    def _report(self, watch: Watch) -> None:
        if not self.is_main:
            return
        self.shown_model.eval()
        self.position.measures = self.task.measure(self.shown_model, self.data)
        watch.measured(self.position.step, self.position.measures)
        watch.preview(self.position.step, self.task.preview(self.shown_model, self.data))

    def _save(self) -> None:
        self.accelerator.wait_for_everyone()
        if self.is_main:
            optimiser, plain = files.pack_optimiser(self.optimiser.state_dict())
            tensors = {"model": self.model.state_dict(), "optimiser": optimiser}
            if self.ema:
                tensors["ema"] = self.ema.model.state_dict()
            measures = self.position.measures
            state: dict[str, Any] = {
                **vars(self.position),
                "measure": next(iter(measures.values()), None),
                "optimiser": plain,
                "task": type(self.task).__name__,
                "task_settings": to_dict(self.task),
                "settings": to_dict(self.settings),
            }
            files.write_checkpoint(self.checkpoints, tensors, state)
            files.prune(self.checkpoints, self.settings.keep, self.settings.keep_hourly)
        self.accelerator.wait_for_everyone()

    def _load(self, found: files.Checkpoint) -> None:
        files.load_weights(self.model, files.read_tensors(found, "model"), found.folder)
        if self.ema:
            weights = files.read_tensors(found, "ema") or files.read_tensors(found, "model")
            files.load_weights(self.ema.model, weights, found.folder)
        packed = files.unpack_optimiser(files.read_tensors(found, "optimiser"), found.state["optimiser"])
        self.optimiser.load_state_dict(packed)
        self.position = _Position(**{name: found.state[name] for name in vars(_Position())})

    def _roll_back(self) -> None:
        position = self.position
        if position.rollbacks >= MAX_ROLLBACKS:
            raise TrainingError(
                f"The losses were not finite at step {position.step}, after {MAX_ROLLBACKS} returns to a checkpoint at "
                "a lower rate; lower the learning rate or look at the data."
            )
        found = files.list_checkpoints(self.checkpoints)[-1]
        scale, count, broken_at = position.rate_scale / 2, position.rollbacks + 1, position.step
        self._load(found)
        self.position.rate_scale, self.position.rollbacks = scale, count
        if self.is_main:
            write_json(found.folder / "state.json", {**found.state, "rate_scale": scale, "rollbacks": count})
        self.accelerator.wait_for_everyone()
        self.say(
            f"The losses were not finite at step {broken_at}: back to step {found.step} with the rate times {scale:g}."
        )

    def _export(self, name: str) -> dict[str, Path]:
        if not self.is_main:
            return {}
        folder = self.folder / "exports" / name
        folder.mkdir(parents=True, exist_ok=True)
        self.shown_model.eval()
        made = dict(self.task.export(self.shown_model, folder))
        self.say(f"Exported step {self.position.step} to {folder}.")
        return made

    def _finish(self) -> TrainResult:
        is_complete = not self.stop_asked.is_set()
        made = {}
        if is_complete:
            watch = Watch(self.folder, self.settings, is_main=self.is_main, say=self.say)
            self._report(watch)
            watch.close()
            self._save()
            made = self._export("final")
        return TrainResult(
            step=self.position.step, is_complete=is_complete, measures=self.position.measures, files=made
        )

    def _agree(self, words: set[str]) -> set[str]:
        """What the main process says, in every process."""
        if self.accelerator.num_processes == 1:
            return words
        said = [words]
        broadcast_object_list(said)
        return said[0]


def _accelerator(settings: TrainSettings) -> Accelerator:
    names = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
    device = choose_device(settings.device)
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if is_bfloat16_quick(device) else "float32"
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=names[precision],
        gradient_accumulation_steps=settings.accumulate,
    )


def _silent(line: str) -> None:
    """Other processes than the first say nothing."""


@contextmanager
def _stop_on_sigterm(asked: threading.Event):  # type: ignore[no-untyped-def]
    """While inside, SIGTERM asks for a stop with a checkpoint instead of ending the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
