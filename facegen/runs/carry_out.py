"""From a request to its result in a run folder: a given one, or one of the request's own."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from facegen.config import to_dict
from facegen.runs.progress import OnProgress, Progress
from facegen.runs.run import Run, runs_home

Q = TypeVar("Q")
R = TypeVar("R")


def carry_out(
    request: Q,
    work: Callable[[Run, Progress], R],
    *,
    kind: str,
    key: Callable[[Q], str],
    run: Run | None = None,
    on_progress: OnProgress | None = None,
) -> R:
    """Work on a request in a run folder, which survives a crash, and keep there what the work made of itself.

    Args:
        request: a dataclass; what to do.
        work: does it; its result is a dataclass with a field `run`, which is filled in here.
        kind: of the run, one word.
        key: recognises the request: the same one finds the same folder again.
        run: the run folder to work in; one named after the request is used, and removed at the end, where there is none.
        on_progress: told how far the work is, as the run is.

    Raises:
        InputError: another process holds the folder.
    """
    folder = run or _own_run(kind, key(request), request)
    with folder.work():
        result: Any = work(folder, Progress(on_progress, folder))
        result = replace(result, run=str(folder.path))
        folder.keep_result(asdict(result))
    if run is None:
        folder.delete()
        result = replace(result, run=None)
    return result


def _own_run(kind: str, key: str, request: object) -> Run:
    """The run folder that belongs to a request and to no other."""
    path = runs_home() / f"{kind}-{key[:16]}"
    return Run.open(path) if (path / "request.json").exists() else Run.create(kind, to_dict(request), path=path)
