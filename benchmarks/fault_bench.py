"""The studio of `faults`: what is asked of it over HTTP, and what each fault did."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

from facegen import media
from facegen.jobs import Run, RunStatus
from facegen.ui.examples import FILES
from tests.studio_process import StudioProcess

FRAMES = 24
"""Of the swaps."""
_WAIT_SECONDS = 300.0
_OPTIONS = {"end_seconds": FRAMES / 25, "preset": "ultrafast"}


@dataclass
class Row:
    """What one kind of fault did."""

    fault: str
    times: int = 0
    """How often it came while a run was at work."""
    runs: int = 0
    """Runs that met it: at work, or waiting behind one."""
    finished: int = 0
    """Runs that ended well in spite of it."""
    explained: int = 0
    """Runs that ended with the reason, and ended well when they were resumed."""
    wrong: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """One line of the table."""
        return {
            "fault": self.fault,
            "times": self.times,
            "runs": self.runs,
            "ended well by itself": self.finished,
            "said why, then resumed": self.explained,
            "wrong": len(self.wrong),
        }


class Bench:
    """One studio with its home, and what is asked of it."""

    def __init__(self, studio: StudioProcess, folder: Path) -> None:
        self.studio, self.folder = studio, folder
        self.client = Client(
            studio.url,
            verbose=False,
            analytics_enabled=False,
            download_files=str(folder / "downloads"),
            httpx_kwargs={"timeout": 120.0},
        )

    def swap(self, colour: float = 1.0) -> Run:
        """A short swap of a clip, queued."""
        asked = {
            "sources": [handle_file(str(FILES / "ada.jpg"))],
            "target": handle_file(str(FILES / "bea.mp4")),
            "options": {**_OPTIONS, "colour": colour},
            "people": None,
            "consent": True,
        }
        return self._run(self.client.predict(**asked, api_name="/swap_start"))

    def train(self, pictures: Path, steps: int) -> Run:
        """A tiny training, queued."""
        settings = {"steps": steps, "device": "cpu", "save_every": 5, "log_every": 1, "precision": "float32"}
        asked = {"task": "autoencoder", "preset": "tiny", "data": None, "folder": str(pictures), "settings": settings}
        return self._run(self.client.predict(**asked, consent=True, api_name="/train_start"))

    def resume(self, run: Run) -> None:
        """Ask the studio to go on with a run."""
        self.client.predict(name=run.name, api_name="/run_resume")

    def presented(self, run: Run) -> list[Path]:
        """The files that the studio hands out of a run."""
        return [Path(path) for path in self.client.predict(name=run.name, api_name="/run_result")]

    def wait(self, run: Run) -> None:
        """Until the studio says that a run has ended, or to the end of all patience."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while self.state(run) in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(0.2)

    def state(self, run: Run) -> str:
        """How the studio says that a run stands; it saves what a disk did not take before."""
        return str(self.client.predict(name=run.name, api_name="/run_status")["state"])

    def names(self) -> set[str]:
        """The runs that the studio lists."""
        return {run["run"] for run in self.client.predict(api_name="/runs")}

    def _run(self, answer: Mapping[str, Any]) -> Run:
        return Run(self.studio.home / "runs" / answer["run"])


def wait_until(run: Run, is_met: Callable[[RunStatus], bool]) -> RunStatus:
    """How a run stands once that is met, or at the end of all patience."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not is_met(status := run.status()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return status


def has_ended(status: RunStatus) -> bool:
    """Whether a run neither waits nor works."""
    return not status.is_active


def pictures_of(path: Path) -> str:
    """The digest of all frames of a clip."""
    digest = hashlib.sha256()
    for frame in media.read_frames(path):
        digest.update(frame.image_rgb.tobytes())
    return digest.hexdigest()
