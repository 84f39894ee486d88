"""`Run`: creates, starts, watches and cancels a run; its process locks the folder and writes the status."""

import dataclasses
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil

from facegen import config
from facegen.errors import Cancelled, FacegenError, InputError, OutOfTime, ResourceError
from facegen.jobs.folder import LOCK, RunFolder, RunRecord
from facegen.jobs.process import RunStatus, State, created_at, is_alive, is_waiting, launch, locked, stop
from facegen.jobs.progress import Pace
from facegen.jobs.spare import SpareWorker
from facegen.system import process_group

DIED = "The process ended without a word (killed, out of memory, or the machine restarted); resume goes on from there."
DISK_FULL = "The process ended as the disk is full; free some space, and resume goes on from there."
DISK_CLOSED = "The process ended as its disk cannot be written; open it again, and resume goes on from there."
WORKER = (sys.executable, "-m", "facegen.worker")
"""The program that a run is started with; the run's folder follows as its argument."""
STATS_SECONDS = 10.0
"""No more than this passes between two lines of stats.jsonl."""

_WRITE_SECONDS = 0.5
_FULL_BYTES = 1 << 20
"""With less of it free, a disk counts as full."""
_WAITS = "Waiting for its turn."

_watchers: dict[int | None, threading.Thread] = {}
"""By process group: the threads that wait for the processes that this one started."""
_unsaved: dict[Path, str] = {}
"""By run: why its process ended, where the disk did not take the words."""


def runs_home() -> Path:
    """The folder of all runs that were not given a place of their own."""
    return config.home() / "runs"


def _at_work(old: RunStatus, pid: int, text: str = "Starting.", group: int | None = None) -> RunStatus:
    """The status of a run that a process begins to work on, or goes on with."""
    began = created_at(pid)
    return RunStatus(state="running", progress=old.progress, text=text, pid=pid, process_created=began, group=group)


