"""`facegen swap`: a face into a video or a picture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from facegen.cli.batch import InputFiles, run_files
from facegen.cli.command import RunOptions, Values, build, job_command, run_job
from facegen.cli.consent import ask_consent
from facegen.errors import InputError
from facegen.jobs.batch import expand_files
from facegen.jobs.files import PICTURE_SUFFIXES, VIDEO_SUFFIXES, paths
from facegen.swap.jobs import SWAP, SWAP_TRAIN
from facegen.swap.request import SwapRequest


@job_command(SWAP, without=("people", "person", "target"), takes_many=True, takes_cluster=True)
def swap(
    values: Values,
    run_options: RunOptions,
    target: Annotated[
        list[str],
        typer.Option(
            "--target", "-t", help="The video or picture that gets the face; may be repeated, or be a folder of such."
        ),
    ],
    person: Annotated[
        list[str] | None,
        typer.Option(
            "--person",
            "--person-source",
            metavar="N|N=SOURCE",
            help="N: swap only this person of the clip (0 is on screen the longest). "
            "N=SOURCE: give this person a source of their own; may be repeated.",
        ),
    ] = None,
    preview: Annotated[
        int | None,
        typer.Option(metavar="N", help="Write a sheet of N frames before and after, nothing else."),
    ] = None,
) -> None:
    """Put a face into a video or a picture.

    A swap that was cut off, even by `kill -9`, goes on where it was when the same command is repeated.
    Of several targets, one that fails does not stop the others; --output is then a folder, or a pattern such as
    {stem}-{source}.mp4 (also {suffix}, {number}).
    `facegen swap train --help` says how to train a model for two people and merge it.
    """
    _assign_people(values, person or [])
    files = expand_files(target, (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES))
    source = next(iter(values["sources"]), "") or values["options"]["engine"].partition(":")[2]

    def make(file: str, output: str) -> SwapRequest:
        request = build(SWAP, {**values, "target": file, "output": output})
        if request.options.engine.startswith("autoencoder:"):
            from facegen.swap.merge.options import apply_clip_options

            request = replace(request, options=apply_clip_options(request.options, request.target))
        return request

    if preview is None:
        run_files(
            SWAP, InputFiles(files=files, arguments=target, source=source, output=values["output"]), make, run_options
        )
    elif len(files) == 1:
        _preview(make(files[0], values["output"]), preview, run_options)
    else:
        raise InputError(f"Expected one target for a preview, found {len(files)}; choose one of them.")


def _assign_people(values: Values, entries: Sequence[str]) -> None:
    """Put «N» and «N=SOURCE» where the request has them."""
    people: dict[int, tuple[str, ...]] = {}
    for entry in entries:
        number, equals, path = entry.partition("=")
        if not number.strip().isdigit():
            raise InputError(f"Expected --person N or N=SOURCE with a number N, found {entry!r}; see --help.")
        if equals:
            people[int(number)] = (*people.get(int(number), ()), path)
        else:
            values["options"] |= {"faces": "person", "person": int(number)}
    values["people"] = people


def _preview(request: SwapRequest, count: int, run_options: RunOptions) -> None:
    from facegen.cli.command import progress_bar
    from facegen.swap import SwapPipeline, write_contact_sheet

    ask_consent(SWAP, run_options.consent, paths(request))
    with progress_bar() as on_progress:
        write_contact_sheet(SwapPipeline(), request, count, on_progress)
    typer.echo(f"Wrote {request.output}", err=True)


train_app = typer.Typer(help="Train a swap for two people and merge it.", no_args_is_help=True)


@train_app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@train_app.command()
@job_command(SWAP_TRAIN)
def train(values: Values, run_options: RunOptions) -> None:
    """Put B's face on A: extract, clean, mask, train to a time budget, export and merge.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    run_job(SWAP_TRAIN, build(SWAP_TRAIN, values), run_options)
