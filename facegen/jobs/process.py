"""Status of a run and its process: start, identify, stop, wait."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from facegen.errors import ResourceError
from facegen.system import lock_file, new_process_group, terminate_group

State = Literal["queued", "running", "done", "failed", "cancelled"]
MOST_PID = 2**31 - 1
LATEST = 4e10
"""A time beyond, seconds since 1970 (the year 3237), is none."""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """How a run stands."""

    state: State
    progress: float = field(default=0.0, metadata={"min": 0.0, "max": 1.0})
    """0 to 1."""
    text: str = ""
    """What it is doing, or the sentence it ended with."""
    rate: str | None = None
    """With its unit, such as «24.1 frames/s»."""
    eta_seconds: float | None = field(default=None, metadata={"min": 0.0})
    """Time left, as the last half minute suggests."""
    pid: int | None = field(default=None, metadata={"min": 1, "max": MOST_PID})
    """The process that does the work."""
    process_created: float | None = field(default=None, metadata={"min": 0.0, "max": LATEST})
    """What `created_at` says of it, which tells it from a later one that was given the same number."""
    group: int | None = field(default=None, metadata={"min": 2, "max": MOST_PID})
    """The process group that `Run.start` gave the run; None where a terminal or the studio itself does the work."""
    is_enqueued: bool = False
    """Whether the queue may start it."""
    updated: float = field(default=0.0, metadata={"min": 0.0, "max": LATEST})
    """Seconds since 1970."""

    @property
    def is_active(self) -> bool:
        """Whether the run is queued or running."""
        return self.state in ("queued", "running")


def is_waiting(status: RunStatus) -> bool:
    """Whether the queue will start the run."""
    return status.state == "queued" and status.is_enqueued


def launch(argv: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a program in a session, and so a process group, of its own; what it prints is appended to `log`.

    Raises:
        ResourceError: the program cannot be started.
    """
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                **new_process_group(),
            )
    except OSError as error:
        raise ResourceError(f"Cannot start {argv[0]}: {error.strerror}; run make install again.") from error


def created_at(pid: int) -> float | None:
    """When a process began: tells it from a later one of the same number; None if there is none of that number.

    On Linux in seconds since the machine's start, which no setting of the clock moves, counted from a number of that start;
    elsewhere in seconds since 1970.
    """
    try:
        created = psutil.Process(pid).create_time()
        if sys.platform != "linux":
            return created
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return float(int(start[:8], 16)) + created - psutil.boot_time()
    except (psutil.NoSuchProcess, OSError, ValueError):
        return None


def is_alive(status: RunStatus) -> bool:
    """Whether the very process of the status still lives: no zombie, and no later one of the same number."""
    if status.pid is None or status.process_created is None:
        return False
    stamp = created_at(status.pid)
    if stamp is None or abs(stamp - status.process_created) >= 2.0:
        return False
    try:
        process = psutil.Process(status.pid)
        # the first thread of a killed process may be gone while others, with its open files and locks, still end
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


def stop(status: RunStatus, grace_seconds: float) -> None:
    """End a run that has a process group: the group is asked to end, then all that is left of it is killed.

    Worker processes with groups of their own (torch's launcher makes such) are stopped by their launcher, or killed.
    """
    assert status.pid is not None
    assert status.group is not None
    try:
        leader = psutil.Process(status.group if psutil.pid_exists(status.group) else status.pid)
        family = [leader, *leader.children(recursive=True)]
        terminate_group(status.group)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
    family = _still_alive_after(family, grace_seconds)
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _still_alive_after(family, grace_seconds)


def _still_alive_after(family: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    # psutil.wait_procs would reap our own children and so take their exit codes from the thread that waits for them.
    deadline = time.monotonic() + seconds
    while True:
        family = [process for process in family if _is_running(process)]
        if not family or time.monotonic() >= deadline:
            return family
        time.sleep(0.02)


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Say what is wrong with the place of a file that the body opens for writing.

    Raises:
        ResourceError: the body met an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"Cannot write {path}: {error.strerror}; free some space or choose another place."
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, waiting for it; it goes with the process, however that ends.

    Raises:
        ResourceError: it cannot be written.
    """
    with opening(path):
        release = lock_file(path)
    try:
        yield
    finally:
        release()
