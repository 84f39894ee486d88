"""`Services`: what the tabs share: admission of requests, loaded models, queue and runs, visitors' folders.

Nothing here belongs to a visitor: what does is keyed by the visitor's token, lies in the visitor's own folder, or
stands in the request of the visitor's run.
"""

import asyncio
import dataclasses
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from facegen import guarded
from facegen.catalog import find_job
from facegen.config import home
from facegen.device import return_memory
from facegen.errors import FacegenError, InputError
from facegen.jobs import Job, Result, Run, RunStatus, find_run, list_runs, runs_home, start_queued
from facegen.jobs.files import PICTURE_SUFFIXES as PICTURE_SUFFIXES
from facegen.jobs.files import VIDEO_SUFFIXES as VIDEO_SUFFIXES
from facegen.jobs.files import Role, map_paths, paths
from facegen.jobs.pipeline import Models
from facegen.jobs.process import is_waiting
from facegen.jobs.run import WORKER
from facegen.jobs.spare import SpareWorker
from facegen.media import apart
from facegen.swap.jobs import SWAP
from facegen.system import link_or_copy
from facegen.ui import zero_gpu
from facegen.ui.accounts import Audit
from facegen.ui.downloads import Downloads
from facegen.ui.examples import FILES, FIRST_SWAP, Examples, example_request
from facegen.ui.profile import Profile, check_load, check_size, label_results
from facegen.ui.trials import Trials
from facegen.ui.turns import Turns
from facegen.ui.visitors import Visitor as Visitor
from facegen.worker import SHARED

if TYPE_CHECKING:
    from facegen.swap import SwapPipeline
    from facegen.ui.gpu_runs import GpuRuns

Q = TypeVar("Q")
R = TypeVar("R", bound=Result)
_NOT_IN_BROWSERS = (".heic", ".heif", ".tif", ".tiff")
_DATA = re.compile(r"[0-9a-f]{24}-[0-9a-f]+")
"""Names of folders with a visitor's data."""
_QUEUE_SECONDS = 1.0
_WATCH_SECONDS = 0.4
_DELETION_SECONDS = 600.0
_END_SECONDS = 40.0
"""How long a run that a container ends may take to save itself; compose.yaml leaves a minute in all."""


@dataclass(frozen=True, kw_only=True)
class _StartedRun:
    """What a visitor asked for, as it was asked: the run itself names the copies of its files."""

    mark: str
    job: str
    request: object
    run: Run

    def is_for(self, visitor: Visitor, job: Job[Q, R], request: object) -> bool:
        return (self.mark, self.job, self.request) == (visitor.mark, job.name, request)


