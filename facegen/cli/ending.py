"""How every command ends: with an exit code that says why."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from facegen.errors import Cancelled, FacegenError


@contextmanager
def exit_codes() -> Iterator[None]:
    """Leave the process with 2 and one sentence for an expected error, with 130 when the user or SIGTERM stopped it."""
    signal.signal(signal.SIGTERM, _stop)
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
