"""Runs functions on a stranger's file in a process of its own, with limits: memory, time, no network, no writing.

A file that crashes, hangs or fills the memory takes that process with it and nothing else. On Linux the process cannot
connect anywhere (a network namespace of its own, or Landlock where those are forbidden) nor write outside its temporary
folder (Landlock, from kernel 5.13 on); elsewhere, and where the kernel refuses, memory and time are limited alone;
`enforced` says what holds here.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from facegen.errors import FacegenError, InputError
from facegen.forks import ForkedProcess, Forks, find_function
from facegen.system import new_process_group

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_NO_NEW_RIGHTS = 38
_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446
"""System calls of Landlock, the same numbers on all processors."""
_WRITES = ((1, 1 << 1 | 0b111111111 << 4), (2, 1 << 13), (3, 1 << 14))
"""Landlock's rights to write, make and remove files, by the version that knows them."""
_TCP_SINCE, _TCP = 4, 0b11
_HEAD = struct.Struct("<cQ")
"""Before each message of a server: its kind and how many bytes follow."""
_ITEM, _END, _REFUSAL = b"i", b"e", b"r"
_LAST_WORDS_SECONDS = 5.0
_LARGEST = 1 << 30
"""Bytes of a message."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the process may use."""

    memory_mb: int = 3000
    """Of data, beyond code and mapped files."""
    cpu_seconds: int = 60
    """Of processor time on all cores together."""
    wall_seconds: float = 90.0
    """Until it is killed."""
    connects: bool = False
    """Whether it may use the network."""


def fork_from(*modules: str) -> None:
    """From now on, fork processes with limits from one that has imported these modules, where the system can."""
    global _forks
    if _forks is not None:
        _forks.close()
    _forks = Forks(("facegen.guarded", *modules)) if modules else None


def _forget_those_of_the_parent() -> None:
    """A process that was forked, as for a lent card, must not give orders through its parent's socket."""
    global _forks
    _forks = None


_forks: Forks | None = None
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_those_of_the_parent)


def run_guarded(
    function: str, *arguments: str, what: str, limits: Limits = Limits(), writes: Path | None = None  # frozen
) -> Any:  # fmt: skip
    """Calls a function in a process with limits.

    Args:
        function: «module:name» of a function of facegen that takes texts and returns JSON values.
        arguments: what it takes.
        what: the file, for the sentence of a refusal.
        limits: memory and time.
        writes: a folder in which it may write, beside its own.

    Returns:
        What it returned.

    Raises:
        InputError: it raised one, or it crashed, or it went beyond a limit.
    """
    server = GuardedServer("facegen.guarded:call", limits=limits, writes=writes)
    try:
        (answer,) = server.ask(json.dumps([function, *arguments]).encode(), what)
    finally:
        server.close()
    return json.loads(answer)


def call(request: bytes) -> Iterator[bytes]:
    """What a process of `run_guarded` does."""
    name, *arguments = json.loads(request)
    yield json.dumps(find_function(name)(*arguments)).encode()


