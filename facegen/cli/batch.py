"""Several files for one command: `--target A --target B`, or a folder; their outputs by a pattern, one after another.

Models stay loaded from file to file. With `--summary FILE` the same command resumes: files that it lists as done, whose
request and content have not changed and whose results exist, are skipped.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from facegen.cli.command import RunOptions, load_pipeline, progress_bar, report, run_job
from facegen.cli.consent import ask_consent
from facegen.errors import FacegenError, InputError, ResourceError
from facegen.jobs import Job, OnProgress
from facegen.jobs.batch import (
    PLACEHOLDERS,
    BatchRow,
    check_outputs,
    is_folder_name,
    name_output,
    read_done,
    run_batch,
    write_summary,
)
from facegen.jobs.files import paths
from facegen.jobs.job import Result

if TYPE_CHECKING:
    from facegen.jobs.pipeline import Pipeline

MAX_PARALLEL = 16
"""InputFiles of a cluster that are in work at a time; what is known of each is kept in memory."""
Q = TypeVar("Q")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True, kw_only=True)
class InputFiles:
    """Input files of a command, and where its results go."""

    files: Sequence[str]
    arguments: Sequence[str]
    """The arguments of the command: the files, or folders of them."""
    source: str
    """Name of the source, for names of results."""
    output: str
    """A file; for several a folder or a pattern."""

    @property
    def are_many(self) -> bool:
        """Whether a folder or several files were given."""
        return list(self.files) != list(self.arguments) or len(self.files) > 1


def run_files(job: Job[Q, R], files: InputFiles, make: Callable[[str, str], Q], run_options: RunOptions) -> None:
    """Runs a job on one file or on several.

    Args:
        job: the job.
        files: its input files.
        make: makes a request of a file and its output.
        run_options: options of the run.

    Raises:
        InputError: the outputs overwrite each other, or nothing could be done at all.
    """
    if not files.are_many:
        (file,) = files.files
        default = job.result_name(make(file, files.output)) if "{suffix}" in files.output else ""
        output = name_output(files.output, file=file, source=files.source, number=1, default=default)
        run_job(job, make(file, output), run_options)
        return
    if run_options.run is not None:
        raise InputError("Expected no --run for several files, found one; leave it out, each has a run of its own.")
    requests = _requests(job, files, make)
    ask_consent(job, run_options.consent, (path for _, _, request in requests for path in paths(request)))
    finished = read_done(run_options.summary) if run_options.summary is not None else {}
    rows = [BatchRow(file=file, output=output) for file, output, _ in requests]
    if run_options.summary is not None:
        rows = [_row(job, row, request, finished) for row, (_, _, request) in zip(rows, requests, strict=True)]

    def write_rows(current: list[BatchRow]) -> None:
        if run_options.summary is not None:
            write_summary(run_options.summary, current)

    write_rows(rows)
    with load_pipeline(job, run_options) as pipeline, progress_bar() as on_progress:
        work = _make_worker(job, pipeline, requests, run_options)
        parallel = min(MAX_PARALLEL, pipeline.cluster.cores) if pipeline.cluster is not None else 1
        rows = run_batch(
            rows,
            lambda index: work(index, on_progress),
            retries=run_options.retries,
            at_once=parallel,
            on_change=write_rows,
        )
    for row in rows:
        if row.state != "done" and run_options.as_json:
            typer.echo(json.dumps({"file": row.file, "state": row.state, "text": row.text}, ensure_ascii=False))
        elif row.state != "done":
            typer.echo(f"{row.state.capitalize()} {row.file}: {row.text}", err=True)
    failed = sum(row.state != "done" for row in rows)
    typer.echo(f"{len(rows) - failed} of {len(rows)} files done.", err=True)
    if failed:
        raise typer.Exit(2)


def _requests(
    job: Job[Q, R], files: InputFiles, make: Callable[[str, str], Q]
) -> list[tuple[str, str, Q | FacegenError]]:
    """Each file with its output and its request, or with its error."""
    is_folder = is_folder_name(files.output)
    if not is_folder and not any(part in files.output for part in ("{stem}", "{number}")):
        raise InputError(
            f"Expected a folder or a pattern with {PLACEHOLDERS} as output of {len(files.files)} files, found "
            f"{files.output!r}; write for example {{stem}}-{{source}}{Path(files.output).suffix}."
        )
    requests: list[tuple[str, str, Q | FacegenError]] = []
    for number, file in enumerate(files.files, 1):
        output = ""
        try:
            default = job.result_name(make(file, files.output))
            pattern = str(Path(files.output) / default) if is_folder else files.output
            output = name_output(pattern, file=file, source=files.source, number=number, default=default)
            requests.append((file, output, make(file, output)))
        except FacegenError as error:
            requests.append((file, output, error))
    check_outputs(files.files, [output for _, output, _ in requests if output])
    return requests


def _row(job: Job[Q, R], row: BatchRow, request: Q | FacegenError, finished: Mapping[str, str]) -> BatchRow:
    """The row with the key of its request; done if an earlier command finished the same request."""
    key = ""
    if not isinstance(request, FacegenError) and job.key is not None:
        with suppress(FacegenError, OSError):  # the job reports what is wrong with the file
            key = job.key(request)
    if key in finished:
        return replace(row, key=key, state="done", text=finished[key])
    return replace(row, key=key)


def _make_worker(
    job: Job[Q, R],
    pipeline: "Pipeline[Q, R]",
    requests: Sequence[tuple[str, str, Q | FacegenError]],
    run_options: RunOptions,
) -> Callable[[int, OnProgress | None], str]:
    """A function that processes the file of an index, with models that stay loaded."""

    def work(index: int, on_progress: OnProgress | None) -> str:
        file, output, request = requests[index]
        if isinstance(request, FacegenError):
            raise request
        folder = Path(output).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"Expected a folder that can be made at {folder}, but {error.strerror}.") from error
        label = f"{Path(file).name}, {index + 1} of {len(requests)}"

        def report_progress(fraction: float, text: str) -> None:
            if on_progress is not None:
                on_progress((index + fraction) / len(requests), f"{label}: {text}")

        result = pipeline(request, on_progress=report_progress)
        report(job, result, run_options)
        return result.summary

    return work
