"""`python -m facegen` and the command `facegen`."""

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line: exit code 2 with one sentence for an expected error, 130 when the user stopped it."""
    from facegen.cli import build_app
    from facegen.device import keep_memory_flat
    from facegen.errors import Cancelled, FacegenError

    keep_memory_flat()
    signal.signal(signal.SIGTERM, _stop)
    try:
        build_app(sys.argv[1:])(prog_name="facegen")
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
