"""The temporary folder of one studio: uploads and shown results, removed at its end or, after a kill, at the next start."""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from facegen.system import lock_file

PREFIX, LOCK = "facegen-studio-", ".lock"
_UNLOCKED_SECONDS = 86_400
_held: list[Callable[[], None]] = []
"""Locks on this process's folder: the system gives them back however the process ends."""


def own_temporary_folder() -> None:
    """Give this process a folder of its own, and remove those that killed studios left."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        sweep_orphans(Path(tempfile.gettempdir()))
        folder = tempfile.mkdtemp(prefix=PREFIX)
        os.environ["GRADIO_TEMP_DIR"] = folder
        _held.append(lock_file(Path(folder) / LOCK, waits=False))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


def sweep_orphans(root: Path) -> None:
    """Remove the folders of studios that nobody holds: a lock goes with its process.

    Args:
        root: where temporary folders lie.
    """
    for folder in root.glob(f"{PREFIX}*"):
        with suppress(OSError):  # held, or somebody else's
            if (folder / LOCK).is_file():
                release = lock_file(folder / LOCK, waits=False)
                shutil.rmtree(folder, ignore_errors=True)
                release()
            elif time.time() - folder.stat().st_mtime > _UNLOCKED_SECONDS:  # of a facegen that held no lock
                shutil.rmtree(folder, ignore_errors=True)
