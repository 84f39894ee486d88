"""Atomic outputs: a file is written under another name in the same folder, then renamed, so it appears whole or not at all."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facegen.errors import ResourceError
from facegen.media.source import display_name, translate_write_errors

OnProgress = Callable[[float, str], None]
"""Called with the share of the work that is done, 0..1, and a few words."""


def check_output(path: str | os.PathLike[str]) -> Path:
    """Returns `path` as a `Path` when a file can be written there; call it before long work.

    Raises:
        ResourceError: its folder is missing or closed to writing, or the name belongs to a folder.
    """
    target = Path(path)
    if "\0" in str(target):
        raise ResourceError(
            f"Expected a file name, found one with a zero byte in it, {display_name(target)}: change it."
        )
    with translate_write_errors(target):
        if target.is_dir():
            raise ResourceError(
                f"Expected the name of a file to write, found the folder {display_name(target)}: add a name."
            )
        if not target.parent.is_dir():
            raise ResourceError(
                f"Expected a folder to write {display_name(target)} to, found none at {display_name(target.parent)}: make it first."
            )
        probe = _temporary_path(target)
        probe.touch(exist_ok=False)
        probe.unlink()
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "the file is protected against writing")
    return target


@contextmanager
def atomic_output(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it on success and removes it on any failure.

    Raises:
        ResourceError: the path cannot be written or the disk is full.
    """
    target = check_output(path)
    temporary = _temporary_path(target)
    try:
        with translate_write_errors(target):
            yield temporary
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary_path(target: Path) -> Path:
    # Not derived from the name, which may already be as long as the file system allows.
    return target.absolute().parent / f".facegen-{secrets.token_hex(8)}.part"
