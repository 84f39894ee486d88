"""`facegen talk`: a portrait that speaks, or other words for a person in a video."""

from typing import Annotated

import typer

from facegen.cli.command import Door, Values, build, job_command, run_job
from facegen.errors import InputError
from facegen.talk.jobs import TALK


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