def _start(
    folder: str, limits: Limits, writes: Path | None, function: str, complaints: IO[bytes]
) -> "subprocess.Popen[bytes] | ForkedProcess":
    allowed = [folder, *([str(writes)] if writes else [])]
    arguments = [json.dumps(allowed), json.dumps(vars(limits)), function]
    environment = {**os.environ, "TMPDIR": folder}
    if _forks is not None:
        forked = _forks.fork("facegen.guarded:serve", arguments, environment=environment, stderr=complaints.fileno())
        if forked is not None:
            return forked
    return subprocess.Popen(
        [sys.executable, "-m", "facegen.guarded", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env={**environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        **new_process_group(),
    )


def _busy(what: str, limits: Limits) -> str:
    return f"Expected {what} to open within {limits.wall_seconds:g} seconds, found it still busy; use another file."


def _broken(what: str, complaint: bytes) -> str:
    reason = "ran out of memory" if b"MemoryError" in complaint or b"bad_alloc" in complaint else "broke off"
    return f"Expected {what} to open within the studio's limits, found that it {reason}; use another file."


class GuardedServer:
    """A process with limits that answers one request after the other; time is counted for each request anew."""

    def __init__(self, function: str, *, limits: Limits, writes: Path | None = None) -> None:
        """Starts the process.

        Args:
            function: «module:name» of a function of facegen that takes a request and yields messages, both bytes.
            limits: of the memory, and of the time that a request may take.
            writes: a folder in which it may write, beside its own.
        """
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="facegen-guarded-", ignore_cleanup_errors=True)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = _start(self._folder.name, limits, writes, function, self._complaints)

    @property
    def is_alive(self) -> bool:
        """Whether it can take another request."""
        return self._process.poll() is None

    def ask(self, request: bytes, what: str) -> Iterator[bytes]:
        """The messages that answer a request; who does not take all of them has to close the process.

        Args:
            request: for the function.
            what: the file, for the sentence of a refusal.

        Raises:
            InputError: the function raised one, or it crashed, or it went beyond a limit; then the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()
        with suppress(OSError):  # it has ended: said below
            self._process.stdin.write(struct.pack("<Q", len(request)) + request)
            self._process.stdin.flush()
        while True:
            # the next message alone is waited for: what takes them may need its time
            timer = threading.Timer(self._limits.wall_seconds, self._kill, (late,))
            timer.daemon = True
            timer.start()
            kind, message = self._read(self._process.stdout)
            timer.cancel()
            if kind == _ITEM:
                yield message
            elif kind == _END:
                return
            elif kind == _REFUSAL:
                raise InputError(json.loads(message))
            else:
                with suppress(subprocess.TimeoutExpired):  # it has more to say than that it ends
                    self._process.wait(_LAST_WORDS_SECONDS)
                refusal = _busy(what, self._limits) if late.is_set() else _broken(what, self._complaint)
                self.close()
                raise InputError(refusal)

    def _read(self, answers: IO[bytes]) -> tuple[bytes, bytes]:
        """Kind and content of the next message; a kind that there is not where the process ended or says nonsense."""
        head = answers.read(_HEAD.size)
        kind, size = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0)
        if size > _LARGEST:
            return b"", b""
        message = answers.read(size)
        return (kind, message) if len(message) == size else (b"", b"")

    def _kill(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    @property
    def _complaint(self) -> bytes:
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - 10_000))
        return self._complaints.read()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()
        self._folder.cleanup()


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


def _limit(folders: list[str], limits: Limits) -> None:
    """Gives up all that the function does not need."""
    try:
        import resource
    except ImportError:  # Windows: the time alone is limited
        return
    size = limits.memory_mb << 20
    for kind, most in ((resource.RLIMIT_DATA, size), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
    _limit_time(limits)
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        if not limits.connects and library.unshare(_NEW_NETWORK) != 0:
            library.unshare(_NEW_USER | _NEW_NETWORK)
        _forbid_writing(library, folders, limits.connects)


def _limit_time(limits: Limits) -> None:
    """So much processor time from now on."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = round(used.ru_utime + used.ru_stime) + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _forbid_writing(library: Any, folders: list[str], connects: bool) -> None:
    """Landlock: no writing outside the folders and the null device, and no TCP unless it connects. Does nothing on kernels without it."""
    version = library.syscall(_CREATE_RULES, None, 0, 1)
    if version < 1:
        return
    rights = sum(some for since, some in _WRITES if version >= since)
    rules = struct.pack("QQ", rights, 0 if connects else _TCP) if version >= _TCP_SINCE else struct.pack("Q", rights)
    handle = library.syscall(_CREATE_RULES, rules, len(rules), 0)
    if handle < 0:
        return
    allowed = [*((folder, rights) for folder in folders), (os.devnull, rights & (1 << 1 | 1 << 14))]
    for path, some in allowed:
        descriptor = os.open(path, getattr(os, "O_PATH", 0) | os.O_CLOEXEC)
        library.syscall(_ADD_RULE, handle, 1, struct.pack("=Qi", some, descriptor), 0)
        os.close(descriptor)
    library.prctl(_NO_NEW_RIGHTS, 1, 0, 0, 0)
    library.syscall(_RESTRICT, handle, 0)
    os.close(handle)


def serve(arguments: Sequence[str]) -> int:
    """What a process with limits does.

    Args:
        arguments: the folders in which it may write and its limits, as JSON, and the function of `GuardedServer`.
    """
    folders, words, name = arguments
    limits = Limits(**json.loads(words))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not end up in the answer
    _limit(json.loads(folders), limits)
    with answers, os.fdopen(0, "rb", closefd=False) as requests:
        return _serve(find_function(name), requests, answers, limits)


def _serve(
    function: Callable[[bytes], Iterable[bytes]], requests: IO[bytes], answers: IO[bytes], limits: Limits
) -> int:
    """Answers requests until there are no more."""

    def send(kind: bytes, message: bytes = b"") -> None:
        answers.write(_HEAD.pack(kind, len(message)) + message)
        answers.flush()

    while len(size := requests.read(8)) == 8:
        _limit_time(limits)
        try:
            for message in function(requests.read(struct.unpack("<Q", size)[0])):
                send(_ITEM, message)
                _limit_time(limits)
            send(_END)
        except FacegenError as error:
            send(_REFUSAL, json.dumps(str(error)).encode())
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
