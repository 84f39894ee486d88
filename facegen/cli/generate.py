"""`facegen generate`: faces that do not exist, with five sliders; and the dataset they are learnt from."""

from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen.cli.command import RunOptions, Values, build, job_command, render_arguments, run_job
from facegen.generate.jobs import DATASET, GENERATE
from facegen.generate.request import GenerateRequest
from facegen.generate.sliders import NAMES
from facegen.jobs.fields import fields_of

app = typer.Typer(invoke_without_command=True, add_completion=False)


def _slider(text: str) -> Any:
    return typer.Option(help=f"{text} [0 to 1]", show_default=False)


@app.callback(invoke_without_command=True)
@job_command(GENERATE, without=("output", "given", *NAMES))
def generate(
    values: Values,
    run_options: RunOptions,
    context: typer.Context,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", help="Folder that gets 0000.png and so on; faces, faces-2 and so on where it is not said."
        ),
    ] = "",
    eyes: Annotated[float | None, _slider("How far the eyes are open (0.8).")] = None,
    mouth: Annotated[float | None, _slider("How far the mouth is open (0.1).")] = None,
    hair: Annotated[float | None, _slider("How dark the hair is (0.75).")] = None,
    background: Annotated[float | None, _slider("How bright the background is (0.75).")] = None,
    head: Annotated[float | None, _slider("Turned to the picture's left 0, ahead 0.5, right 1 (0.5).")] = None,
) -> None:
    """Draw faces that do not exist.

    The same command draws the same pixels on the same machine. `facegen generate dataset` prepares training data.
    """
    if context.invoked_subcommand is not None:
        return
    output = output or _free_folder()
    slider_values = {"eyes": eyes, "mouth": mouth, "hair": hair, "background": background, "head": head}
    sliders = {name: value for name, value in slider_values.items() if value is not None}
    # in a photograph, sliders that were not set stay as they are
    given = tuple(sliders) if values["edit"] else NAMES
    run_job(GENERATE, build(GENERATE, {**values, "output": output, "sliders": sliders, "given": given}), run_options)


def _free_folder() -> str:
    """The first of faces, faces-2 and so on that is not there yet."""
    names = (f"faces-{number}" if number > 1 else "faces" for number in count(1))
    return next(name for name in names if not Path(name).exists())


def arguments(request: GenerateRequest) -> list[str]:
    """Command-line arguments of a request."""
    default = type(request.sliders)()
    values = {name: getattr(request.sliders, name) for name in NAMES}
    is_typed = {
        name: name in request.given if request.edit else value != getattr(default, name)
        for name, value in values.items()
    }
    sliders = [word for name in NAMES if is_typed[name] for word in (f"--{name}", str(values[name]))]
    fields = [item for item in fields_of(GenerateRequest) if item.name not in ("given", *NAMES)]
    return [*render_arguments(request, fields), *sliders]


@app.command()
@job_command(DATASET)
def dataset(values: Values, run_options: RunOptions) -> None:
    """Prepare training data: align, resize, change brightness, choose, measure the five values, make variants."""
    result = run_job(DATASET, build(DATASET, values), run_options)
    if run_options.as_json:
        return
    for name in result.skipped[:10]:
        typer.echo(f"Skipped {name}: no usable face.", err=True)
    typer.echo(result.table, err=True)
