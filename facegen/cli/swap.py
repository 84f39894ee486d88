"""`facegen swap`: a face into a video or a picture."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegen.cli.options import with_options
from facegen.errors import InputError
from facegen.swap.options import SwapOptions

if TYPE_CHECKING:
    from facegen.runs.progress import OnProgress
    from facegen.swap import SwapRequest, SwapResult

CONSENT = "Only use faces of people who agreed to it, and do not deceive anyone with the result (say --consent)."


@with_options(SwapOptions, "options", without=("person",))
def swap(
    target: Annotated[str, typer.Option(help="The video or picture that gets the face.")],
    output: Annotated[str, typer.Option(help="Where the result goes.")],
    source: Annotated[
        list[str] | None, typer.Option(help="A picture of the face, a folder of pictures or a video; may be repeated.")
    ] = None,
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
    patches: Annotated[
        bool,
        typer.Option(
            "--patches",
            help="Write the new faces alone into the folder --output, for compositors: 16-bit pictures with alpha, and "
            "the matrices that lay them into the frames (trained models only).",
        ),
    ] = False,
    run: Annotated[Path | None, typer.Option(help="Folder to work in, kept. Default: its own, removed.")] = None,
    consent: Annotated[bool, typer.Option("--consent", help="Everyone whose face is used agreed to it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Put a face into a video or a picture.

    A swap that was cut off, even by `kill -9`, goes on where it was when the same command is given again.
    `facegen swap train --help` says how to train a model for two people and merge it.
    """
    request = _request(source or [], target, output, person or [], options)
    if not consent:
        typer.echo(CONSENT, err=True)
    if preview is not None:
        _preview(request, preview)
        return
    if patches:
        _patches(request, run, as_json)
        return
    from facegen.runs import Run
    from facegen.swap import SwapPipeline

    place = None
    if run is not None:
        is_there = (run / "request.json").exists()
        place = Run.open(run) if is_there else Run.create("swap", _plain(request), path=run)
    with _progress_bar(is_shown=run is None) as on_progress:
        result = SwapPipeline()(request, run=place, on_progress=on_progress)
    _report(result, as_json, consent)


def _request(
    sources: Sequence[str], target: str, output: str, people: Sequence[str], options: Mapping[str, Any]
) -> "SwapRequest":
    from facegen.swap import SwapRequest
    from facegen.swap.merge.options import apply_clip_options

    by_person: dict[int, tuple[str, ...]] = {}
    chosen: dict[str, Any] = {}
    for entry in people:
        number, equals, path = entry.partition("=")
        if not number.strip().isdigit():
            raise InputError(f"Expected --person N or N=SOURCE with a number N, but got {entry!r}; see --help.")
        if equals:
            by_person[int(number)] = (*by_person.get(int(number), ()), path)
        else:
            chosen = {"faces": "person", "person": int(number)}
    return SwapRequest(
        sources=tuple(sources),
        target=target,
        output=output,
        options=apply_clip_options(SwapOptions(**{**options, **chosen}), target),
        people=by_person,
    )


def _plain(request: "SwapRequest") -> dict[str, Any]:
    from facegen.config import to_dict

    return to_dict(request)


def _preview(request: "SwapRequest", count: int) -> None:
    from facegen.swap import SwapPipeline, write_contact_sheet

    with _progress_bar(is_shown=True) as on_progress:
        write_contact_sheet(SwapPipeline(), request, count, on_progress)
    typer.echo(f"Wrote {request.output}", err=True)


def _patches(request: "SwapRequest", run: Path | None, as_json: bool) -> None:
    from facegen.runs import Run
    from facegen.swap import SwapPipeline
    from facegen.swap.patches import write_patches

    if run is None:
        with _progress_bar(is_shown=True) as on_progress:
            made = write_patches(SwapPipeline(), request, on_progress)
    else:
        is_there = (run / "request.json").exists()
        place = Run.open(run) if is_there else Run.create("swap", _plain(request), path=run)
        with place.work():
            made = write_patches(SwapPipeline(), request, place.update)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(made), ensure_ascii=False))
    else:
        typer.echo(f"Wrote {made.patches} patches of {made.frames} frames to {made.folder}.", err=True)


def _report(result: "SwapResult", as_json: bool, consent: bool) -> None:
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(result), "consent": consent}, ensure_ascii=False))
        return
    for notice in result.notices:
        typer.echo(notice, err=True)
    again = f" ({result.resumed_frames} frames were done before)" if result.resumed_frames else ""
    done = f"{result.frames} frames, {result.faces} faces in {result.seconds:.1f} s"
    typer.echo(f"Wrote {result.output}: {done}{again}.", err=True)
    for stage, seconds in sorted(result.stages.items(), key=lambda item: -item[1]):
        typer.echo(f"  {stage:10} {seconds:7.2f} s", err=True)


@contextmanager
def _progress_bar(*, is_shown: bool) -> Iterator["OnProgress | None"]:
    """A bar with what is done, how fast, and the time left; nothing where the output is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Starting", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)
