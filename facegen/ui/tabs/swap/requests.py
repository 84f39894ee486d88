"""Requests of swaps from the browser; description, people and preview of a target."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegen.errors import InputError, NoFaceError
from facegen.facesets.options import PERSON_DISTANCE_LIMIT
from facegen.jobs import Run
from facegen.swap.jobs import PATCHES
from facegen.swap.options import LIVE_PORTRAIT, TRAINED, SwapOptions
from facegen.swap.request import SwapRequest
from facegen.ui.examples import SWAP, Examples
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor

_EXAMPLE_FRAME = 20
"""A frame of the stored example in which she speaks."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a target is, in the words and numbers that the widgets need."""

    is_picture: bool
    width: int
    height: int
    frames: int
    """1 for a picture."""
    seconds: float
    """0 for a picture."""
    words: str
    poster_rgb: np.ndarray
    """The first frame, (H, W, 3) RGB uint8."""


@dataclass(frozen=True, kw_only=True)
class PersonCard:
    """One person of a clip."""

    person_id: int
    share: float
    """Part of the frames that show this person, 0..1."""
    thumbnail_rgb: np.ndarray


def describe(target: str | None) -> Target:
    """Look at a target.

    Raises:
        InputError: there is none, or it is neither a video nor a picture.
    """
    from facegen import media

    path = required(target, "a target video or picture")
    if media.is_picture(path):
        image_rgb = media.read_picture(path)
        height, width = image_rgb.shape[:2]
        words = f"Picture, {width} × {height}"
        return Target(
            is_picture=True, width=width, height=height, frames=1, seconds=0.0, words=words, poster_rgb=image_rgb
        )
    info = media.probe(path)
    sound = "with sound" if info.audio else "without sound"
    height, width = info.size_hw
    words = f"Video, {width} × {height}, {info.duration_seconds:.1f} s, "
    words += f"{float(info.frame_rate):.4g} frames/s, {sound}"
    return Target(
        is_picture=False,
        width=width,
        height=height,
        frames=len(media.frame_times(path)[0]),
        seconds=info.duration_seconds,
        words=words,
        poster_rgb=media.read_frame_at(path, index=0).image_rgb,
    )


def request(
    sources: Sequence[str] | None,
    target: str | None,
    settings: Mapping[str, Any],
    people: Mapping[int, Sequence[str]] | None = None,
    engine: Mapping[str, str] | None = None,
) -> SwapRequest:
    """A swap request from what the widgets hold; its run gives it an output.

    Args:
        sources: files that show the face.
        target: the video or picture that gets it.
        settings: `SwapOptions` by name; an end at or past that of the clip means all of it.
        people: sources by person of the clip.
        engine: what draws the face, where that is not the built-in engine; with the settings of its merge where it is a
            model that knows its own person or edits the target's own face, which need no sources.

    Raises:
        InputError: sources or target are missing, or a setting does not fit.
    """
    settings = {**settings, **(engine or {})}
    if str(settings.get("engine", "")).startswith((*TRAINED, LIVE_PORTRAIT)):
        target = required(target, "a target video or picture")
        options = parse(SwapOptions, _trimmed(settings, target))
        return SwapRequest(sources=(), target=target, output="", options=options)
    named = {person: tuple(paths) for person, paths in (people or {}).items() if paths}
    if people and not named:
        raise InputError("Expected a source for at least one person, found none; choose a picture below a person.")
    if not named and not sources:
        raise InputError("Expected at least one source picture, found none; add a picture of the face you want.")
    target = required(target, "a target video or picture")
    return SwapRequest(
        sources=() if named else tuple(sources or ()),
        target=target,
        output="",
        options=parse(SwapOptions, _trimmed(settings, target)),
        people=named,
    )


def _trimmed(settings: Mapping[str, Any], target: str) -> dict[str, Any]:
    from facegen import media

    if media.is_picture(target):
        return {**settings, "start_seconds": 0.0, "end_seconds": None}
    end = settings.get("end_seconds")
    is_whole = not end or end >= media.probe(target).duration_seconds - 0.01
    return {**settings, "end_seconds": None if is_whole else end}


def required(path: str | None, what: str) -> str:
    """A path that must have been given.

    Raises:
        InputError: it was not.
    """
    if not path:
        raise InputError(f"Expected {what}, found nothing; choose a file first.")
    return path


