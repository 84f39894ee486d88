"""Digests of model files, the lock file that holds them, and locks between processes."""

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegen.errors import InputError, ResourceError
from facegen.hub.weight_file import weights_home
from facegen.json_file import read_object
from facegen.system import lock_file


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex; a file whose size and time have not changed is read once per process."""
    status = path.stat()
    return _sha256_of_version(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _sha256_of_version(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_digest(path: Path) -> str:
    """The SHA-1 that git, and so the Hub, states for a small file that is not in large-file storage."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def read_lock() -> dict[str, dict[str, Any]]:
    """What the lock file says, by «repo@revision/file».

    Raises:
        InputError: it is damaged.
    """
    path = weights_home() / "lock.json"
    found = read_object(path, is_optional=True)
    if not all(isinstance(entry, dict) and isinstance(entry.get("sha256"), str) for entry in found.values()):
        raise InputError(
            f"Expected a SHA-256 for each file in {path}, found something else; restore or delete the file."
        )
    return found


def lock_entry(path: Path, sha256: str) -> dict[str, Any]:
    """What the lock file says of a checked file: its digest, and the size and time by which a change is noticed."""
    status = path.stat()
    return {"sha256": sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, so that two processes do not fetch or note the same thing at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        release = lock_file(path)
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path.parent}: {error.strerror}; free some space or set FACEGEN_HOME to another place."
        ) from error
    try:
        yield
    finally:
        release()
