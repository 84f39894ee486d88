"""`facegen talk`: a portrait that speaks, or other words for a person in a video."""

from typing import Annotated

import typer

from facegen.cli.batch import InputFiles, run_files
from facegen.cli.command import RunOptions, Values, build, job_command, run_job
from facegen.errors import InputError
from facegen.jobs.batch import expand_files
from facegen.jobs.files import SOUND_SUFFIXES, VIDEO_SUFFIXES
from facegen.talk.jobs import TALK, TALK_TRAIN
from facegen.talk.request import TalkRequest


@job_command(TALK, without=("audio",), takes_many=True)
def talk(
    values: Values,
    run_options: RunOptions,
    audio: Annotated[
        list[str] | None,
        typer.Option(
            "--audio",
            "-a",
            help="What is said: a sound file, or a video with sound; may be repeated, or be a folder of such.",
        ),
    ] = None,
    text: Annotated[str, typer.Option(help="What is said, read aloud by espeak-ng where it is installed.")] = "",
    voice: Annotated[str, typer.Option(help="Its voice: en, de, fr, en-us+f3.")] = "en",
) -> None:
    """Make a portrait speak, or give a person in a video other words.

    A talk that was cut off, even by `kill -9`, goes on where it was when the same command is repeated.
    Of several sounds, one that fails does not stop the others; --output is then a folder, or a pattern such as
    {stem}-{source}.mp4 (also {number}).
    «facegen talk train --video FILE» trains a field of one person, which --engine dfrf:RUN then makes speak.
    """
    if bool(audio) == bool(text):
        raise InputError("Expected what is said as --audio or as --text, found both or none; give one of the two.")
    if text:
        build(TALK, {**values, "audio": "read aloud"})  # what is wrong is said before anything is read
        from facegen.talk.text_to_speech import synthesize_speech

        audio = [str(synthesize_speech(text, voice))]
    arguments = audio or []

    def make(file: str, output: str) -> TalkRequest:
        return build(TALK, {**values, "audio": file, "output": output})

    files = expand_files(arguments, (*SOUND_SUFFIXES, *VIDEO_SUFFIXES))
    source = values["portrait"] or values["options"]["engine"].partition(":")[2]
    run_files(
        TALK, InputFiles(files=files, arguments=arguments, source=source, output=values["output"]), make, run_options
    )


train_app = typer.Typer(help="Train a person's own field from a video.", no_args_is_help=True)


@train_app.callback()
def _group() -> None:
    """Keeps «train» a command of its own."""


@train_app.command()
@job_command(TALK_TRAIN)
def train(
    values: Values,
    run_options: RunOptions,
    model: Annotated[str, typer.Option(help="What is trained: dfrf, the dynamic facial radiance field.")] = "dfrf",
) -> None:
    """Prepare a video and train the field of the person in it, to a time budget.

    Ctrl-C stops it; the same command with the same --run goes on at the step it was at.
    """
    if model != "dfrf":
        raise InputError(f"Expected the model dfrf, found {model!r}; the motion network is trained by «train motion».")
    result = run_job(TALK_TRAIN, build(TALK_TRAIN, values), run_options)
    if not run_options.as_json:
        typer.echo(f"Use it: facegen talk --engine dfrf:{result.run} --audio said.wav --output talks.mp4", err=True)
