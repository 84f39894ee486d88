"""`facegen talk`: a portrait that speaks, or other words for a person in a video."""

from typing import Annotated

import typer

from facegen.cli.command import Door, Values, build, job_command, run_job
from facegen.errors import InputError
from facegen.talk.jobs import TALK, TALK_TRAIN


@job_command(TALK, without=("audio",))
def talk(
    values: Values,
    door: Door,
    audio: Annotated[
        str, typer.Option("--audio", "-a", help="What is said: a sound file, or a video with sound.")
    ] = "",
    text: Annotated[str, typer.Option(help="What is said, read aloud by espeak-ng where it is installed.")] = "",
    voice: Annotated[str, typer.Option(help="Its voice: en, de, fr, en-us+f3.")] = "en",
) -> None:
    """Make a portrait speak, or give a person in a video other words.

    A talk that was cut off, even by `kill -9`, goes on where it was when the same command is given again.
    «facegen talk train --video FILE» trains a field of one person, which --engine dfrf:RUN then makes speak.
    """
    if bool(audio) == bool(text):
        raise InputError("Expected what is said as --audio or as --text, found both or none; give one of the two.")
    request = build(TALK, {**values, "audio": audio or "read aloud"})
    if text:
        from dataclasses import replace

        from facegen.talk.text_to_speech import synthesize_speech

        request = replace(request, audio=str(synthesize_speech(text, voice)))
    run_job(TALK, request, door)


train_app = typer.Typer(help="Train a person's own field from a video.", no_args_is_help=True)


@train_app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@train_app.command()
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
