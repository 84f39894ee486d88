"""`facegen swap train`: from three videos to a swap with a model of its own."""

import typer

from facegen.cli.command import Door, Values, build, job_command, run_job
from facegen.swap.jobs import SWAP_TRAIN

app = typer.Typer(help="Train a swap for two people and merge it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@app.command()
@job_command(SWAP_TRAIN)
def train(values: Values, door: Door) -> None:
    """Put B's face on A: extract, clean, mask, train to a time budget, export and merge.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    run_job(SWAP_TRAIN, build(SWAP_TRAIN, values), door)
