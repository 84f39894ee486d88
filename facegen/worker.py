"""The process that works on a run: `python -m facegen.worker FOLDER` reads its request, runs the job, keeps the result."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from facegen.errors import Cancelled, FacegenError
from facegen.system import STOP_SIGNALS


def main() -> None:
    """Run the request of the folder that is named on the command line."""
    from facegen.catalog import find_job
    from facegen.config import to_dict
    from facegen.device import keep_memory_flat
    from facegen.jobs import Run

    keep_memory_flat()
    with exit_codes():
        run = Run.open(sys.argv[1])
        try:
            job = find_job(run.record().kind)
            request = job.read_request(run)
            pipeline = job.load_pipeline()()
        except FacegenError as error:
            run.fail(str(error))
            raise
        print(json.dumps(to_dict(pipeline(request, run)), ensure_ascii=False))


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
