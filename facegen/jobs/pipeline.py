"""`Pipeline`: runs a job from request to result in a run folder; `Models`: what a process keeps loaded."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

from facegen.config import to_dict
from facegen.device import OUT_OF_MEMORY, is_out_of_memory
from facegen.errors import ResourceError
from facegen.inference.usage import watch_networks
from facegen.jobs.cluster import Cluster
from facegen.jobs.files import absolute
from facegen.jobs.job import Job, Result
from facegen.jobs.progress import OnProgress, Progress
from facegen.jobs.run import Run

Q = TypeVar("Q")
R = TypeVar("R", bound=Result)
T = TypeVar("T")


class Models:
    """What one process keeps loaded: each model and pipeline once, at its first use. Safe to use from several threads."""

    def __init__(self) -> None:
        self._loaded: dict[Any, Any] = {}
        self._lock = threading.RLock()
        self._used = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long nobody has asked for anything; 0 where nothing is loaded."""
        return time.monotonic() - self._used if self._loaded else 0.0

    def get(self, make: Callable[[], T], key: object = None) -> T:
        """What `make` makes, made once; `make` itself (a class, a function) is the key where no other is given."""
        with self._lock:
            key = make if key is None else key
            self._used = time.monotonic()
            if key not in self._loaded:
                self._loaded[key] = make()
            found: T = self._loaded[key]
            return found

    def pipeline(self, job: "Job[Q, R]") -> "Pipeline[Q, R]":
        """The loaded pipeline of a job, which takes its models from here."""
        with self._lock:
            return self.get(lambda: job.load_pipeline()(models=self), job.name)

    def is_loaded(self, key: object) -> bool:
        """Whether something was loaded under this key."""
        return key in self._loaded

    def renew(self) -> None:
        """Let everything be loaded anew at its next use: a model was trained, fetched or given back."""
        with self._lock:
            self._loaded.clear()


class Pipeline(ABC, Generic[Q, R]):
    """The one door of a job: `pipeline(request) -> result`. Models stay loaded between calls."""

    job: ClassVar[Job[Any, Any]]

    def __init__(
        self,
        *,
        models: Models | None = None,
        on_line: Callable[[str], None] = print,
        cluster: Cluster | None = None,
    ) -> None:
        """Make a pipeline; nothing is loaded yet.

        Args:
            models: where models come from and stay; its own where there is none.
            on_line: gets what the job prints, line by line.
            cluster: machines that share the work, for jobs that can be shared.
        """
        self.models = models or Models()
        self.on_line = on_line
        self.cluster = cluster

    def __call__(self, request: Q, run: Run | None = None, on_progress: OnProgress | None = None) -> R:
        """Do the job, or go on with one that was cut off.

        Args:
            request: what to do.
            run: the run folder to work in, kept. Where there is none, a new one is kept for a job that makes a model; else
                one that belongs to the request is used and removed at the end, and the same request finds it again after a
                crash.
            on_progress: called as the work goes on.

        Raises:
            InputError: the request cannot be done; the sentence says why.
            ResourceError: a place cannot be written, the disk is full, or another process works in the folder.
            Cancelled: somebody stopped the work; what was finished is kept in the run folder.
        """
        Progress(on_progress).report(0.0, "Checking the input")
        self.check(request)
        if run is None and self.job.is_run_kept:
            run = self.job.create_run(request)
        if run is None and self.job.key is None:
            return self._watched_work(request, None, Progress(on_progress))
        folder = run if run is not None else self.job.own_run(request)
        with folder.work():
            result = self._watched_work(request, folder, Progress(on_progress, folder))
            result = replace(result, run=str(folder.path))
            folder.keep_result(to_dict(absolute(result)))
            folder.last_text = result.summary
        if run is None:
            folder.delete()
            result = replace(result, run=None)
        return result

    def check(self, request: Q) -> None:
        """Refuse, before a run folder is made, what can be known to fail.

        Raises:
            InputError: the request cannot be done.
        """

    def _watched_work(self, request: Q, run: Run | None, progress: Progress) -> R:
        """Do the job; what networks of ONNX files ran on is printed, and a fall to the CPU is part of the result."""

        def tell(line: str) -> None:
            self.on_line(line)
            if run is not None:
                run.write_log(line)

        with watch_networks(tell) as usage:
            try:
                result = self.work(request, run, progress)
            except (RuntimeError, MemoryError) as error:
                if is_out_of_memory(error):
                    raise ResourceError(OUT_OF_MEMORY) from error
                raise
        return replace(result, notices=(*result.notices, *usage.notices)) if usage.notices else result

    def warm_up(self, request: Q) -> None:
        """Load the models that a request needs, by doing what is quick of it; what it takes to make them ready stays loaded."""

    def prepare(self, request: Q, progress: Progress) -> None:
        """Do what no card makes quicker and what is kept, so that `work` finds it done; called before a card is lent.

        Raises:
            InputError: the request cannot be done.
            Cancelled: somebody stopped the work.
        """

    @abstractmethod
    def work(self, request: Q, run: Run | None, progress: Progress) -> R:
        """Do the job.

        Args:
            request: what to do.
            run: the run folder that is held meanwhile; None only for a job without a key.
            progress: reports how far the work is.
        """
