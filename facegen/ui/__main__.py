"""`python -m facegen.ui`: serves the studio as the environment says; `app.py` and `facegen studio` end here.

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens (this machine only, port 7860), and FACEGEN_SHARED
(1 or 0) whether each visitor sees only the own runs (by default: when others can reach it).
"""

import os
import signal
import sys
from types import FrameType

from facegen.errors import FacegenError
from facegen.ui.studio import launch


def main() -> None:
    """Serve until stopped: exit code 2 with one sentence for an expected error, 130 when the user stopped it."""
    signal.signal(signal.SIGTERM, _stop)
    is_space = "SPACE_ID" in os.environ
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if is_space else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    shared = {"1": True, "0": False}.get(os.environ.get("FACEGEN_SHARED", ""))
    try:
        launch(host, port, shared=shared)
    except KeyboardInterrupt:
        sys.exit(130)
    except FacegenError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # The same way out as Ctrl-C, so that what the studio opened is closed.
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
