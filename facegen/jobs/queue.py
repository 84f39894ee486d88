"""The runs of a root folder and their queue, with fair turns between owners."""

import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facegen.errors import FacegenError, InputError, ResourceError
from facegen.jobs.folder import REQUEST
from facegen.jobs.process import RunStatus, is_waiting, locked
from facegen.jobs.run import Run, runs_home

_LATELY, _ENOUGH = 15, 3
"""Of how many runs of a kind that were done last a time is foretold, and of how many at least."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)


def list_runs(root: Path | None = None) -> list[Run]:
    """All runs in `root` (facegen's home by default), newest first; damaged ones too, so that they can be deleted."""
    root = root or runs_home()
    if not root.is_dir():
        return []
    dated = [(run.created, run.name, run) for run in map(Run, root.iterdir()) if _is_run(run.path)]
    return [run for _, _, run in sorted(dated, key=lambda item: item[:2], reverse=True)]


def _is_run(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and any((path / name).is_file() for name in (REQUEST, "status.json"))


def find_run(name: str, root: Path | None = None) -> Run:
    """The run called `name` in `root`.

    Raises:
        InputError: there is none of that name.
    """
    root = root or runs_home()
    if not _NAME.fullmatch(name) or not _is_run(root / name):
        raise InputError(f"Expected the name of a run, found {name!r}; see: facegen runs list")
    return Run((root / name).absolute())


def order_turns(standing: Sequence[tuple[Run, RunStatus]]) -> list[Run]:
    """The waiting runs in the order of their turns: fair between owners, and as they came for each of them.

    An owner's second run waits until each owner that waits has had a first turn; runs at work count as turns.

    Args:
        standing: all runs with how they stand.
    """
    turns = Counter(run.owner for run, status in standing if status.state == "running")
    waiting = [(status.updated, run.name, run) for run, status in standing if is_waiting(status)]
    ordered = []
    for updated, name, run in sorted(waiting, key=lambda item: item[:2]):
        ordered.append((turns[run.owner], updated, name, run))
        turns[run.owner] += 1
    return [run for *_, run in sorted(ordered, key=lambda item: item[:3])]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """When a waiting run will have its turn."""

    before: int
    """How many runs work or have their turn before it."""
    seconds: float | None
    """By when that probably is: four of five runs of each kind were done as quickly; None where too few were done."""


def estimate_turns(root: Path | None = None, *, at_once: int = 1) -> dict[str, Turn]:
    """The turns of all waiting runs, by their names.

    Args:
        root: the folder of all runs.
        at_once: how many work at the same time.
    """
    standing = [(run, run.status()) for run in list_runs(root)]
    usual = _usual_seconds(standing)
    before, seconds = 0, 0.0
    for run, status in standing:
        if status.state == "running":
            elapsed = time.time() - (run.began or time.time())
            rest = usual.get(run.kind, math.nan) - elapsed if status.eta_seconds is None else status.eta_seconds
            before, seconds = before + 1, seconds + (rest if math.isnan(rest) else max(rest, 0.0))
    turns = {}
    for run in order_turns(standing):
        turns[run.name] = Turn(before=before, seconds=None if math.isnan(seconds) else seconds / at_once)
        before, seconds = before + 1, seconds + usual.get(run.kind, math.nan)
    return turns


def _usual_seconds(standing: Sequence[tuple[Run, RunStatus]]) -> dict[str, float]:
    """By kind, how long four of five of the runs that were done last took; kinds of which three were done."""
    taken: dict[str, list[float]] = defaultdict(list)
    for run, status in standing:
        if status.state == "done" and len(taken[run.kind]) < _LATELY and (began := run.began) is not None:
            taken[run.kind].append(status.updated - began)
    return {kind: sorted(some)[len(some) * 4 // 5] for kind, some in taken.items() if len(some) >= _ENOUGH}


def start_queued(root: Path | None = None, *, at_once: int = 1, start: Callable[[Run], None] = Run.start) -> Run | None:
    """Start the run that waits longest if fewer than `at_once` are running in `root`; whoever watches the runs calls this now and then.

    Several watchers may do so at once: one of them starts the run. Runs that were not enqueued are left alone; one that
    cannot be started has failed, with the reason, and the next has its turn. Where not even that can be written, as the
    disk is full, all go on waiting.

    Args:
        root: the folder of all runs.
        at_once: how many may work at the same time.
        start: lets a run begin; as a process of its own where nothing else is said.

    Returns:
        The run that was started, or None.

    Raises:
        ResourceError: the folder cannot be written.
    """
    root = root or runs_home()
    if not root.is_dir():
        return None
    with locked(root / ".queue.lock"):
        standing = [(run, run.status()) for run in list_runs(root)]
        if sum(status.state == "running" for _, status in standing) >= at_once:
            return None
        for run in order_turns(standing):
            try:
                start(run)
            except FacegenError as error:
                with suppress(ResourceError):
                    run.fail(str(error))
                continue
            return run
    return None
