"""Digests of model files, the lock file that holds them, and locks between processes."""

import functools
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegen.errors import InputError, ResourceError
from facegen.hub.weight_file import WeightFile, weights_home
from facegen.json_file import read_object
from facegen.system import lock_file

_WAIT_SECONDS = 0.2


def sha256_of(path: Path, *, is_anew: bool = False) -> str:
    """SHA-256 of a file in hex; a file whose size and time have not changed is read once per process, unless `is_anew`."""
    status = path.stat()
    read = _sha256_of_version.__wrapped__ if is_anew else _sha256_of_version
    return read(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=512)
def _sha256_of_version(path: str, size: int, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches(path: Path, digest: str) -> bool:
    """Whether a file has a digest: SHA-256, or the SHA-1 that git, and so the Hub, states for small files."""
    if len(digest) == 64:
        return sha256_of(path) == digest
    content = path.read_bytes()
    return digest == hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


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


def lock_path(weight: WeightFile) -> Path:
    """What is locked while a file is fetched or removed."""
    return weights_home() / ".locks" / weight.name


@contextmanager
def hold_lock(path: Path, while_waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path`, so that two processes do not fetch or note the same thing at once.

    Args:
        path: the file of the lock.
        while_waiting: called a few times a second as long as another holds it; may raise to give up.
    """
    release = _take_lock(path, waits=while_waiting is None)
    while release is None:
        assert while_waiting is not None
        while_waiting()
        time.sleep(_WAIT_SECONDS)
        release = _take_lock(path, waits=False)
    try:
        yield
    finally:
        release()


def _take_lock(path: Path, *, waits: bool) -> Callable[[], None] | None:
    """What gives the lock back; None where another holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return lock_file(path, waits=waits)
    except BlockingIOError:
        return None
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path.parent}: {error.strerror}; free some space or set FACEGEN_HOME to another place."
        ) from error
