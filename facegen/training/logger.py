"""The log of a training: text lines, losses.jsonl, TensorBoard events, previews; and its control files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facegen.config import load_lines
from facegen.errors import InputError
from facegen.training.settings import TrainSettings

LINE_SECONDS = 10.0
"""A line is written at least this often."""
ESTIMATE_STEPS = 20
"""After so many steps the time left is estimated."""
STRIP_PREVIEWS = 12
STRIP_WIDTH = 1024
SMOOTHING = 0.9
"""How much of the average before stays in that of a curve's next value."""
COMMANDS = ("save", "stop", "export", "finish")


def send_command(folder: Path, command: str) -> None:
    """Writes a control file into a run folder; the training obeys it after its current step and deletes it.

    «save»: a checkpoint now; «stop»: the same, and end, to be resumed; «export»: a usable model now; «finish»: end as
    if the planned steps were done, with a measurement and the final export.

    Raises:
        InputError: no such command, or no such folder.
    """
    if command not in COMMANDS or not folder.is_dir():
        raise InputError(f"Expected one of {', '.join(COMMANDS)} for a run folder, found {command!r} for {folder}.")
    (folder / f"{command}.control").touch()


@dataclass(frozen=True, kw_only=True)
class LossLine:
    """What a line of losses.jsonl holds."""

    step: int
    """Steps done."""
    time: float = 0.0
    """Seconds since 1970."""
    progress: float = 0.0
    """Share of the training that is done."""
    losses: dict[str, float] = field(default_factory=dict)
    """Means since the last line, by name."""
    measures: dict[str, float] = field(default_factory=dict)
    """Figures on held-back data, by name."""
    rate: float = 0.0
    """Learning rate."""
    steps_per_second: float = 0.0
    waiting_share: float = 0.0
    """Share of the time spent waiting for data."""


def read_losses(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's losses.jsonl: each has "step", and either "losses" with rate and speed, or "measures"."""
    return load_lines(LossLine, folder / "losses.jsonl").rows


def smooth_curve(values: Sequence[float]) -> list[float]:
    """Running averages with a memory of ten values; the first ones count no more than the others."""
    averages: list[float] = []
    count = 0.0
    for value in values:
        count = SMOOTHING * count + 1
        averages.append(averages[-1] + (value - averages[-1]) / count if averages else value)
    return averages


class TrainLogger:
    """Averages the losses of steps and writes them at intervals; only the main process's logger writes."""

    def __init__(self, folder: Path, settings: TrainSettings, on_line: Callable[[str], None], *, is_main: bool) -> None:
        self.folder, self.settings, self.on_line, self.is_main = folder, settings, on_line, is_main
        self.line = ""
        self._events: Any = None
        self._restart()

    def _restart(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._last_time = time.monotonic()
        self._last_waited = 0.0
        self._first: tuple[float, float] | None = None
        self._seen = 0

    def rewind(self, step: int) -> None:
        """Forgets lines of later steps than this one: at the start, and when a training returns to a checkpoint."""
        self._restart()
        if not self.is_main:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [line for line in read_losses(self.folder) if line["step"] <= step]
        partial = self.folder / "losses.jsonl.part"
        partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.replace(partial, self.folder / "losses.jsonl")
        self.close()
        self._events = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step + 1)

    def log_step(self, step: int, progress: float, losses: dict[str, float], rate: float, waited: float) -> None:
        """Adds one step to the averages; writes a line every `log_every` steps and at least every ten seconds.

        Args:
            step: steps done.
            progress: share of the training that is done.
            losses: by name.
            rate: learning rate.
            waited: seconds spent waiting for data since the start.
        """
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        now = time.monotonic()
        self._estimate(now, progress)
        if not self.is_main or (step % self.settings.log_every and now - self._last_time < LINE_SECONDS):
            return
        seconds = max(now - self._last_time, 1e-9)
        means = {name: value / self._count for name, value in self._sums.items()}
        speed = self._count / seconds
        share = (waited - self._last_waited) / seconds
        self._append(
            step=step, progress=progress, losses=means, rate=rate, steps_per_second=speed, waiting_share=round(share, 4)
        )
        for name, value in means.items():
            self._events.add_scalar(f"loss/{name}", value, step)
        self._events.add_scalar("rate", rate, step)
        self.line = f"Total Iterations: {step} | " + " ".join(f"Loss {k}: {v:.4f}" for k, v in means.items())
        self.on_line(self.line)
        self._sums, self._count, self._last_time, self._last_waited = {}, 0, now, waited

    def _estimate(self, now: float, progress: float) -> None:
        self._seen += 1
        if self._first is None:
            self._first = (now, progress)
        elif self._seen == ESTIMATE_STEPS + 1 and progress > self._first[1]:
            minutes = (now - self._first[0]) / (progress - self._first[1]) * (1 - progress) / 60
            speed = ESTIMATE_STEPS / (now - self._first[0])
            words = f"about {minutes:.0f} more minutes" if minutes >= 1.5 else "about a minute more"
            self.on_line(f"At {speed:.2f} steps a second this training needs {words}.")

    def log_measures(self, step: int, measures: dict[str, float]) -> None:
        """Writes figures on held-back data."""
        if not measures or not self.is_main:
            return
        self._append(step=step, measures=measures)
        for name, value in measures.items():
            self._events.add_scalar(f"measure/{name}", value, step)
        self.on_line(f"Step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in measures.items()))

    def log_preview(self, step: int, image_rgb: np.ndarray | None) -> None:
        """Saves a preview, and renews `strip.jpg`, up to 12 of them over time."""
        if image_rgb is None or not self.is_main:
            return
        from PIL import Image

        folder = self.folder / "previews"
        folder.mkdir(exist_ok=True)
        Image.fromarray(image_rgb).save(folder / f"{step:08d}.jpg", quality=92)
        paths = sorted(folder.glob("[0-9]*.jpg"))
        indices = np.unique(np.linspace(0, len(paths) - 1, STRIP_PREVIEWS).round().astype(int))
        rows = []
        for index in indices:
            with Image.open(paths[index]) as image:
                height = max(1, round(image.height * STRIP_WIDTH / image.width))
                rows.append(np.asarray(image.convert("RGB").resize((STRIP_WIDTH, height))))
        Image.fromarray(np.concatenate(rows)).save(folder / "strip.jpg", quality=90)

    def read_commands(self) -> set[str]:
        """The commands of the control files in the run folder, which are deleted."""
        commands = set()
        for command in COMMANDS if self.is_main else ():
            path = self.folder / f"{command}.control"
            if path.exists():
                path.unlink()
                commands.add(command)
        return commands

    def close(self) -> None:
        """Writes out what is pending."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _append(self, **values: Any) -> None:
        with (self.folder / "losses.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**values, "time": round(time.time(), 3)}) + "\n")
