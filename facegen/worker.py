"""The process that works on a run: `python -m facegen.worker FOLDER` reads its request, runs the job, keeps the result.

`python -m facegen.worker --spare` loads models and waits until a folder is named (`facegen/jobs/spare.py`).
"""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from facegen.errors import Cancelled, FacegenError
from facegen.system import STOP_SIGNALS, lower_priority

if TYPE_CHECKING:
    from facegen.jobs.pipeline import Models


SHARED = "FACEGEN_SHARED"
"""Set in the environment of a studio that several people use, and so in that of its workers."""
_NICENESS, _SHARED_NICENESS = 5, 15
"""Of runs. Where several people use a studio, the sliders of all come first; one's own machine has other work, too."""


def main() -> None:
    """Run the request of the folder that is named on the command line, or by whoever keeps this process waiting."""
    from facegen.device import limit_malloc_arenas
    from facegen.jobs.pipeline import Models
    from facegen.jobs.spare import ARGUMENT

    limit_malloc_arenas()
    lower_priority(_SHARED_NICENESS if SHARED in os.environ else _NICENESS)
    with exit_codes():
        models = Models()
        _run_folder(_preload_models(models) if sys.argv[1] == ARGUMENT else Path(sys.argv[1]), models)


def _run_folder(folder: Path, models: "Models") -> None:
    from facegen.catalog import find_job
    from facegen.config import to_dict
    from facegen.jobs import Run

    run = Run.open(folder)
    _decode_inputs_apart(run.path / "inputs")
    try:
        job = find_job(run.record().kind)
        request = job.read_request(run)
        pipeline = models.pipeline(job)
    except FacegenError as error:
        run.fail(str(error))
        raise
    print(json.dumps(to_dict(pipeline(request, run)), ensure_ascii=False))


def _decode_inputs_apart(inputs: Path) -> None:
    """In a run of a shared studio, have the files that a visitor sent decoded in processes with limits."""
    if SHARED not in os.environ:
        return
    from facegen import guarded
    from facegen.media import apart

    inputs = inputs.resolve()
    guarded.fork_from("facegen.media.trial")
    apart.decode_apart(lambda path: path.is_relative_to(inputs))


def _preload_models(models: "Models") -> Path:
    """Load what is asked for until a run is named."""
    import torch  # noqa: F401  # takes longest, and every job needs it

    from facegen.catalog import find_job
    from facegen.config import from_dict
    from facegen.jobs.run import WORKER
    from facegen.jobs.spare import wait_for_run

    def load(name: str, request: Mapping[str, Any]) -> None:
        with suppress(FacegenError):  # a run that cannot load them says it
            job = find_job(name)
            models.pipeline(job).warm_up(from_dict(job.request, request))

    return wait_for_run(load, WORKER)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Leave the process with 2 and one sentence for an expected error, with 130 when the user or SIGTERM stopped it."""
    for number in STOP_SIGNALS:
        signal.signal(number, _stop)
    try:
        yield
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled.", file=sys.stderr)
        sys.exit(130)
    except FacegenError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # The same way out as Ctrl-C, so that every `finally` and every journal gets its turn.
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