class Services:
    """The backends of one studio."""

    def __init__(self, settings: Profile | None = None) -> None:
        self.settings = settings or Profile()
        self.folder = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.mkdtemp(prefix="facegen-studio-")).absolute()
        self.examples = Examples(self.folder / "examples")
        self.models = Models()
        """What the studio keeps loaded for previews and slider faces; it holds nothing of a visitor."""
        self._spare = SpareWorker(WORKER)
        self._gpu_runs = self._make_gpu_runs()
        self.downloads = Downloads(self.models.renew)
        self._closing = threading.Event()
        self._next_deletion = 0.0
        self._started: list[_StartedRun] = []
        self._audit = Audit(home() / "audit.jsonl")
        self._visits: Counter[str] = Counter()
        self.trials = Trials(is_held=self.settings.shared)
        self._turns = Turns(self.settings.runs_at_once)
        self._begins = threading.Lock()

    def _make_gpu_runs(self) -> "GpuRuns | None":
        if not zero_gpu.is_zero_gpu():
            return None
        from facegen.ui.gpu_runs import GpuRuns

        return GpuRuns(self.models, self._start_on_cpu)

    def decode_apart(self) -> None:
        """In a shared studio and its runs, decode the files of visitors in processes with limits from now on."""
        if self.settings.shared:
            os.environ[SHARED] = "1"
            guarded.fork_from("facegen.media.trial", "facegen.provenance.report")
            apart.decode_apart(self._is_foreign)

    # -- the queue ---------------------------------------------------------------------------------------------------

    def keep_queue(self) -> None:
        """Start queued runs one after another from now on, also those of an earlier studio."""
        threading.Thread(target=self._keep_queue, name="studio-queue", daemon=True).start()

    def _keep_queue(self) -> None:
        while not self._closing.wait(_QUEUE_SECONDS):
            try:
                self.start_next()
                self._keep_spare()
                self._unload_idle()
                self._delete_old()
            except FacegenError:
                continue  # a full disk: those that wait go on waiting
            except Exception:
                traceback.print_exc()  # a bug is to be seen, and must not end the turns of all others

    def _keep_spare(self) -> None:
        """Keep a process waiting for the next run, unless it would take the time of the one that works."""
        if not self.settings.spare_worker or self._spare.is_waiting():
            return
        active = [status for status in (run.status() for run in list_runs()) if status.is_active]
        if not active or any(status.state == "queued" for status in active):
            self._spare.keep()

    def _unload_idle(self) -> None:
        """Give the memory of models back that nobody has used for as long as the profile says."""
        apart.close_idle()
        minutes = self.settings.unload_minutes
        if minutes and self.models.idle_seconds > minutes * 60:
            self.models.renew()
            return_memory()

    def _delete_old(self) -> None:
        """Delete the runs of visitors that ended longer ago than the profile keeps them."""
        hours = self.settings.keep_hours
        if not hours or time.monotonic() < self._next_deletion:
            return
        self._next_deletion = time.monotonic() + _DELETION_SECONDS
        for run in list_runs():
            status = run.status()
            if run.owner and not status.is_active and time.time() - status.updated > hours * 3600:
                with suppress(InputError):  # it was taken up again just now
                    run.delete()
        self._delete_old_data(hours * 3600)

    def _delete_old_data(self, seconds: float) -> None:
        """Delete data of visitors that no run needs, also of those whose visit a killed studio never ended."""
        used = json.dumps([run.request for run in list_runs()])
        for folder in (home() / "data").glob("*-*"):
            is_visitors = _DATA.fullmatch(folder.name) is not None
            if is_visitors and folder.name not in used and time.time() - folder.stat().st_mtime > seconds:
                shutil.rmtree(folder, ignore_errors=True)

    def start(self, visitor: Visitor, job: Job[Q, R], request: Q) -> Run:
        """Put a request into the queue as a run of its own; its files stay with the run, so that it can be resumed later.

        Raises:
            InputError: a file of it is missing, it is beyond the limits of the studio's profile, or a run of the same request
                waits or works already (a button was pressed twice).
        """
        request = label_results(self.settings, self.admit(visitor, request))
        with self._begins:
            self._started = [started for started in self._started if started.run.status().is_active]
            for started in self._started:
                if started.is_for(visitor, job, request):
                    raise InputError(
                        f"Expected something new to do, found this at work already as {started.run.name}; wait for it, or "
                        "cancel it first."
                    )
            active = [run for run in list_runs() if run.status().is_active] if self.settings.limits() else []
            check_load(self.settings, sum(run.owner == visitor.mark for run in active), len(active))
            run = job.create_run(request, owner=visitor.mark, is_staged=True)
            run.enqueue()
            if self.settings.shared:
                self._audit.write(who=visitor.mark, job=job.name, run=run.name, needs_consent=bool(job.consent))
            if self._gpu_runs is not None:
                self._gpu_runs.remember_visitor(run)
            self._started.append(_StartedRun(mark=visitor.mark, job=job.name, request=request, run=run))
        self.start_next()
        return run

    def admit(self, visitor: Visitor, request: Q) -> Q:
        """The request of one who shares the studio with others, with paths of nothing but what is the visitor's own.

        Every request that comes in passes here before it is looked at. A model is named by one of the visitor's runs (or by
        a name of facegen's own, which is no path); files are uploads, examples, or lie in the visitor's own folders.

        Raises:
            InputError: it names something else (the sentence does not tell whether that exists), or a clip beyond the limits.
        """
        if not self.settings.shared:
            check_size(self.settings, request)
            return request

        def own(path: str, role: Role) -> str:
            if "\0" in path:
                raise InputError("Expected the name of a file or run, found a zero character in it; write it anew.")
            if role == "model":
                place = Path(path).resolve() if "/" in path else runs_home() / path
                is_run = place.parent == runs_home().resolve() or "/" not in path
                return str(self.run(visitor, place.name if is_run else path).path)
            if not self.owns(visitor, Path(path).resolve()):
                raise InputError(f"Expected a file of yours, found {Path(path).name!r}; upload it first.")
            return path

        request = map_paths(request, own)
        for path in paths(request):
            self.trials.check(path)
        check_size(self.settings, request)
        return request

    def _is_foreign(self, path: Path) -> bool:
        """Whether a file came from outside, as all do but facegen's own examples."""
        return not any(path.is_relative_to(folder) for folder in (FILES, self.examples.folder.resolve()))

    def owns(self, visitor: Visitor, path: Path) -> bool:
        """Whether a file or folder, without links in its path, is an upload, an example, or in a folder of the visitor's."""
        temporary, visitors = self.folder.resolve(), self.folder.resolve() / "visitors"
        own = [visitors / visitor.mark, home().resolve() / "facesets" / visitor.mark]
        data = home().resolve() / "data"
        own += [*data.glob(f"{visitor.mark}-*"), *data.glob("examples-*"), FILES]
        own += [run.path.resolve() for run in self.runs(visitor)]
        is_upload = path.is_relative_to(temporary) and path != temporary and not path.is_relative_to(visitors)
        return is_upload or any(path.is_relative_to(folder) for folder in own)

    def start_next(self) -> None:
        """Start the run that waits longest now, if nothing else is running."""
        start = self._start_on_cpu if self._gpu_runs is None else self._gpu_runs.start
        start_queued(at_once=self.settings.runs_at_once, start=start)

    def _start_on_cpu(self, run: Run) -> None:
        run.start(self._spare)

    def resume(self, run: Run) -> None:
        """Let a run that was cut off wait for its turn again, after those that wait already.

        Raises:
            InputError: it is running, is damaged, or an earlier facegen began it.
        """
        if self._gpu_runs is not None:
            self._gpu_runs.remember_visitor(run)
        run.enqueue()
        self.start_next()

    def results(self, run: Run) -> list[Path]:
        """The files that a run made for people: those in its results, or where a command line had them written."""
        made = {path for path in run.results.iterdir() if path.is_file()}
        with suppress(InputError):  # a result of another version
            made |= {output} if (output := self.output(run)) is not None else set()
        return sorted(made)

    def output(self, run: Run) -> Path | None:
        """The file that a finished run made, if it is there."""
        result = find_job(run.kind).read_result(run) if run.can_run else None
        made = [Path(path) for path in paths(result, "output")] if result is not None else []
        return made[0] if made and made[0].is_file() else None

    def close(self) -> None:
        """Stop serving; runs go on, or with FACEGEN_END_RUNS=1, as in a container, save themselves for the next start."""
        self._closing.set()
        if os.environ.get("FACEGEN_END_RUNS") == "1":
            self._end_runs()
        self._spare.close()
        self.downloads.close()
        apart.decode_apart(None)
        guarded.fork_from()
        os.environ.pop(SHARED, None)

    def _end_runs(self) -> None:
        def end(run: Run) -> None:
            with suppress(FacegenError):
                run.cancel(_END_SECONDS)
                run.enqueue()

        running = [run for run in list_runs() if run.status().state == "running" and run.status().group is not None]
        ending = [threading.Thread(target=end, args=(run,)) for run in running]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()

    # -- visitors ----------------------------------------------------------------------------------------------------

    def visitor_folder(self, visitor: Visitor) -> Path:
        """The visitor's own temporary folder."""
        folder = self.folder / "visitors" / visitor.mark
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def data_folder(self, visitor: Visitor, upload: Sequence[str] = ()) -> Path:
        """A folder for the visitor's data that a run needs for longer than the visit: a new one, or that of an upload."""
        stamps = [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in upload]
        name = hashlib.sha256(repr(stamps).encode()).hexdigest()[:12] if upload else secrets.token_hex(4)
        return home() / "data" / f"{visitor.mark}-{name}"

    def remove_unused_data(self, visitor: Visitor) -> None:
        """Remove the visitor's data that no run needs."""
        used = json.dumps([run.request for run in list_runs() if run.owner == visitor.mark])
        for folder in (home() / "data").glob(f"{visitor.mark}-*"):
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)

    def begin_visit(self, visitor: Visitor) -> None:
        """Count a visit of somebody who may have the page open more than once."""
        self._visits[visitor.mark] += 1

    def end_visit(self, visitor: Visitor) -> None:
        """Remove what a visit left behind once the visitor's last page is closed; runs stay."""
        self._visits[visitor.mark] -= 1
        if self._visits[visitor.mark] > 0:
            return
        del self._visits[visitor.mark]
        shutil.rmtree(self.folder / "visitors" / visitor.mark, ignore_errors=True)
        self.remove_unused_data(visitor)

    def delete_everything(self, visitor: Visitor) -> None:
        """Cancel and delete all that is the visitor's: runs, uploads kept for them, facesets."""
        own = [run for run in list_runs() if run.owner == visitor.mark]
        for run in own:
            run.cancel()
            run.delete()
        shutil.rmtree(self.folder / "visitors" / visitor.mark, ignore_errors=True)
        shutil.rmtree(home() / "facesets" / visitor.mark, ignore_errors=True)
        self.remove_unused_data(visitor)

    def publish(self, visitor: Visitor, path: Path) -> str:
        """Make a result readable for the visitor's browser, which is shown temporary files and nothing else."""
        digest = hashlib.sha256(f"{path} {path.stat().st_mtime_ns}".encode()).hexdigest()[:16]
        shown = self.visitor_folder(visitor) / digest / path.name
        if not shown.exists():
            shown.parent.mkdir(exist_ok=True)
            link_or_copy(path, shown)
        return str(shown)

    def browser_picture(self, visitor: Visitor, path: str) -> str:
        """A picture as every browser shows it: itself, or a JPEG of the same size in the visitor's folder for HEIC and TIFF.

        Raises:
            InputError: it cannot be read.
        """
        if not path.lower().endswith(_NOT_IN_BROWSERS):
            return path
        from facegen import media

        digest = hashlib.sha256(f"{path} {os.stat(path).st_mtime_ns}".encode()).hexdigest()[:16]
        shown = self.visitor_folder(visitor) / digest / f"{Path(path).stem}.jpg"
        if not shown.exists():
            shown.parent.mkdir(exist_ok=True)
            media.write_picture(shown, media.read_picture(path))
        return str(shown)

    # -- runs --------------------------------------------------------------------------------------------------------

    def runs(self, visitor: Visitor) -> list[Run]:
        """The runs that the visitor may see, newest first."""
        return [run for run in list_runs() if self._may_see(visitor, run)]

    def run(self, visitor: Visitor, name: str) -> Run:
        """One of the visitor's runs.

        Raises:
            InputError: there is none of that name, or it is somebody else's (the sentence does not tell which).
        """
        run = find_run(name or "")
        if not self._may_see(visitor, run):
            raise InputError(f"Expected the name of one of your runs, found {name!r}; choose one from the list.")
        return run

    def _may_see(self, visitor: Visitor, run: Run) -> bool:
        return not self.settings.shared or run.owner == visitor.mark

    async def watch(self, run: Run) -> AsyncIterator[RunStatus]:
        """How a run stands, whenever that changed, until it has ended."""
        last: RunStatus | None = None
        while last is None or last.is_active:
            status = run.status()
            if is_waiting(status) and (words := self._turns.describe(run)):
                status = dataclasses.replace(status, text=words)
            if status != last:
                yield status
            last = status
            await asyncio.sleep(_WATCH_SECONDS if status.is_active else 0)

    # -- models and swaps --------------------------------------------------------------------------------------------

    def pipeline(self) -> "SwapPipeline":
        """The swap pipeline for previews."""
        pipeline = self.models.pipeline(SWAP)
        return cast("SwapPipeline", pipeline)

    def open_tab(self, tab: str) -> None:
        """Have the next worker load what a tab's runs need; a page calls this when the tab is seen."""
        if usual := example_request(tab):
            self._spare.prepare(*usual)

    def warm_up(self) -> None:
        """Load what previews of swaps need, in the background; a page calls this when it is there or a target is chosen."""
        if not self.models.is_loaded(SWAP.name):
            threading.Thread(target=self._load, name="studio-warm-up", daemon=True).start()

    def _load(self) -> None:
        self.pipeline().warm_up(FIRST_SWAP)
