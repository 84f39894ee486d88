"""Runs a function on a stranger's file in a process of its own, with limits: memory, time, no network, no writing.

A file that crashes, hangs or fills the memory takes that process with it and nothing else. On Linux the process cannot
connect anywhere (a network namespace of its own, or Landlock where those are forbidden) nor write outside its temporary
folder (Landlock, from kernel 5.13 on); elsewhere, and where the kernel refuses, memory and time are limited alone;
`enforced` says what holds here.
"""

import ctypes
import importlib
import json
import os
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegen.errors import FacegenError, InputError
from facegen.system import own_group

_REFUSED = 3
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_NO_NEW_RIGHTS = 38
_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446
"""System calls of Landlock, the same numbers on all processors."""
_WRITES = ((1, 1 << 1 | 0b111111111 << 4), (2, 1 << 13), (3, 1 << 14))
"""Landlock's rights to write, make and remove files, by the version that knows them."""
_TCP_SINCE, _TCP = 4, 0b11


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the process may use."""

    memory_mb: int = 3000
    """Of data, beyond code and mapped files."""
    cpu_seconds: int = 60
    """Of processor time on all cores together."""
    wall_seconds: float = 90.0
    """Until it is killed."""


def run_guarded(function: str, *arguments: str, what: str, limits: Limits = Limits()) -> Any:  # frozen
    """Calls a function in a process with limits.

    Args:
        function: «module:name» of a function of facegen that takes texts and returns JSON values.
        arguments: what it takes.
        what: the file, for the sentence of a refusal.
        limits: memory and time.

    Returns:
        What it returned.

    Raises:
        InputError: it raised one, or it crashed, or it went beyond a limit.
    """
    with tempfile.TemporaryDirectory(prefix="facegen-guarded-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "facegen.guarded", folder, json.dumps(vars(limits)), function, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            **own_group(),
        )
        with process:
            try:
                answer, complaint = process.communicate(timeout=limits.wall_seconds)
            except subprocess.TimeoutExpired:
                raise InputError(
                    f"Expected {what} to open within {limits.wall_seconds:g} seconds, found it still busy; use another file."
                ) from None
            finally:
                process.kill()
    if process.returncode == 0:
        return json.loads(answer)
    if process.returncode == _REFUSED:
        raise InputError(json.loads(answer))
    reason = "ran out of memory" if b"MemoryError" in complaint or b"bad_alloc" in complaint else "broke off"
    raise InputError(f"Expected {what} to open within the studio's limits, found that it {reason}; use another file.")


def enforced() -> dict[str, bool]:
    """Which limits hold on this machine, tried in a process of its own."""
    with tempfile.TemporaryDirectory() as outside:
        tried: dict[str, bool] = run_guarded("facegen.guarded:try_limits", outside, what="the trial of the limits")
    return tried


def try_limits(outside: str) -> dict[str, bool]:
    """Tries what the limits forbid: whether each of them holds."""
    import socket

    def is_refused(action: Any) -> bool:
        try:
            action()
        except (OSError, MemoryError):
            return True
        return False

    def connect() -> None:
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            client.connect(listener.getsockname())

    return {
        "memory": is_refused(lambda: bytearray(3_500_000_000)),
        "network": is_refused(connect),
        "writing": is_refused(lambda: (Path(outside) / "file").write_text("written")),
    }


def _limit(folder: str, limits: Limits) -> None:
    """Gives up all that the function does not need."""
    try:
        import resource
    except ImportError:  # Windows: the time alone is limited
        return
    size = limits.memory_mb << 20
    for kind, most in (
        (resource.RLIMIT_DATA, size),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(_NEW_NETWORK) != 0:
            library.unshare(_NEW_USER | _NEW_NETWORK)
        _forbid_writing(library, folder)


def _forbid_writing(library: Any, folder: str) -> None:
    """Landlock: no writing outside the folder and the null device, no TCP. Does nothing on kernels without it."""
    version = library.syscall(_CREATE_RULES, None, 0, 1)
    if version < 1:
        return
    rights = sum(some for since, some in _WRITES if version >= since)
    rules = struct.pack("QQ", rights, _TCP) if version >= _TCP_SINCE else struct.pack("Q", rights)
    handle = library.syscall(_CREATE_RULES, rules, len(rules), 0)
    if handle < 0:
        return
    allowed = ((folder, rights), (os.devnull, rights & (1 << 1 | 1 << 14)))
    for path, some in allowed:
        place = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        library.syscall(_ADD_RULE, handle, 1, struct.pack("=Qi", some, place), 0)
        os.close(place)
    library.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
    library.syscall(_RESTRICT, handle, 0)
    os.close(handle)


def _main() -> int:
    folder, limits, function, *arguments = sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not end up in the answer
    _limit(folder, Limits(**json.loads(limits)))
    module, _, name = function.partition(":")
    try:
        answer, code = getattr(importlib.import_module(module), name)(*arguments), 0
    except FacegenError as error:
        answer, code = str(error), _REFUSED
    with os.fdopen(answers, "w", encoding="utf-8") as output:
        json.dump(answer, output)
    return code


if __name__ == "__main__":
    sys.exit(_main())
