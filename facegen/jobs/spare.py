"""A spare worker process, started ahead with its models loaded, so that a short job does not wait for start-up.

The one who keeps it writes lines of JSON to its standard input: `{"job": NAME, "request": {...}}` has it do what is quick of a
request, which loads the models that such a job needs; `{"run": FOLDER}` has it become the worker of that run, a process like
any other from then on. When the pipe closes, as the keeper has ended, it ends too.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from facegen.hub import weights_home
from facegen.system import new_process_group, replace_process

ARGUMENT = "--spare"
"""What the worker program is given in place of a run's folder."""
FREE_BYTES = 3 << 30
"""With less memory free, no process is kept waiting; one with its models takes about a third of it."""


class SpareWorker:
    """One waiting worker, on the keeper's side. Safe to use from several threads."""

    def __init__(self, program: tuple[str, ...], *, free_bytes: int = FREE_BYTES) -> None:
        """Nothing is started yet.

        Args:
            program: the worker.
            free_bytes: with less memory free, none is started.
        """
        self._program, self._free_bytes = program, free_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._usual: dict[str, Any] = {}

    def keep(self) -> None:
        """Start one where none waits and there is memory for it; call this now and then."""
        with self._lock:
            if self._is_alive() or psutil.virtual_memory().available < self._free_bytes:
                return
            with suppress(OSError):  # then runs have processes of their own
                self._process = subprocess.Popen(
                    [*self._program, ARGUMENT],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    **new_process_group(),
                )
                if self._usual:
                    self._send(self._usual)

    def prepare(self, job: str, request: Mapping[str, Any]) -> None:
        """Have it, and those after it, load what a job needs.

        Args:
            job: the job's name.
            request: a short one of that job.
        """
        with self._lock:
            wanted = {"job": job, "request": dict(request)}
            if wanted != self._usual and self._is_alive():
                self._send(wanted)
            self._usual = wanted

    def take(self, folder: Path) -> "subprocess.Popen[bytes] | None":
        """The waiting process, now the worker of a run: in a session of its own, what it prints appended to the run's log.

        Returns:
            None where none waits.
        """
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return None
            is_sent = process.poll() is None and _write(process, {"run": str(folder)})
            assert process.stdin is not None
            with suppress(OSError):  # what a dead one did not read
                process.stdin.close()
            return process if is_sent else None

    def close(self) -> None:
        """End it."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def is_waiting(self) -> bool:
        """Whether there is one."""
        with self._lock:
            return self._is_alive()

    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _send(self, words: Mapping[str, Any]) -> None:
        assert self._process is not None
        _write(self._process, words)


def _write(process: "subprocess.Popen[bytes]", words: Mapping[str, Any]) -> bool:
    """Whether the process could still be told."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(words).encode() + b"\n")
        process.stdin.flush()
    except OSError:
        return False
    return True


def wait_for_run(load: Callable[[str, Mapping[str, Any]], None], program: tuple[str, ...]) -> Path:
    """Load what the keeper asks for until a run is named, on the waiting process's side; ends it where none is any more.

    What the process prints goes into the run's log from then on, and it reads nothing, as one that was started for the run.

    Args:
        load: loads what a job (by its name) needs for a request.
        program: the worker; where a model file came, changed or went meanwhile, the process begins anew as it, with nothing
            loaded.

    Returns:
        The run's folder.
    """
    loaded_from = _weights_state()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        if "run" not in order:
            load(order["job"], order["request"])
            continue
        folder = Path(order["run"])
        _print_into(folder / "log.txt")
        if _weights_state() != loaded_from:
            replace_process([*program, str(folder)], os.environ)
        return folder
    sys.exit(0)


def _print_into(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((log, 1), (log, 2), (nothing, 0)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)


def _weights_state() -> tuple[tuple[str, int, int], ...]:
    """Recognises the model files in facegen's home."""
    files = [path for path in sorted(weights_home().glob("[!.]*/**/*")) if path.is_file()]
    stats = [(path, path.stat()) for path in (*files, *sorted(weights_home().glob("*.json")))]
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)
