"""`accelerate launch`, without its own traceback where a worker fails: the worker has said what was wrong."""

from __future__ import annotations

import logging

from accelerate.commands import launch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main() -> int:
    """Runs the workers that the command line names.

    Returns:
        0, or the exit code of the worker that failed first; 130 where a signal stopped them.
    """
    # the launcher logs a worker's end in words of its own, which say no more than the worker did
    logging.disable()
    try:
        launch.main()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return max(failure.exitcode, 1)
    except SignalException:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
