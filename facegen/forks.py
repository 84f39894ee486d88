"""Processes forked from one that has already imported what they need, within milliseconds instead of a new interpreter's start.

The one that is forked (`python -m facegen.forks MODULE ...`) opens no file of anybody, has a single thread, and ends with the
process that started it. Linux alone has what holds a process without a race (`pidfd_open`); elsewhere `fork` returns None.
"""

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import IO, Any

_LARGEST = 200_000
"""Bytes of an order: arguments and environment of a new process."""
_PATIENCE_SECONDS = 60.0
"""For imports and a fork; whoever answers later is ended."""
_REAPING_MS = 500
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def find_function(name: str) -> Callable[..., Any]:
    """The function that «module:name» names."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


class ForkedProcess:
    """A process whose handle, unlike its number, never stands for another one; used like `subprocess.Popen`."""

    def __init__(self, handle: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        """Takes over the handle and the pipes.

        Args:
            handle: from `os.pidfd_open`.
            stdin: what it reads.
            stdout: what it writes.
        """
        self._handle, self.stdin, self.stdout = handle, stdin, stdout
        self._has_ended = False

    def poll(self) -> int | None:
        """None while it lives; how it ended is not known."""
        return -1 if self._is_over(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it has ended.

        Raises:
            subprocess.TimeoutExpired: it lives on after so many seconds.
        """
        if not self._is_over(timeout):
            raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
        return -1

    def kill(self) -> None:
        """Ends it; does nothing where it has ended."""
        if not self._has_ended:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _is_over(self, seconds: float | None) -> bool:
        if not self._has_ended:
            waiting = select.poll()
            waiting.register(self._handle, select.POLLIN)
            self._has_ended = bool(waiting.poll(None if seconds is None else 1000 * seconds))
            if self._has_ended:
                self._wait_for_parent()
                os.close(self._handle)
        return self._has_ended

    def _wait_for_parent(self) -> None:
        """Until its number is free, which takes its parent a moment; not for long, as the parent may have ended, too."""
        with suppress(ProcessLookupError):
            for _ in range(_REAPING_MS):
                signal.pidfd_send_signal(self._handle, 0)
                time.sleep(0.001)


class Forks:
    """Starts such processes; the one that is forked is started with the first of them, and again if it was lost."""

    def __init__(self, modules: Sequence[str]) -> None:
        """Starts nothing yet.

        Args:
            modules: what it imports before anything is forked.
        """
        self._modules = list(modules)
        self._lock = threading.Lock()
        self._parent: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def fork(
        self, function: str, arguments: Sequence[str], *, environment: dict[str, str], stderr: int
    ) -> ForkedProcess | None:
        """A new process, in a session of its own, that calls a function.

        Args:
            function: «module:name» of a function that takes a list of texts and returns an exit code.
            arguments: the texts.
            environment: its environment.
            stderr: an open file for its complaints.

        Returns:
            The process, with pipes to its input and from its output; None where this system cannot.
        """
        if not hasattr(os, "pidfd_open"):
            return None
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        order = json.dumps([function, list(arguments), environment]).encode()
        try:
            handle = self._order(order, [read_in, write_out, stderr])
        finally:
            os.close(read_in)
            os.close(write_out)
        pipes = os.fdopen(write_in, "wb"), os.fdopen(read_out, "rb")
        if handle is None:
            for pipe in pipes:
                pipe.close()
            return None
        return ForkedProcess(handle, *pipes)

    def _order(self, order: bytes, files: list[int]) -> int | None:
        """The handle of a new process; None where none can be had."""
        if len(order) > _LARGEST:
            return None
        with self._lock:
            for _ in range(2):  # the second time with a new parent
                with suppress(OSError):
                    if self._orders is None:
                        self._start()
                    assert self._orders is not None
                    socket.send_fds(self._orders, [order], files)
                    _, handles, _, _ = socket.recv_fds(self._orders, 16, 1)
                    if handles:
                        return handles[0]
                self._close()
        return None

    def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(path for path in sys.path if path)
        with theirs:
            self._parent = subprocess.Popen(
                [sys.executable, "-m", "facegen.forks", str(theirs.fileno()), *self._modules],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            )
        ours.settimeout(_PATIENCE_SECONDS)
        self._orders = ours

    def close(self) -> None:
        """End the process that is forked; those that were live on."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
            self._parent = None


def _serve(orders: socket.socket) -> None:
    """Forks for each order, until nobody is left who gives any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this one
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        order, files, _, _ = socket.recv_fds(orders, _LARGEST, 3)
        if not order:
            return
        # one that ends is not waited for yet: until there is a handle, its number must not become another's
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        child = os.fork()
        if child == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            _become(json.loads(order), files)
        handle = os.pidfd_open(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        socket.send_fds(orders, [b"forked"], [handle])
        for file in (*files, handle):
            os.close(file)


def _reap(_number: int, _frame: FrameType | None) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(order: list[Any], files: list[int]) -> None:
    """What a new process does; never returns."""
    code = 1
    try:
        function, arguments, environment = order
        os.setsid()
        for number, file in enumerate(files):
            os.dup2(file, number)
        for file in files:
            if file > 2:
                os.close(file)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        code = find_function(function)(arguments)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    for _module in sys.argv[2:]:
        importlib.import_module(_module)
    _serve(socket.socket(fileno=int(sys.argv[1])))
