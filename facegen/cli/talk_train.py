"""`facegen talk train`: from a video of somebody to a radiance field that any sound can drive."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from facegen.cli.progress import progress_bar
from facegen.errors import InputError

app = typer.Typer(help="Train a person's own field from a video.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@app.command()
def train(
    video: Annotated[
        Path, typer.Option(help="Somebody who speaks, from the front; or a folder that was prepared before.")
    ],
    model: Annotated[str, typer.Option(help="What is trained: dfrf, the dynamic facial radiance field.")] = "dfrf",
    field: Annotated[str, typer.Option(help="fast, or reference (DFRF part by part, for comparisons).")] = "fast",
    run: Annotated[Path | None, typer.Option(help="Folder of the work; the same one goes on.")] = None,
    minutes: Annotated[float, typer.Option(min=0, help="Time to train; 0 leaves it to the preset's steps.")] = 45.0,
    seconds: Annotated[float | None, typer.Option(min=2, help="Only the first so many seconds of the video.")] = None,
    train_share: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Share of the video that is trained on; the rest is held back.")
    ] = 0.6,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the training; repeatable."),
    ] = None,
    consent: Annotated[bool, typer.Option("--consent", help="The person in the video agreed to it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Prepare a video and train the field of the person in it, to a time budget.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    from facegen.cli.talk import CONSENT
    from facegen.runs import Run
    from facegen.talk.dfrf.pipeline import PersonOptions, train_person

    if model != "dfrf":
        raise InputError(f"Expected the model dfrf, found {model!r}; the motion network is trained by «train motion».")
    if not consent:
        typer.echo(CONSENT, err=True)
    options = PersonOptions(
        preset=field, minutes=minutes, seconds=seconds, train_share=train_share, changes=tuple(settings or ())
    )
    is_known = run is not None and (run / "request.json").exists()
    about = {"task": "dfrf", "video": str(video), **dataclasses.asdict(options)}
    work = Run.open(run) if run is not None and is_known else Run.create("talk-train", about, path=run)
    typer.echo(f"Run folder: {work.path}", err=True)
    with work.work(), progress_bar() as bar:

        def report(share: float, words: str) -> None:
            work.update(share, words)
            if bar is not None:
                bar(share, words)

        result = train_person(
            video, work.path, options, say=lambda line: typer.echo(line, err=True), on_progress=report
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(result)))
        return
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result.measures.items())
    typer.echo(f"Trained {result.steps} steps on {result.frames} frames. {figures}", err=True)
    typer.echo(f"Use it: facegen talk --engine dfrf:{result.run} --audio said.wav --output talks.mp4", err=True)
