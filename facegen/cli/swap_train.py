"""`facegen swap train`: from three videos to a swap with a model of its own."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from facegen.cli.progress import progress_bar

app = typer.Typer(help="Train a swap for two people and merge it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@app.command()
def train(
    person_a: Annotated[list[str], typer.Option(help="Video or pictures of the person in the target; repeatable.")],
    person_b: Annotated[list[str], typer.Option(help="Video or pictures of whose face it gets; repeatable.")],
    merge: Annotated[str, typer.Option(help="The video that gets the face.")],
    output: Annotated[Path | None, typer.Option(help="The result. Default: merged.mp4 in the run folder.")] = None,
    run: Annotated[Path | None, typer.Option(help="Folder of the work; the same one goes on.")] = None,
    preset: Annotated[str, typer.Option(help="Preset of the training «saehd».")] = "small-128",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin with nothing instead of the pretrained model (preset small-128).")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0, help="Time to train; 0 leaves it to the preset's steps.")] = 45.0,
    every: Annotated[int, typer.Option(min=1, help="Cut faces out of every so many frames.")] = 2,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the training; repeatable."),
    ] = None,
    how: Annotated[
        str, typer.Option("--merge-settings", help="Such as «mode=seamless, mask=hull»; else sharp and mesh-guided.")
    ] = "",
    consent: Annotated[bool, typer.Option("--consent", help="Everyone whose face is used agreed to it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Put B's face on A: extract, clean, mask, train to a time budget, export and merge.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    from facegen.cli.swap import CONSENT
    from facegen.runs import Run
    from facegen.swap.autoencoder.flow import FlowOptions, train_swap

    if not consent:
        typer.echo(CONSENT, err=True)
    options = FlowOptions(
        preset=preset, fresh=fresh, minutes=minutes, every=every, changes=tuple(settings or ()), merge=how
    )
    is_known = run is not None and (run / "request.json").exists()
    about = {"task": "swap", "target": merge, **dataclasses.asdict(options)}
    work = Run.open(run) if run is not None and is_known else Run.create("swap-train", about, path=run)
    typer.echo(f"Run folder: {work.path}", err=True)
    place = output if output is not None else work.results / "merged.mp4"
    with work.work(), progress_bar() as bar:

        def report(share: float, words: str) -> None:
            work.update(share, words)
            if bar is not None:
                bar(share, words)

        result = train_swap(
            person_a,
            person_b,
            merge,
            str(place),
            work.path,
            options,
            say=lambda line: typer.echo(line, err=True),
            on_progress=report,
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(result)))
    else:
        typer.echo(f"Wrote {result.output}: {result.frames} frames after {result.steps} steps of training.", err=True)
