"""`facegen talk`: a portrait that speaks, or other words for a person in a video."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facegen.cli.options import with_options
from facegen.cli.progress import progress_bar
from facegen.errors import InputError
from facegen.talk.engines import EngineName
from facegen.talk.options import TalkOptions

CONSENT = "Only use faces and voices of people who agreed to it, and do not deceive anyone (say --consent)."


@with_options(TalkOptions, "options")
def talk(
    output: Annotated[str, typer.Option(help="Where the video goes.")],
    portrait: Annotated[
        str, typer.Option(help="A picture of the speaker; or a video of them, in which then only the mouth changes.")
    ] = "",
    audio: Annotated[str, typer.Option(help="What is said: a sound file, or a video with sound.")] = "",
    text: Annotated[str, typer.Option(help="What is said, read aloud by espeak-ng where it is installed.")] = "",
    voice: Annotated[str, typer.Option(help="Its voice: en, de, fr, en-us+f3.")] = "en",
    driving: Annotated[
        str | None, typer.Option(help="A video whose head and eyes are followed, in place of invented movements.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Folder to work in, kept. Default: its own, removed.")] = None,
    consent: Annotated[bool, typer.Option("--consent", help="Everyone seen and heard agreed to it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    *,
    options: Mapping[str, Any],
) -> None:
    """Make a portrait speak, or give a person in a video other words.

    A talk that was cut off, even by `kill -9`, goes on where it was when the same command is given again.
    «facegen talk train --video FILE» trains a field of one person, which --engine dfrf:RUN then makes speak.
    """
    from facegen.config import to_dict
    from facegen.runs import Run
    from facegen.talk import TalkPipeline, TalkRequest

    if bool(audio) == bool(text):
        raise InputError("Expected what is said as --audio or as --text, found both or none; give one of the two.")
    if not portrait and EngineName.parse(options["engine"]).needs_portrait:
        raise InputError("Expected a portrait, found none; give --portrait, or --engine dfrf:RUN for a trained person.")
    if text:
        from facegen.talk.reading import read_aloud

        audio = str(read_aloud(text, voice))
    request = TalkRequest(
        portrait=portrait, audio=audio, output=output, driving=driving, options=TalkOptions(**options)
    )
    if not consent:
        typer.echo(CONSENT, err=True)
    place = None
    if run is not None:
        is_there = (run / "request.json").exists()
        place = Run.open(run) if is_there else Run.create("talk", to_dict(request), path=run)
    with progress_bar() as on_progress:
        result = TalkPipeline()(request, run=place, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(result), "consent": consent}, ensure_ascii=False))
        return
    for notice in result.notices:
        typer.echo(notice, err=True)
    again = f" ({result.resumed_frames} frames were done before)" if result.resumed_frames else ""
    typer.echo(f"Wrote {result.output}: {result.frames} frames in {result.seconds:.1f} s{again}.", err=True)
