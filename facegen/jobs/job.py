"""`Job`: the declaration of a job: request and result types, pipeline, run folder.

Each room declares its jobs in `jobs.py`, without loading torch; `facegen.catalog.JOBS` lists them all. The command line,
the tabs and the named endpoints are built from the declaration; `request.json` of a run is the request, and nothing else is
needed to run, resume or show it.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from facegen.config import from_dict, to_dict
from facegen.errors import InputError
from facegen.jobs.files import absolute, stage
from facegen.jobs.run import Run, runs_home

if TYPE_CHECKING:
    from facegen.jobs.pipeline import Pipeline

Q = TypeVar("Q")
R = TypeVar("R", bound="Result")


def count_text(count: int, thing: str) -> str:
    """«1 frame», «2 frames»."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What every job returns; kept as `result.json` in its run. Fields that name files say so as a request's do."""

    notices: tuple[str, ...] = ()
    """What the user should know, a sentence each."""
    run: str | None = None
    """The run folder, where it was kept."""

    @property
    def summary(self) -> str:
        """What was done, in a sentence without paths."""
        return "Done."


@dataclass(frozen=True, kw_only=True)
class Job(Generic[Q, R]):
    """One kind of work that the studio does."""

    name: str
    """What its runs are called: «swap», «swap-train»."""
    command: str
    """How it is typed after `facegen`: «swap», «swap train»."""
    summary: str
    """What it does, in one sentence."""
    request: type[Q]
    """A frozen dataclass; goes to JSON and back without loss."""
    result: type[R]
    """A frozen dataclass."""
    pipeline: str
    """The class (or a function that makes one) which runs it, as «module:Class»; loaded when it is needed."""
    result_name: Callable[[Q], str] = lambda _request: "result"
    """Name of the output inside the run's results, where the request names none."""
    subject: str = ""
    """The field of the request by which people recognise the run: «target»."""
    key: Callable[[Q], str] | None = None
    """Recognises a request, so that the same one goes on where it was cut off; None where nothing can go on."""
    is_run_kept: bool = False
    """Whether its run stays where none was named, as it holds what was made."""
    consent: str = ""
    """What the user has to agree to; empty where nobody's face or voice is used."""
    example: str = ""
    """A command line, for help and docs."""
    old_names: tuple[str, ...] = ()
    """What its runs were called by an earlier facegen."""

    def load_pipeline(self) -> "Callable[..., Pipeline[Q, R]]":
        """What makes the job's pipeline; imports what it needs, torch among it."""
        module, _, name = self.pipeline.partition(":")
        loaded: Callable[..., Pipeline[Q, R]] = getattr(importlib.import_module(module), name)
        return loaded

    def read_request(self, run: Run) -> Q:
        """The request of a run.

        Raises:
            InputError: it was written by another version, or does not fit.
        """
        return from_dict(self.request, run.record().request)

    def read_result(self, run: Run) -> R | None:
        """The result of a run, once there is one."""
        found = run.result()
        return from_dict(self.result, found) if found else None

    def create_run(self, request: Q, *, path: Path | None = None, owner: str = "", is_staged: bool = False) -> Run:
        """A new run folder for a request.

        Args:
            request: what is to be done.
            path: the folder; a new one among all runs where there is none.
            owner: the visitor whose run it is.
            is_staged: keep the input files in the run, and write the output into its results where the request names none.

        Raises:
            InputError: `path` holds a run already, or an input file is missing.
            ResourceError: the place cannot be written.
        """
        run = Run.create(self.name, {}, path=path, owner=owner)
        if is_staged:
            request = stage(request, run.path / "inputs", run.results / self.result_name(request))
        run.keep_request(to_dict(absolute(request)))
        return run

    def open_run(self, request: Q, path: Path) -> Run:
        """The run at `path` with this request: made, or taken up again.

        Raises:
            InputError: the folder holds a run of another job, or another process works in it.
        """
        if not (path / "request.json").exists():
            return self.create_run(request, path=path)
        run = Run.open(path)
        if run.kind not in (self.name, *self.old_names):
            raise InputError(
                f"Expected a run of {self.name} in {path}, found one of {run.kind}; choose another folder."
            )
        with run.lock():
            run.keep_request(to_dict(absolute(request)))
        return run

    def own_run(self, request: Q) -> Run:
        """The run folder that belongs to this request and to no other, found again after a crash."""
        assert self.key is not None
        return self.open_run(request, runs_home() / f"{self.name}-{self.key(request)[:16]}")

    def describe(self, request: Mapping[str, Any]) -> str:
        """What a run is about, in a few words: the job's name and its subject.

        Args:
            request: as `Run.request` has it, of any version.
        """
        about = request.get(self.subject) or ""
        about = about[0] if isinstance(about, (list, tuple)) and about else about
        return f"{self.name} {Path(str(about)).name if about else ''}".strip()
