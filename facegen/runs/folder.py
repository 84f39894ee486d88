"""The files of a run folder: what was asked, how it stands, what was printed, and the lock."""

import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from facegen import config
from facegen.errors import InputError, ResourceError
from facegen.runs.process import RunStatus, held


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked of a run, and the commands that do it."""

    kind: str
    request: dict[str, Any]
    argv: tuple[str, ...] = ()
    resume_argv: tuple[str, ...] = ()
    created: float = 0.0


_RESULT = "result.json"


class RunFolder:
    """A run folder as files; `Run` adds what is done with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stats_written = 0.0

    @property
    def name(self) -> str:
        """The folder's name, by which people call the run."""
        return self.path.name

    @property
    def kind(self) -> str:
        """What work it is: «swap», «train»."""
        return self._asked().kind

    @property
    def request(self) -> dict[str, Any]:
        """What was asked."""
        return self._asked().request

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that does it; empty before the first start."""
        return self._asked().argv

    @property
    def resume_argv(self) -> tuple[str, ...]:
        """What `resume` runs where that is not `argv`; else empty."""
        return self._asked().resume_argv

    @property
    def created(self) -> float:
        """When it was asked, seconds since 1970."""
        return self._asked().created

    @property
    def results(self) -> Path:
        """The folder for what the run makes."""
        return self.path / "results"

    def size_bytes(self) -> int:
        """Bytes of all files in the folder; links are not followed."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_size
                except FileNotFoundError:
                    continue  # a temporary file of the running work
        return total

    def keep_result(self, result: dict[str, Any]) -> None:
        """Write what the work made of itself, plain JSON, before it ends: who sees the end finds this."""
        config.write_json(self.path / _RESULT, result)

    def result(self) -> dict[str, Any]:
        """What `keep_result` kept; empty where there is nothing yet."""
        file = self.path / _RESULT
        return config.read_json(file) if file.exists() else {}

    def log_tail(self, lines: int = 40) -> str:
        """The last lines of what the process printed; a progress line shows only as it stood last."""
        path = self.path / "log.txt"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 400 * lines))
            text = file.read().decode("utf-8", errors="replace")
        return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")[-lines - 1 :]).strip("\n")

    def stats(self) -> list[dict[str, Any]]:
        """All complete lines of stats.jsonl."""
        path = self.path / "stats.jsonl"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # after a crash the last line may be cut
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; the lock goes with the process, however that ends.

        Raises:
            InputError: another process holds it.
        """
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"Expected the run folder {self.path} to be free, found another process working in it; wait for it "
                    "or cancel it."
                ) from None
            yield
        finally:
            os.close(handle)

    def log_stats(self, **figures: Any) -> None:
        """Append one line of figures to stats.jsonl, with the time and this process's memory."""
        self._stats_written = time.time()
        line = {"time": round(self._stats_written, 3), "memory_bytes": psutil.Process().memory_info().rss, **figures}
        try:
            with (self.path / "stats.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise ResourceError(f"Cannot write {self.path}: {error.strerror}; free some space and resume.") from error

    def _asked(self) -> Request:
        return config.load(Request, self.path / "request.json")

    @property
    def _cancel_path(self) -> Path:
        return self.path / ".cancel"

    def _read_status(self) -> RunStatus:
        path = self.path / "status.json"
        if not path.exists():
            return RunStatus(state="queued", text="Not started yet.")
        try:
            return config.load(RunStatus, path)
        except InputError as error:
            # Damaged, or of a newer facegen: the run is still to be seen, and to be deleted.
            return RunStatus(state="failed", text=str(error))

    def _write_status(self, status: RunStatus) -> None:
        config.save(self.path / "status.json", dataclasses.replace(status, updated=time.time()))

    def _change(self, change: Callable[[RunStatus], RunStatus]) -> RunStatus:
        with held(self.path / ".status.lock"):
            old = self._read_status()
            new = change(old)
            if new != old or not (self.path / "status.json").exists():
                self._write_status(new)
            return new
