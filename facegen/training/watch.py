"""What a training shows while it runs: log lines, stats.jsonl, TensorBoard events, previews and their strip."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facegen.training.settings import TrainSettings

STATS_SECONDS = 10.0
STRIP_PREVIEWS = 12
STRIP_WIDTH = 1024
COMMANDS = ("save", "stop", "export")


def send_command(folder: Path, command: str) -> None:
    """Asks the training in a run folder to save, stop or export after its current step."""
    if command not in COMMANDS:
        raise ValueError(f"expected one of {COMMANDS}, but got {command!r}")
    (folder / f"{command}.asked").touch()


class Watch:
    """Collects what the loop notes and writes it at a bearable pace."""

    def __init__(
        self, folder: Path, settings: TrainSettings, *, is_main: bool = True, say: Callable[[str], None] = print
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.settings, self.is_main, self.say = folder, settings, is_main, say
        self.line = ""
        self._sums: dict[str, float] = {}
        self._count = 0
        self._last_time = time.monotonic()
        self._last_wait = 0.0
        if is_main:
            folder.mkdir(parents=True, exist_ok=True)
            self._events = SummaryWriter(str(folder / "tensorboard"))

    def note(self, step: int, elapsed: float, losses: dict[str, float], rate: float, waited: float) -> None:
        """Takes in one step; writes a line every `log_every` steps or ten seconds."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        now = time.monotonic()
        if not self.is_main or (step % self.settings.log_every and now - self._last_time < STATS_SECONDS):
            return
        seconds = max(now - self._last_time, 1e-9)
        means = {name: value / self._count for name, value in self._sums.items()}
        stats = {
            "step": step,
            "elapsed": elapsed,
            "losses": means,
            "rate": rate,
            "steps_per_second": self._count / seconds,
            "wait_share": (waited - self._last_wait) / seconds,
        }
        self._append(stats)
        for name, value in means.items():
            self._events.add_scalar(f"loss/{name}", value, step)
        self._events.add_scalar("rate", rate, step)
        self.line = f"Total Iterations: {step} | " + " ".join(f"{_title(k)}: {v:.4f}" for k, v in means.items())
        self.say(self.line)
        self._sums, self._count, self._last_time, self._last_wait = {}, 0, now, waited

    def measured(self, step: int, measures: dict[str, float]) -> None:
        """Takes in figures on held-back data."""
        if not measures or not self.is_main:
            return
        self._append({"step": step, "measures": measures})
        for name, value in measures.items():
            self._events.add_scalar(f"measure/{name}", value, step)
        self.say(f"Step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in measures.items()))

    def preview(self, step: int, image_rgb: np.ndarray | None) -> None:
        """Keeps a preview, and renews the strip that shows them through time."""
        if image_rgb is None or not self.is_main:
            return
        from PIL import Image

        folder = self.folder / "previews"
        folder.mkdir(exist_ok=True)
        Image.fromarray(image_rgb).save(folder / f"{step:08d}.jpg", quality=92)
        shown = sorted(folder.glob("[0-9]*.jpg"))
        places = np.unique(np.linspace(0, len(shown) - 1, STRIP_PREVIEWS).round().astype(int))
        rows = []
        for place in places:
            with Image.open(shown[place]) as image:
                height = max(1, round(image.height * STRIP_WIDTH / image.width))
                rows.append(np.asarray(image.resize((STRIP_WIDTH, height))))
        Image.fromarray(np.concatenate(rows)).save(folder / "strip.jpg", quality=90)

    def asked(self) -> set[str]:
        """Commands left in the run folder since the last look; they are taken away."""
        if not self.is_main:
            return set()
        found = set()
        for command in COMMANDS:
            path = self.folder / f"{command}.asked"
            if path.exists():
                path.unlink()
                found.add(command)
        return found

    def close(self) -> None:
        """Flushes what is pending."""
        if self.is_main:
            self._events.close()

    def _append(self, values: dict[str, object]) -> None:
        with (self.folder / "stats.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**values, "time": time.time()}) + "\n")


def _title(name: str) -> str:
    return name if name.lower().startswith("loss") else f"Loss {name}"
