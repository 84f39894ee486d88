"""A talk as the browser asks for it: who speaks, what is said, one frame ahead, and the run that does it."""

import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.config import to_dict
from facegen.errors import InputError
from facegen.runs import Run
from facegen.talk.options import FIELD, PORTRAIT, TalkOptions
from facegen.talk.request import TalkRequest, has_field
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor, link_or_copy
from facegen.ui.swaps import option_flags, required

if TYPE_CHECKING:
    from facegen.talk import TalkPipeline

TRIAL_SECONDS = 2.0
"""Length of what is tried first."""

_lock = threading.Lock()
_pipelines: "list[TalkPipeline]" = []


def request(
    portrait: str | None, audio: str | None, settings: Mapping[str, Any], driving: str | None = None
) -> TalkRequest:
    """A talk request from what the widgets hold; `start` gives it its output.

    Args:
        portrait: a picture or a video of the speaker.
        audio: what is said.
        settings: `TalkOptions` by name.
        driving: a video whose head and eyes are followed.

    Raises:
        InputError: a file is missing, or a setting does not fit.
    """
    options = parse(TalkOptions, settings)
    has_own_head = options.engine.startswith(FIELD)
    return TalkRequest(
        portrait=portrait or "" if has_own_head else required(portrait, "a portrait"),
        audio=required(audio, "a recording of what is said"),
        output="",
        driving=driving or None,
        options=options,
    )


def engines(services: Services, visitor: Visitor) -> list[tuple[str, str]]:
    """What can draw a speaker: label and name; besides the portrait, every field that the visitor trained."""
    trained = [run for run in services.runs(visitor) if run.kind in ("train", "talk-train") and has_field(run.path)]
    return [
        ("Portrait: one picture, at once", PORTRAIT),
        *((f"Trained person: {run.name}", f"{FIELD}{run.name}") for run in trained),
    ]


def _with_own_field(services: Services, visitor: Visitor, asked: TalkRequest) -> TalkRequest:
    """The request with a field's run found among those that the visitor may use."""
    if not asked.options.engine.startswith(FIELD):
        return asked
    run = services.run(visitor, asked.options.engine.removeprefix(FIELD))
    return replace(asked, options=replace(asked.options, engine=f"{FIELD}{run.path}"))


def poster(portrait: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the picture, or the first frame of the video."""
    from facegen import media

    if media.is_picture(portrait):
        return media.read_picture(portrait)
    return media.read_frame_at(portrait, index=0).image_rgb


def start(services: Services, visitor: Visitor, asked: TalkRequest) -> Run:
    """Put a talk into the queue as a run of its own; its files stay with the run, so that it can be resumed later."""
    asked = _with_own_field(services, visitor, asked)
    if asked.options.motion:
        run = services.run(visitor, asked.options.motion)
        asked = replace(asked, options=replace(asked.options, motion=str(run.path)))
    given = {"portrait": asked.portrait, "audio": asked.audio, "driving": asked.driving}
    names = {name: Path(path).name for name, path in given.items() if path}
    run = Run.create("talk", {"visitor": visitor.mark, **names, "options": to_dict(asked.options)})
    inputs = run.path / "inputs"
    inputs.mkdir(exist_ok=True)
    kept: dict[str, str | None] = {}
    for name, path in given.items():
        if not path:
            kept[name] = None
            continue
        place = inputs / f"{name}-{Path(path).name[-80:]}"
        link_or_copy(Path(path), place)
        kept[name] = str(place)
    stem = Path(asked.portrait).stem[:80] or "person"
    asked = replace(
        asked,
        portrait=kept["portrait"] or "",
        audio=kept["audio"] or "",
        driving=kept["driving"],
        output=str(run.results / f"{stem}-talks.mp4"),
    )
    run.enqueue(arguments(asked, run))
    services.start_next()
    return run


def arguments(asked: TalkRequest, run: Run) -> list[str]:
    """The command that does this talk."""
    command = [sys.executable, "-m", "facegen", "talk", "--audio", asked.audio]
    if asked.portrait:
        command += ["--portrait", asked.portrait]
    if asked.driving:
        command += ["--driving", asked.driving]
    command += ["--output", asked.output, "--run", str(run.path), "--consent", "--json"]
    return command + option_flags(asked.options)


def result(run: Run) -> Path | None:
    """The file that a talk made, if it is there."""
    made = sorted(run.results.glob("*-talks.mp4"))
    return made[0] if made else None


def summary(run: Run) -> str:
    """What a finished talk says of itself, with its notices; nothing while it runs."""
    if run.status().state != "done":
        return ""
    told = run.result()
    if not told:
        return ""
    return " ".join((f"{told['frames']} frames in {told['seconds']:.1f} s.", *told["notices"]))


def preview(services: Services, asked: TalkRequest, seconds: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the portrait at one moment of its talk.

    Raises:
        InputError: the request cannot be done.
    """
    if asked.options.engine != PORTRAIT and services.settings.shared:
        raise InputError("Expected the engine portrait for a preview, found a trained person; run two seconds instead.")
    with _lock:
        if not _pipelines:
            from facegen.talk import TalkPipeline

            _pipelines.append(TalkPipeline(analyser=services.pipeline().analyser))
    return _pipelines[0].preview(asked, seconds)
