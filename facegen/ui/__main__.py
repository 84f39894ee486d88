"""`python -m facegen.ui`: serves the studio as the environment says; `app.py` and `facegen studio` end here.

GRADIO_SERVER_NAME and GRADIO_SERVER_PORT say where it listens (this machine only, port 7860), and FACEGEN_SHARED
(1 or 0) whether each visitor sees only the own runs (by default: when others can reach it).
"""

import os

from facegen.device import keep_memory_flat
from facegen.ui.studio import launch
from facegen.worker import exit_codes


def main() -> None:
    """Serve until stopped; see `exit_codes` for how it ends."""
    keep_memory_flat()
    is_space = "SPACE_ID" in os.environ
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if is_space else "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    shared = {"1": True, "0": False}.get(os.environ.get("FACEGEN_SHARED", ""))
    with exit_codes():
        launch(host, port, shared=shared)


if __name__ == "__main__":
    main()
