"""`facegen studio`: everything in the browser."""

import os
import sys
from typing import Annotated

import typer


def studio(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 serves the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
    shared: Annotated[
        bool | None,
        typer.Option(
            "--shared/--own", help="Whether each visitor sees only the own runs (default: when others can reach it)."
        ),
    ] = None,
) -> None:
    """Serve the studio in the browser until it is stopped with Ctrl-C."""
    settings = {"GRADIO_SERVER_NAME": host, "GRADIO_SERVER_PORT": str(port)}
    if shared is not None:
        settings["FACEGEN_SHARED"] = str(int(shared))
    # The browser's room lies to the right of this one and may not be imported here: it takes over the process.
    os.execve(sys.executable, [sys.executable, "-m", "facegen.ui"], {**os.environ, **settings})
