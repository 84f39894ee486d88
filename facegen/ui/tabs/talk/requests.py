"""Requests of talks from the browser: made from widgets, offered choices, previews."""

import hashlib
import wave
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from facegen.hub import WeightFile
from facegen.reenact.weights import WEIGHTS as REENACT_WEIGHTS
from facegen.talk.engines import FIELD, LIPSYNC, LIVE_PORTRAIT, PORTRAIT, EngineName, has_field, has_motion
from facegen.talk.jobs import TALK
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.ui.options import parse
from facegen.ui.services import VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.swap.requests import required

if TYPE_CHECKING:
    from facegen.talk import TalkPipeline
    from facegen.talk.speech import Speech

TRIAL_SECONDS = 2.0
"""Length of a trial."""


def make_request(
    portrait: str | None, audio: str | None, settings: Mapping[str, Any], driving: str | None = None
) -> TalkRequest:
    """Makes a talk request from the values of widgets; its run gives it an output.

    Args:
        portrait: a picture or a video of the speaker.
        audio: what is said.
        settings: `TalkOptions` by name.
        driving: a video whose head and eyes are followed.

    Raises:
        InputError: a file is missing, or a setting does not fit.
    """
    options = parse(TalkOptions, settings)
    needs_portrait = EngineName.parse(options.engine).needs_portrait
    return TalkRequest(
        portrait=required(portrait, "a portrait") if needs_portrait else portrait or "",
        audio=required(audio, "a recording of what is said"),
        output="",
        driving=driving or None,
        options=options,
    )


def trial(services: Services, visitor: Visitor, request: TalkRequest) -> TalkRequest:
    """The request with the liveliest two seconds of its sound.

    Raises:
        InputError: the sound cannot be read.
    """
    from facegen.media import read_audio
    from facegen.talk.speech import SAMPLE_RATE, load_speech

    options = replace(request.options, seconds=TRIAL_SECONDS)
    if request.driving or request.portrait.lower().endswith(VIDEO_SUFFIXES):
        # a video's own movements belong to its first seconds
        return replace(request, options=options)
    start = liveliest_second(load_speech(request.audio))
    samples = read_audio(request.audio, SAMPLE_RATE)[round(start * SAMPLE_RATE) :][: round(TRIAL_SECONDS * SAMPLE_RATE)]
    spoken = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    # the same two seconds lie in the same file: a request is recognised by it
    path = services.visitor_folder(visitor) / f"trial-{hashlib.sha256(spoken).hexdigest()[:12]}.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLE_RATE)
        sound.writeframes(spoken)
    return replace(request, audio=str(path), options=options)


def liveliest_second(speech: "Speech") -> float:
    """The second at which the trial's length of a recording has most speech and most change of loudness."""
    from facegen.talk.speech import FEATURE_RATE

    voiced = speech.voiced.astype(float)
    lively = voiced + 4 * np.abs(np.diff(speech.loudness.astype(float), prepend=speech.loudness[:1])) * voiced
    width = round(TRIAL_SECONDS * FEATURE_RATE)
    if len(lively) <= width:
        return 0.0
    sums = np.convolve(lively, np.ones(width), "valid")
    return int(sums.argmax()) / FEATURE_RATE


def list_engines(services: Services, visitor: Visitor) -> list[tuple[str, str]]:
    """Label and name of every engine that a visitor may use: the portrait, models that move lips, and the visitor's fields."""
    trained = [run for run in services.runs(visitor) if run.kind in ("train", "talk-train") and has_field(run.path)]
    return [
        ("Portrait: one picture, at once", PORTRAIT),
        ("LivePortrait: one picture, by a network", LIVE_PORTRAIT),
        *((f"Lips of a video: {weight.name}", name) for name, weight in LIPSYNC.items()),
        *((f"Trained person: {run.name}", str(EngineName(FIELD, run.name))) for run in trained),
    ]


def engine_files(engine: str) -> tuple[WeightFile, ...]:
    """The files of the Hub that an engine of the tab needs."""
    if engine == LIVE_PORTRAIT:
        return REENACT_WEIGHTS
    return (LIPSYNC[engine],) if engine in LIPSYNC else ()


def list_motion_networks(services: Services, visitor: Visitor) -> list[tuple[str, str]]:
    """Label and run of every motion network that a visitor may use: the built-in one, and those that the visitor trained."""
    trained = [run for run in services.runs(visitor) if run.kind == "train" and has_motion(run.path)]
    return [("Built in: any voice", ""), *((f"Trained here: {run.name}", run.name) for run in trained)]


def resolve_runs(services: Services, visitor: Visitor, request: TalkRequest) -> TalkRequest:
    """The request with paths of the runs that it names, which must be the visitor's.

    Raises:
        InputError: the visitor has no such run.
    """
    options = request.options
    engine = EngineName.parse(options.engine)
    if engine.run:
        run = services.run(visitor, engine.run)
        options = replace(options, engine=str(replace(engine, run=str(run.path))))
    if options.motion:
        options = replace(options, motion=str(services.run(visitor, options.motion).path))
    return replace(request, options=options)


def poster_second(second: str | float | None) -> float | None:
    """Of a video, the second of the picture that is to speak; None for the video itself.

    Raises:
        InputError: it is no number.
    """
    frame: float | None = parse(TalkOptions, {"frame": second}).frame
    return frame


def load_poster(portrait: str, second: str | float | None) -> tuple[str, np.ndarray]:
    """A status line and the picture that will speak, (H, W, 3) uint8 RGB.

    Args:
        portrait: a picture or a video.
        second: of a video, the time of the picture that is to speak; nothing for the video itself.

    Raises:
        InputError: it cannot be read, or the second is no number.
    """
    from facegen import media

    if media.is_picture(portrait):
        return "The portrait is loaded.", media.read_picture(portrait)
    frame = poster_second(second)
    if frame is None:
        poster = media.read_frame_at(portrait, index=0).image_rgb
        return "The video is loaded: its words will change, and nothing else.", poster
    poster = media.read_frame_at(portrait, seconds=frame).image_rgb
    return f"The picture at {frame:g} s will speak.", poster


def draw_preview(services: Services, visitor: Visitor, request: TalkRequest, seconds: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB: one moment of a talk.

    Raises:
        InputError: the request cannot be done.
    """
    pipeline = cast("TalkPipeline", services.models.pipeline(TALK))
    return pipeline.preview(services.admit(visitor, resolve_runs(services, visitor, request)), seconds)
