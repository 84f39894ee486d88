"""`facegen talk train`: from a video of somebody to a radiance field that any sound can drive."""

from typing import Annotated

import typer

from facegen.cli.command import Door, Values, build, job_command, run_job
from facegen.errors import InputError
from facegen.talk.jobs import TALK_TRAIN

app = typer.Typer(help="Train a person's own field from a video.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@app.command()
@job_command(TALK_TRAIN)
def train(
    values: Values,
    door: Door,
    model: Annotated[str, typer.Option(help="What is trained: dfrf, the dynamic facial radiance field.")] = "dfrf",
) -> None:
    """Prepare a video and train the field of the person in it, to a time budget.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    if model != "dfrf":
        raise InputError(f"Expected the model dfrf, found {model!r}; the motion network is trained by «train motion».")
    result = run_job(TALK_TRAIN, build(TALK_TRAIN, values), door)
    if not door.as_json:
        typer.echo(f"Use it: facegen talk --engine dfrf:{result.run} --audio said.wav --output talks.mp4", err=True)
