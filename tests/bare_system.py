"""Takes from facegen what Windows lacks, and leaves it to the libraries: `pytest -p tests.bare_system`.

Modules of facegen that are imported afterwards find no `fcntl` and the like, and an `os` and a `signal` without the functions
that only POSIX has. The platform itself stays what it is: libraries choose by it.
"""

import builtins
import os
import signal
import sys
from types import ModuleType
from typing import Any

ABSENT_MODULES = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "posix", "syslog")
ABSENT_NAMES: dict[ModuleType, tuple[str, ...]] = {
    os: (
        *(
            "fork",
            "forkpty",
            "killpg",
            "getpgid",
            "getpgrp",
            "setsid",
            "getsid",
            "geteuid",
            "getuid",
            "getgid",
            "getppid",
        ),
        *(
            "pread",
            "pwrite",
            "preadv",
            "sendfile",
            "fchmod",
            "fchown",
            "chown",
            "mkfifo",
            "mknod",
            "statvfs",
            "uname",
            "nice",
        ),
        *(
            "sched_getaffinity",
            "sched_setaffinity",
            "sched_yield",
            "getloadavg",
            "sysconf",
            "sync",
            "waitid",
            "wait",
            "memfd_create",
        ),
        *(
            "O_DIRECTORY",
            "O_NOFOLLOW",
            "O_CLOEXEC",
            "O_NONBLOCK",
            "O_TMPFILE",
            "openpty",
            "posix_fallocate",
            "posix_fadvise",
        ),
    ),
    signal: (
        "SIGKILL",
        "SIGHUP",
        "SIGUSR1",
        "SIGUSR2",
        "SIGALRM",
        "SIGCHLD",
        "SIGQUIT",
        "pause",
        "alarm",
        "setitimer",
        "sigwait",
    ),
}


def _without(whole: ModuleType, names: tuple[str, ...]) -> ModuleType:
    def look_up(name: str) -> Any:
        if name in names:
            raise AttributeError(f"module {whole.__name__!r} has no attribute {name!r} on this system")
        return getattr(whole, name)

    lacking = ModuleType(whole.__name__, whole.__doc__)
    lacking.__getattr__ = look_up  # type: ignore[method-assign]
    return lacking


_lacking = {whole.__name__: _without(whole, names) for whole, names in ABSENT_NAMES.items()}
_import = builtins.__import__


def _guarded(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    importer = (globals or {}).get("__name__", "")
    if importer.partition(".")[0] != "facegen" or level:
        return _import(name, globals, locals, fromlist, level)
    if name in ABSENT_MODULES:
        raise ModuleNotFoundError(f"No module named {name!r} on this system")
    return _lacking.get(name) or _import(name, globals, locals, fromlist, level)


def take_away() -> None:
    """From now on, for modules of facegen that are not imported yet."""
    early = [name for name in sys.modules if name.partition(".")[0] == "facegen"]
    assert not early, f"imported before: {early}"
    builtins.__import__ = _guarded


take_away()
