"""All runs of one root folder, and their queue: one runs, the others wait for it in the order they came."""

import re
from pathlib import Path

from facegen.errors import FacegenError, InputError
from facegen.jobs.process import locked
from facegen.jobs.run import Run, runs_home

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)


def list_runs(root: Path | None = None) -> list[Run]:
    """All runs in `root` (facegen's home by default), newest first; unreadable folders are left out."""
    root = root or runs_home()
    if not root.is_dir():
        return []
    dated = []
    for path in root.iterdir():
        run = Run(path)
        try:
            dated.append((run.created, run.name, run))
        except InputError:
            continue
    return [run for _, _, run in sorted(dated, key=lambda item: item[:2], reverse=True)]


def find_run(name: str, root: Path | None = None) -> Run:
    """The run called `name` in `root`.

    Raises:
        InputError: there is none of that name.
    """
    root = root or runs_home()
    if not _NAME.fullmatch(name) or not (root / name / "request.json").is_file():
        raise InputError(f"Expected the name of a run, found {name!r}; see: facegen runs list")
    return Run.open(root / name)


def start_queued(root: Path | None = None) -> Run | None:
    """Start the oldest queued run if nothing is running in `root`; whoever watches the runs calls this now and then.

    Several watchers may do so at once: one of them starts the run. Runs that were not enqueued are left alone; one that
    cannot be started has failed, with the reason, and the next has its turn.

    Returns:
        The run that was started, or None.
    """
    root = root or runs_home()
    if not root.is_dir():
        return None
    with locked(root / ".queue.lock"):
        standing = [(run, run.status()) for run in list_runs(root)]
        if any(status.state == "running" for _, status in standing):
            return None
        for run, status in reversed(standing):
            if status.state == "queued" and status.is_enqueued:
                try:
                    run.start()
                except FacegenError as error:
                    run.fail(str(error))
                    continue
                return run
    return None
