"""What differs between Linux, macOS and Windows: locks, positioned reads, process groups, links.

The rest of facegen calls these instead of what only one of them has. What is missing here (`fcntl`, `os.killpg`) is missed at
the call, not at the import; `tests/test_system.py` runs facegen without it.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_seeking = threading.Lock()


def lock_file(path: Path, *, waits: bool = True) -> Callable[[], None]:
    """Hold an exclusive lock on a file, which is made; it goes with the process, however that ends.

    By `flock` where there is one, because importing filelock, which does the same, delays every command; else by filelock.

    Args:
        path: the file; what it holds stays.
        waits: whether to wait for another holder.

    Returns:
        What gives the lock back.

    Raises:
        BlockingIOError: another process, or another place of this one, holds it, and `waits` is False.
        OSError: the file cannot be made.
    """
    try:
        import fcntl
    except ImportError:
        return _lock_by_library(path, waits)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BaseException:
        os.close(handle)
        raise

    def release() -> None:
        # a process that was forked meanwhile has the handle too, and would hold the lock on
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

    return release


def _lock_by_library(path: Path, waits: bool) -> Callable[[], None]:
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=waits, poll_interval=0.01)
    except filelock.Timeout:
        raise BlockingIOError(f"{path} is held by another process") from None
    return lock.release


def open_binary(path: Path) -> int:
    """A handle for `read_at`.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes of an open file from `offset` on; may be called by several threads at once."""
    if hasattr(os, "pread"):
        return os.pread(handle, size, offset)
    with _seeking:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.read(handle, size)


def sync(path: Path) -> None:
    """Have a closed file, or the names in a folder, written to disk; Windows, which syncs no folder, does it by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def new_process_group() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` that give a process, with all that it starts, a group of its own."""
    flag = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", None)
    return {"start_new_session": True} if flag is None else {"creationflags": flag}


def lower_priority(niceness: int) -> None:
    """Let this process have less of the processor than others where both want it; it has all of it otherwise.

    Args:
        niceness: as POSIX counts it, 0..19: at 5 a process gets about a quarter of a core that another wants, at 15 a thirtieth.
    """
    import psutil

    process, windows = psutil.Process(), getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", None)
    process.nice(max(process.nice(), niceness) if windows is None else windows)
    if windows is not None or os.getsid(0) != os.getpid():
        return
    # with automatic groups, Linux weighs sessions and not processes
    with suppress(OSError), open("/proc/self/autogroup", "r+", encoding="ascii") as group:
        group.write(str(niceness))


def process_group() -> int | None:
    """The group of this process; None on Windows, where it cannot be asked for."""
    return os.getpgid(0) if hasattr(os, "getpgid") else None


def terminate_group(group: int) -> None:
    """Ask the processes of a group to end: by SIGTERM, or by Ctrl-Break on Windows, which `STOP_SIGNALS` names.

    Raises:
        ProcessLookupError: there is no such group.
    """
    if hasattr(os, "killpg"):
        os.killpg(group, signal.SIGTERM)
    else:
        os.kill(group, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""What `terminate_group` sends, and what service managers and containers send."""


def link_or_copy(origin: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system cannot; its time of change stays."""
    try:
        os.link(origin, target)
    except OSError:
        shutil.copy2(origin, target)


def link_path(origin: Path, target: Path) -> None:
    """Let `target` lead to a file or folder; where links need rights, as on Windows, it gets a second name or a copy."""
    try:
        target.symlink_to(origin, target_is_directory=origin.is_dir())
    except OSError:
        if origin.is_dir():
            shutil.copytree(origin, target)
        else:
            link_or_copy(origin, target)


def replace_process(argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Let a program take over this process; Windows, where the terminal would not wait for it, runs it beside this one."""
    if sys.platform == "win32":
        sys.exit(subprocess.run(list(argv), env=dict(environment), check=False).returncode)
    os.execve(argv[0], list(argv), dict(environment))
