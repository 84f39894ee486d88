"""`facegen swap train` as the browser asks for it: two people's videos, the video that gets the face, and the time."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facegen.errors import InputError
from facegen.runs import Run
from facegen.swap.tasks import SAEHD
from facegen.ui.services import Services, Visitor, link_into
from facegen.ui.trainings import SHARED_MINUTES, is_limited

KIND = "swap-train"
PRESETS = tuple(name for name in SAEHD.presets if not name.endswith("-pretrain") and name != "tiny")
"""What is offered; the first one is the flow's default."""
DEFAULT = "small-128"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A swap of two people as asked for; paths of files that the browser sent."""

    person_a: Sequence[str]
    person_b: Sequence[str]
    merge: str | None
    minutes: float
    preset: str = DEFAULT
    fresh: bool = False
    """Begin with nothing instead of the pretrained model."""


def start(services: Services, visitor: Visitor, asked: Asked) -> Run:
    """Put the whole way into the queue as a run; its videos stay with it, so that it can be resumed later.

    Raises:
        InputError: a video is missing, or the time does not fit a limited studio.
    """
    for name, given in (("person A", asked.person_a), ("person B", asked.person_b), ("merging", asked.merge)):
        if not given:
            raise InputError(f"Expected a video for {name}, found none; choose one.")
    if is_limited(services):
        if not 0 < asked.minutes <= SHARED_MINUTES:
            raise InputError(
                f"Expected 1 to {SHARED_MINUTES:g} minutes on this shared machine without a GPU, found "
                f"{asked.minutes:g}; set a limit."
            )
        busy = [run for run in services.runs(visitor) if run.kind in (KIND, "train") and run.status().is_active]
        if busy:
            raise InputError(f"Expected your last training to have ended, found {busy[0].name} at work; stop it first.")
    assert asked.merge is not None
    about = {"visitor": visitor.mark, "task": "swap", "target": Path(asked.merge).name, "preset": asked.preset}
    run = Run.create(KIND, {**about, "minutes": asked.minutes})
    words = [sys.executable, "-m", "facegen", "swap", "train"]
    for flag, paths in (("--person-a", asked.person_a), ("--person-b", asked.person_b), ("--merge", [asked.merge])):
        for number, path in enumerate(paths):
            words += [flag, str(_kept(run, f"{flag[2:]}-{number}", Path(path)))]
    words += ["--preset", asked.preset, "--minutes", f"{asked.minutes:g}", "--run", str(run.path)]
    words += [*(["--fresh"] if asked.fresh else []), "--consent", "--json"]
    run.enqueue(words)
    services.start_next()
    return run


def _kept(run: Run, name: str, path: Path) -> Path:
    return link_into(path, run.path / "inputs" / name)


def result(run: Run) -> Path | None:
    """The merged video, once it is there."""
    made = run.results / "merged.mp4"
    return made if made.is_file() else None
