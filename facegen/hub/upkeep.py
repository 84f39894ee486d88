"""Model files on this machine: state, verification and removal."""

from pathlib import Path
from typing import Literal

from facegen.errors import FacegenError, InputError
from facegen.hub.custom import check_custom, custom_file
from facegen.hub.digest import hold_lock, lock_path, read_lock, sha256_of
from facegen.hub.download import cached_file, partial_files
from facegen.hub.fetch import is_present, lock_key
from facegen.hub.weight_file import Hub, WeightFile, locate

State = Literal["own", "present", "partial", "absent"]
"""`own`: a custom file takes its place. `partial`: a download was interrupted and can be taken up again."""


def state_of(weight: WeightFile) -> State:
    """How a file stands; nothing is read but sizes."""
    if custom_file(weight):
        return "own"
    if is_present(weight):
        return "present"
    return "partial" if partial_bytes(weight) else "absent"


def partial_bytes(weight: WeightFile) -> int:
    """Bytes that an interrupted download, or one that is going on, has left so far."""
    return sum(path.stat().st_size for path in partial_files(weight)) if isinstance(weight.source, Hub) else 0


def verify(weight: WeightFile) -> str:
    """Read a file anew and say what is wrong with it; empty where its SHA-256 is right, or nothing is here to be wrong.

    Raises:
        InputError: the lock file is damaged.
    """
    try:
        if custom := custom_file(weight):
            check_custom(weight, custom)
            return ""
        path = locate(weight)
    except FacegenError as error:
        return str(error)
    expected = weight.sha256
    if isinstance(weight.source, Hub):
        if not path.is_file():
            path = cached_file(weight, weight.source) or path
        expected = expected or read_lock().get(lock_key(weight, weight.source), {}).get("sha256")
    if not path.is_file():
        return (
            "" if isinstance(weight.source, Hub) else f"Expected a file at {path}, found none; install facegen again."
        )
    found = sha256_of(path, is_anew=True)
    if expected is None:
        return f"No SHA-256 is known for {path}; run: facegen weights fetch {weight.name}"
    if found == expected:
        return ""
    remedy = f"run: facegen weights fetch {weight.name}" if isinstance(weight.source, Hub) else "install facegen again."
    return f"Expected SHA-256 {expected}, found {found} in {path}; {remedy}"


def remove(weight: WeightFile) -> int:
    """Remove a downloaded file, and what an interrupted download left; returns the bytes that this gives back.

    What it was remains in the lock file, so that no other bytes come in its place. The Hub's own cache is left alone.

    Raises:
        InputError: the file is no download: it came with facegen or with a package.
    """
    if not isinstance(weight.source, Hub):
        raise InputError(
            f"Expected a model that was downloaded, found {weight.name}, which came with the installation; it stays."
        )
    path, freed = locate(weight), 0
    with hold_lock(lock_path(weight)):
        for each in (path, *partial_files(weight)):
            if each.is_symlink() or each.is_file():
                freed += _own_bytes(each)
                each.unlink()
    return freed


def _own_bytes(path: Path) -> int:
    """What removing a file gives back: nothing where the Hub's own cache has it too."""
    return 0 if path.is_symlink() or path.stat().st_nlink > 1 else path.stat().st_size