class Run(RunFolder):
    """One run. Make one with `create`, find one with `open`, `find_run` or `list_runs`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._pace = Pace()
        self._written = 0.0
        self.last_text = "Done."
        """The text of its status when `work` ends well."""
        self.deadline: float | None = None
        """By when the work has to give its place to others, on `time.monotonic`'s clock."""

    @classmethod
    def create(
        cls,
        kind: str,
        request: Mapping[str, Any],
        root: Path | None = None,
        *,
        path: Path | None = None,
        owner: str = "",
    ) -> "Run":
        """Make a new run folder below `root` (facegen's home by default), or exactly at `path`.

        Args:
            kind: name of the job, such as «swap» or «train».
            request: of the job, as plain JSON.
            root: the folder of all runs.
            path: the run folder itself, instead of a new name below `root`.
            owner: the visitor whose run it is.

        Raises:
            InputError: `path` already holds a run.
            ResourceError: the place cannot be written.
        """
        if path is None:
            path = (root or runs_home()) / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        if (path / "request.json").exists():
            raise InputError(f"Expected a free folder for a new run, found one in {path}; resume it or choose another.")
        run = cls(path.absolute())
        try:
            (path / "results").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(
                f"Cannot make the run folder {path}: {error.strerror}; choose another place."
            ) from error
        run._change(lambda _: RunStatus(state="queued", text="Not started yet."))
        record = RunRecord(kind=kind, request=dict(request), owner=owner, created=time.time())
        config.save(path / "request.json", record)
        return run

    @classmethod
    def open(cls, path: Path | str) -> "Run":
        """The run in an existing folder.

        Raises:
            InputError: the folder holds no run.
        """
        path = Path(path).absolute()
        if not (path / "request.json").is_file():
            raise InputError(f"Expected a run folder with a request.json, found none in {path}; see: facegen runs list")
        return cls(path)

    def enqueue(self) -> None:
        """Leave the start to `start_queued`, after those that wait already; one that waits keeps its turn.

        Raises:
            InputError: the run is running, is damaged, or an earlier facegen began it.
            ResourceError: the folder cannot be written.
        """
        self._check_startable()
        if not is_waiting(self._read_status()):
            self._change(lambda old: RunStatus(state="queued", progress=old.progress, text=_WAITS, is_enqueued=True))

    def start(self, spare: SpareWorker | None = None) -> None:
        """Run the request now, as a process of its own that outlives this one.

        Args:
            spare: whose waiting process works on it, where one waits.

        Raises:
            InputError: the run is already running, is damaged, or an earlier facegen began it.
            ResourceError: the program cannot be started.
        """
        self._check_startable()
        self._launch(spare)

    def resume(self) -> None:
        """Run the request again after a crash, a cancel or a restart; the job itself goes on from its journal.

        Raises:
            InputError: the run is running, or an earlier facegen began it.
            ResourceError: the program cannot be started.
        """
        self.start()

    def _check_startable(self) -> None:
        self.record()
        if not self.can_run:
            raise InputError(
                f"Expected a run with a request of this facegen, found {self.name} of an earlier one; begin it again."
            )
        if self.status().state == "running":
            raise InputError(f"Expected {self.name} to be at rest, found it running; cancel it first or wait.")

    def status(self) -> RunStatus:
        """How the run stands in truth; a «running» whose process is gone is corrected to «failed» on disk."""
        status = self._read_status()
        if status.state == "running" and not is_alive(status):
            if watcher := _watchers.get(status.group):
                watcher.join(timeout=5.0)  # it knows the exit code, which says more than that the process is gone
            try:
                status = self._change(self._dead_if_gone)
            except ResourceError:  # a full disk does not keep the status from being returned
                status = self._dead_if_gone(status)
        if status.state in ("queued", "done") and (damage := self.damage()):
            status = dataclasses.replace(status, state="failed", text=damage)
        return status

    def _dead_if_gone(self, now: RunStatus) -> RunStatus:
        """The status, failed if its process is gone."""
        if now.state != "running" or is_alive(now):
            return now
        return dataclasses.replace(now, state="failed", text=self._reason_of_death(), eta_seconds=None)

    def _reason_of_death(self) -> str:
        """Why a process may have ended that could not say so itself."""
        return _unsaved.get(self.path) or (DISK_FULL if self._is_disk_full() else DIED)

    def _is_disk_full(self) -> bool:
        try:
            return shutil.disk_usage(self.path).free < _FULL_BYTES
        except OSError:
            return False

    def cancel(self, grace_seconds: float = 10.0) -> RunStatus:
        """Stop the run, and wait until it has stopped.

        A run that was started as a process of its own gets SIGTERM as a group, and SIGKILL after the grace. Work done
        by a terminal's command or by the studio itself is requested to stop at its next `update`; its process, which is
        not ours alone, is never signalled. A run that has already ended stays as it is.

        Raises:
            ResourceError: the work did not stop within the grace and its process is not ours to kill.
        """
        before = self.status()
        if before.state == "running" and before.group is not None:
            stop(before, grace_seconds)
        elif before.state == "running" and not self._request_stop(grace_seconds):
            raise ResourceError(
                f"Requested {self.name} to stop, but process {before.pid} has not yet done so; wait, or end it by hand."
            )

        def cancelled(now: RunStatus) -> RunStatus:
            # The thread that waits for the process may have noted its violent end as a failure just before.
            if now.is_active or (before.state == "running" and now.state == "failed"):
                return dataclasses.replace(now, state="cancelled", text="Cancelled.", eta_seconds=None)
            return now

        return self._change(cancelled)

    def hold(self, text: str) -> None:
        """Note that this process will work on it, as `start` notes of another one.

        Raises:
            InputError: the run is running, is damaged, or an earlier facegen began it.
            ResourceError: the folder cannot be written.
        """
        self._check_startable()
        self._cancel_path.unlink(missing_ok=True)
        self._change(lambda old: _at_work(old, os.getpid(), text))

    def requeue(self, text: str) -> None:
        """Put a run that was at work, or whose process is gone, back into the queue; one that has ended stays as it is."""

        def waiting(now: RunStatus) -> RunStatus:
            if now.state != "running" and now.text != DIED:
                return now
            return RunStatus(state="queued", progress=now.progress, text=text, is_enqueued=True)

        self._change(waiting)

    @property
    def is_stop_requested(self) -> bool:
        """Whether somebody called `cancel` while it was at work."""
        return self._cancel_path.exists()

    def fail(self, text: str) -> None:
        """Note that the run could not even begin, and why."""
        self._change(lambda now: dataclasses.replace(now, state="failed", text=text, eta_seconds=None))

    def delete(self, root: Path | None = None) -> None:
        """Remove the folder with everything in it.

        Raises:
            InputError: the run is running, or the folder does not lie directly in `root` (facegen's home by default).
        """
        root = (root or runs_home()).resolve()
        if self.path.is_symlink() or self.path.resolve().parent != root:
            raise InputError(f"Expected a run directly in {root}, found {self.path}; delete that folder by hand.")
        with self.lock():
            if self.status().state == "running":
                raise InputError(f"Expected {self.name} to have ended, found it running; cancel it first.")
            for path in self.path.iterdir():
                if path.name != LOCK:  # Windows removes no file that is open
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        shutil.rmtree(self.path)

    @contextmanager
    def work(self) -> Iterator["Run"]:
        """Hold the folder and keep its status while the body works: running, then done, failed, cancelled, or waiting again.

        A heartbeat writes to stats.jsonl at least every ten seconds. Exceptions pass through after they were noted.

        Raises:
            InputError: another process holds the folder.
        """
        with self.lock():
            self._begin()
            stop = threading.Event()
            heart = threading.Thread(target=self._beat, args=(stop,), name="run-heartbeat", daemon=True)
            heart.start()
            try:
                yield self
            except (Cancelled, KeyboardInterrupt) as error:
                self.end("cancelled", str(error) or "Cancelled.")
                raise
            except OutOfTime as error:
                self.requeue(str(error))
                raise
            except FacegenError as error:
                self.end("failed", str(error))
                raise
            except BaseException as error:
                self.end("failed", f"{type(error).__name__}: {error}")
                raise
            else:
                self.end("done", self.last_text)
            finally:
                stop.set()
                heart.join()

    def write_log(self, line: str) -> None:
        """Append a line to log.txt, unless what this process prints goes there anyway."""
        path = self.path / "log.txt"
        try:
            if path.exists() and os.path.samestat(os.fstat(1), path.stat()):
                return
        except OSError:
            pass  # a process without standard output prints nowhere
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def update(self, progress: float, text: str, *, rate: str | None = None, **figures: Any) -> None:
        """Say how far the work is; cheap enough to be called for every frame, as it writes twice a second at most.

        The time left comes from the last half minute of progress.

        Args:
            progress: 0 to 1.
            text: what is being done, in a few words.
            rate: with its unit, such as «24.1 frames/s».
            figures: whatever else belongs into stats.jsonl (a loss, a count); JSON values.

        Raises:
            Cancelled: somebody called `cancel`.
            OutOfTime: it is past the `deadline`.
        """
        now = time.time()
        progress = min(max(progress, 0.0), 1.0)
        eta = self._pace.time_left(time.monotonic(), progress)
        if now - self._written >= _WRITE_SECONDS or progress >= 1.0:
            self._written = now
            if self.is_stop_requested:
                raise Cancelled("Cancelled.")
            if self.deadline is not None and time.monotonic() >= self.deadline:
                raise OutOfTime("Waiting for its next turn.")
            self._change(lambda old: dataclasses.replace(old, progress=progress, text=text, rate=rate, eta_seconds=eta))
        if figures or now - self._stats_written >= STATS_SECONDS:
            self.log_stats(progress=progress, rate=rate, eta_seconds=eta, **figures)

    def _launch(self, spare: SpareWorker | None) -> None:
        with self.lock():
            self._cancel_path.unlink(missing_ok=True)
        # The status is held until the process is on record, so that the process's own first word comes after ours.
        with locked(self.path / ".status.lock"):
            before = self._read_status()
            self._write_status(before)  # a full disk is met before there is a process
            waiting = spare.take(self.path) if spare is not None else None
            _unsaved.pop(self.path, None)
            process = waiting or launch((*WORKER, str(self.path)), self.path / "log.txt")
            started = _at_work(before, process.pid, group=process.pid)
            try:
                self._write_status(started)
            except ResourceError:
                stop(started, 0.0)  # nobody would know of it
                process.wait()
                raise
            watcher = threading.Thread(target=self._watch, args=(process,), name=f"watch-{self.name}", daemon=True)
            watcher.start()
            _watchers[process.pid] = watcher

    def _watch(self, process: "Popen[bytes]") -> None:
        """Wait for a process that this one started, and note its end where it did not do so itself."""
        code = process.wait()

        def ended(now: RunStatus) -> RunStatus:
            if now.state != "running" or now.group != process.pid:
                return now
            if code == 0:
                return dataclasses.replace(now, state="done", progress=1.0, text="Done.", eta_seconds=None)
            if code < 0:
                return dataclasses.replace(now, state="failed", text=self._reason_of_death(), eta_seconds=None)
            words = self.log_tail(1) or f"The process ended with exit code {code}; see the log."
            return dataclasses.replace(now, state="failed", text=words, eta_seconds=None)

        try:
            if self.path.exists():
                self._change(ended)
        except ResourceError:  # `status` says it, and saves it once the disk takes it
            _unsaved[self.path] = DISK_FULL if self._is_disk_full() else DISK_CLOSED
        finally:
            _watchers.pop(process.pid, None)

    def _begin(self) -> None:
        above = {process_group(), *(parent.pid for parent in psutil.Process().parents())}

        def running(old: RunStatus) -> RunStatus:
            # Only the group that `start` made is the run's own; that of a terminal or of a script is not.
            return _at_work(old, os.getpid(), group=old.group if old.group in above else None)

        self._cancel_path.unlink(missing_ok=True)
        self.log_stats(progress=self._change(running).progress)

    def end(self, state: State, text: str) -> None:
        """Note how the work on it ended."""
        self._change(
            lambda now: dataclasses.replace(
                now, state=state, text=text, eta_seconds=None, progress=1.0 if state == "done" else now.progress
            )
        )

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(STATS_SECONDS / 2):
            if time.time() - self._stats_written >= STATS_SECONDS / 2:
                status = self._read_status()
                try:
                    self.log_stats(progress=status.progress, rate=status.rate, eta_seconds=status.eta_seconds)
                except ResourceError:
                    continue  # the work itself will meet the full disk, and end with the reason

    def _request_stop(self, grace_seconds: float) -> bool:
        """Ask the working process to stop at its next update; True once it has."""
        self._cancel_path.touch()
        deadline = time.monotonic() + grace_seconds
        while self.status().state == "running":
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True