def patches_archive(services: Services, visitor: Visitor, run: Run) -> str | None:
    """A zip file of the patches that a run wrote, for the visitor's browser; nothing where it wrote none."""
    folder = run.results / PATCHES
    if not folder.is_dir():
        return None
    return shutil.make_archive(str(services.visitor_folder(visitor) / f"{run.name}-{PATCHES}"), "zip", folder)


def preview(services: Services, swap_request: SwapRequest, frame: int) -> tuple[np.ndarray, np.ndarray, float]:
    """One frame before and after, (H, W, 3) RGB uint8 each, and the seconds that it took.

    Raises:
        InputError: the request cannot be done.
    """
    begun = time.perf_counter()
    before, after = services.pipeline().preview(swap_request, frame_index=frame)
    return before, after, time.perf_counter() - begun


def describe_sources(services: Services, pictures: Sequence[str]) -> str:
    """What should be known of the source pictures before they are used: different people, what covers a face; else nothing.

    Raises:
        InputError: one of them cannot be read.
    """
    from facegen import media
    from facegen.faces.recogniser import distance
    from facegen.swap.coverings import describe

    pipeline = services.pipeline()
    people: list[np.ndarray] = []
    faces = []
    for path in pictures:
        image_rgb = media.read_picture(path)
        for face in pipeline.analyser.embed(image_rgb, pipeline.analyser.detect(image_rgb, max_faces=1)):
            faces.append((image_rgb, face))
            if face.embedding is not None and all(
                distance(face.embedding, known) > PERSON_DISTANCE_LIMIT for known in people
            ):
                people.append(face.embedding)
    if len(people) < 2:
        return " ".join(describe(pipeline.coverings(faces)))
    count = "two" if len(people) == 2 else str(len(people))
    return (
        f"These are {count} people: give each a face under «Who in it?», or remove one; together they make a mixture."
    )


def result_frames(target: str, result: str, frame: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One frame of a target and of what was made of it, (H, W, 3) RGB uint8 each."""
    from facegen import media

    def look(path: str) -> np.ndarray:
        if media.is_picture(path):
            return media.read_picture(path)
        return media.read_frame_at(path, index=min(frame, len(media.frame_times(path)[0]) - 1)).image_rgb

    return look(target), look(result)


def example_frames(examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """A frame of the stored example, before and after."""
    return result_frames(str(examples.file("bea.mp4")), str(examples.file(SWAP)), _EXAMPLE_FRAME)


def find_people(
    services: Services, target: str | None, detector: str = "auto", recogniser: str = "embedded"
) -> list[PersonCard]:
    """The people of a clip, longest on screen first, or those of a picture, from the left.

    Args:
        services: of the studio.
        target: a video or picture.
        detector: as in `SwapOptions`; the swap must use the same one for the numbers to fit.
        recogniser: in the same way.

    Raises:
        InputError: there is no target, it cannot be read, or there is no such detector.
        NoFaceError: nobody is in it.
    """
    from facegen import media

    path = required(target, "a target video or picture")
    options = parse(SwapOptions, {"detector": detector, "recogniser": recogniser})
    if media.is_picture(path):
        image_rgb = media.read_picture(path)
        analyser = services.pipeline().analyser.with_detector(options.detector)
        faces = sorted(analyser.detect(image_rgb), key=lambda face: face.box_xyxy[[0, 2]].sum())
        found = [
            PersonCard(person_id=number, share=1.0, thumbnail_rgb=_cut_out(image_rgb, face.box_xyxy))
            for number, face in enumerate(faces)
        ]
    else:
        analysis = services.pipeline().find_people(path, options)
        found = [
            PersonCard(
                person_id=person.person_id,
                share=person.frame_count / max(1, analysis.frame_count),
                thumbnail_rgb=person.thumbnail_rgb,
            )
            for person in analysis.people
        ]
    if not found:
        raise NoFaceError(f"Expected a face in {Path(path).name!r}, found none; choose another target.")
    return found


def _cut_out(image_rgb: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """The square around a face, within the picture."""
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    side, x, y = max(x2 - x1, y2 - y1) * 0.75, (x1 + x2) / 2, (y1 + y2) / 2
    top, left = max(0, round(y - side)), max(0, round(x - side))
    return image_rgb[top : round(y + side), left : round(x + side)]
