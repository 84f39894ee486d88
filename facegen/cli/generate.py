"""`facegen generate`: faces that do not exist, with five sliders; and the dataset they are learnt from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen.cli.options import with_options
from facegen.cli.progress import progress_bar
from facegen.errors import InputError
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.generate.sliders import Sliders

app = typer.Typer(invoke_without_command=True, add_completion=False)


def _slider(text: str) -> Any:
    return typer.Option(help=f"{text} [0 to 1]", show_default=False)


@app.callback(invoke_without_command=True)
@with_options(GenerateOptions, "options")
def generate(
    context: typer.Context,
    output: Annotated[str, typer.Option(help="Folder that gets 0000.png and so on.")] = "",
    eyes: Annotated[float | None, _slider("How far the eyes are open (0.8).")] = None,
    mouth: Annotated[float | None, _slider("How far the mouth is open (0.1).")] = None,
    hair: Annotated[float | None, _slider("How dark the hair is (0.75).")] = None,
    background: Annotated[float | None, _slider("How bright the background is (0.75).")] = None,
    head: Annotated[float | None, _slider("Turned to the picture's left 0, ahead 0.5, right 1 (0.5).")] = None,
    more: Annotated[
        list[str] | None, typer.Option(metavar="NAME=STEP", help="A further direction, e.g. smile=1.5; repeatable.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="SLIDER", help="Let this slider go from 0 to 1: a strip; given twice, a square."),
    ] = None,
    film: Annotated[bool, typer.Option("--film", help="Write the sweep of one slider as an MP4 too.")] = False,
    edit: Annotated[str, typer.Option(metavar="PHOTO", help="Draw the face of this photograph instead.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Draw faces that do not exist.

    The same command draws the same pixels on the same machine. `facegen generate dataset` prepares training data.
    """
    if context.invoked_subcommand is not None:
        return
    if not output:
        raise InputError("Expected a folder for the pictures, found none given; add --output DIR.")
    said = {"eyes": eyes, "mouth": mouth, "hair": hair, "background": background, "head": head}
    given = {name: value for name, value in said.items() if value is not None}
    request = GenerateRequest(
        output=output,
        sliders=Sliders(**given),
        options=GenerateOptions(**options),
        more=_steps(more or []),
        sweep=tuple(sweep or ()),
        film=film,
        edit=edit,
        given=tuple(given),
    )
    from facegen.generate.pipeline import GeneratePipeline

    with progress_bar() as on_progress:
        result = GeneratePipeline()(request, on_progress)
    if as_json:
        typer.echo(json.dumps(asdict(result), ensure_ascii=False))
        return
    for notice in result.notices:
        typer.echo(notice, err=True)
    typer.echo(f"Wrote {len(result.files)} files to {output} in {result.seconds:.1f} s.", err=True)


def _steps(entries: list[str]) -> dict[str, float]:
    steps = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        try:
            steps[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"Expected --more NAME=STEP with a number, found {entry!r}.")
    return steps


@app.command()
def dataset(
    photographs: Annotated[Path, typer.Option(help="Folder of photographs; sub-folders are labels (female, male).")],
    output: Annotated[Path, typer.Option(help="Folder that gets the dataset.")],
    keep: Annotated[str, typer.Option(help="Which pictures are kept, e.g. female>=0.9999; empty: all.")] = "",
    augment: Annotated[bool, typer.Option(help="Add a copy of other brightness of each picture.")] = True,
    variants: Annotated[int, typer.Option(help="Pictures of other sliders made of each.")] = 3,
    labels: Annotated[str, typer.Option(help="CSV of hand labels, which count before what is measured.")] = "",
    seed: Annotated[int, typer.Option(help="Of brightness and variants.")] = 0,
    run: Annotated[
        Path | None, typer.Option(help="Run folder that shows how it goes on; the studio gives one.")
    ] = None,
) -> None:
    """Prepare training data: align, resize, change brightness, choose, measure the five values, make variants."""
    from facegen.generate.dataset.preparation import DatasetRequest, make_dataset

    request = DatasetRequest(
        photographs=str(photographs),
        output=str(output),
        keep=keep,
        augment=augment,
        variants=variants,
        labels=labels,
        seed=seed,
    )
    if run is None:
        with progress_bar() as on_progress:
            result = make_dataset(request, on_progress)
    else:
        from facegen.runs import Run

        place = Run.open(run) if (run / "request.json").exists() else Run.create("dataset", {}, path=run)
        with place.work():
            result = make_dataset(request, place.update)
    for step, count, words in result.rows:
        typer.echo(f"{step:24} {count:8}  {words}")
    for name in result.skipped[:10]:
        typer.echo(f"Skipped {name}: no usable face.", err=True)
