"""The files of a run folder: its request, its status, what was printed, and the lock."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil

from facegen import config
from facegen.errors import InputError, ResourceError
from facegen.jobs.cache import size_bytes
from facegen.jobs.process import LATEST, RunStatus, locked, opening
from facegen.json_file import JsonLines, read_object
from facegen.system import lock_file


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What `request.json` holds."""

    FORMAT: ClassVar[int] = 2

    kind: str
    """Name of the job."""
    request: dict[str, Any]
    """The job's request as plain JSON: enough to run it, and what `resume` runs."""
    owner: str = ""
    """The visitor whose run it is; empty where a person's own command line or program began it."""
    created: float = field(default=0.0, metadata={"min": 0.0, "max": LATEST})
    """Seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class StatsLine:
    """What a line of `stats.jsonl` holds, beside the figures of its job."""

    time: float
    """Seconds since 1970."""
    memory_bytes: int
    """Of the process that works."""
    progress: float = 0.0
    """0 to 1."""


DAMAGED = "damaged"
"""The kind of a run whose request cannot be read."""
REQUEST = "request.json"
LOCK = ".lock"
_RESULT = "result.json"
_LINE_BYTES = 4096


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
        """Name of the job: «swap», «train»; «damaged» where request.json cannot be read."""
        return self._record_or_none().kind

    @property
    def request(self) -> dict[str, Any]:
        """The request as plain JSON; empty where it cannot be read."""
        return self._record_or_none().request

    @property
    def owner(self) -> str:
        """The visitor whose run it is, or nothing."""
        return self._record_or_none().owner

    @property
    def created(self) -> float:
        """When it was made, seconds since 1970."""
        return self._record_or_none().created

    @property
    def can_run(self) -> bool:
        """Whether its request can be run; not that of a damaged folder, nor of one that an earlier facegen began."""
        try:
            return "argv" not in read_object(self.path / REQUEST)
        except InputError:
            return False

    @property
    def results(self) -> Path:
        """The folder for what the run makes."""
        return self.path / "results"

    def size_bytes(self) -> int:
        """Bytes of all files in the folder; links are not followed."""
        return size_bytes(self.path)

    def keep_request(self, request: dict[str, Any]) -> None:
        """Write what the run is to do, plain JSON, in place of what stood there."""
        config.save(self.path / REQUEST, dataclasses.replace(self.record(), request=request))

    def keep_result(self, result: dict[str, Any]) -> None:
        """Write the job's result, plain JSON, before the run ends: whoever sees the end finds it."""
        config.write_json(self.path / _RESULT, result)

    def result(self) -> dict[str, Any]:
        """What `keep_result` kept; empty where there is nothing yet.

        Raises:
            InputError: it is damaged.
        """
        return read_object(self.path / _RESULT, is_optional=True)

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
        """All whole lines of stats.jsonl."""
        return self.read_stats().rows

    @property
    def began(self) -> float | None:
        """When its work began, seconds since 1970, as the first line of stats.jsonl says; None before."""
        try:
            with (self.path / "stats.jsonl").open("rb") as file:
                return float(json.loads(file.readline(_LINE_BYTES))["time"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read_stats(self) -> JsonLines:
        """All whole lines of stats.jsonl, and how many damaged ones were skipped."""
        return config.load_lines(StatsLine, self.path / "stats.jsonl")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; the lock goes with the process, however that ends.

        Raises:
            InputError: another process holds it.
            ResourceError: the folder cannot be written.
        """
        with opening(self.path / ".lock"):
            try:
                release = lock_file(self.path / LOCK, waits=False)
            except BlockingIOError:
                raise InputError(
                    f"Expected the run folder {self.path} to be free, found another process working in it; wait for it "
                    "or cancel it."
                ) from None
        try:
            yield
        finally:
            release()

    def log_stats(self, **figures: Any) -> None:
        """Append one line of figures to stats.jsonl, with the time and this process's memory."""
        self._stats_written = time.time()
        line = {"time": round(self._stats_written, 3), "memory_bytes": psutil.Process().memory_info().rss, **figures}
        try:
            with (self.path / "stats.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise ResourceError(f"Cannot write {self.path}: {error.strerror}; free some space and resume.") from error

    def record(self) -> RunRecord:
        """What request.json holds.

        Raises:
            InputError: it is missing or damaged, or of a newer facegen.
        """
        path = self.path / REQUEST
        data = read_object(path)
        if "argv" in data and isinstance(data.get("request"), dict):
            # written before jobs were declared: it can be listed and deleted
            data = {key: value for key, value in data.items() if key not in ("argv", "resume_argv")}
            data["owner"] = str(data["request"].get("visitor", ""))
        try:
            return config.from_dict(RunRecord, data)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def damage(self) -> str:
        """What is wrong with request.json, in a sentence; empty where it can be read."""
        try:
            self.record()
        except InputError as error:
            return str(error)
        return ""

    def _record_or_none(self) -> RunRecord:
        """What request.json holds, or a record of a damaged run, which can be seen and deleted, and nothing else."""
        try:
            return self.record()
        except InputError:
            try:
                return RunRecord(kind=DAMAGED, request={}, created=self.path.stat().st_mtime)
            except OSError:  # deleted in the meantime
                return RunRecord(kind=DAMAGED, request={})

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
        with locked(self.path / ".status.lock"):
            old = self._read_status()
            new = change(old)
            if new != old or not (self.path / "status.json").exists():
                self._write_status(new)
            return new
