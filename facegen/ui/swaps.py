"""A swap as the browser asks for it: what the target is, who is in it, one frame ahead, and the run that does it."""

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from facegen.config import to_dict
from facegen.errors import InputError, NoFaceError
from facegen.runs import Run
from facegen.swap.options import SwapOptions
from facegen.swap.request import SwapRequest
from facegen.ui.options import parse
from facegen.ui.services import Services, Visitor, link_or_copy

PATCHES = "patches"
"""Folder of the results that holds the new faces alone."""
_KEPT_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


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
    words = f"Video, {info.width} × {info.height}, {info.duration_seconds:.1f} s, "
    words += f"{float(info.frame_rate):.4g} frames/s, {sound}"
    return Target(
        is_picture=False,
        width=info.width,
        height=info.height,
        frames=max(1, info.frame_count),
        seconds=info.duration_seconds,
        words=words,
        poster_rgb=media.read_frame_at(path, index=0).image_rgb,
    )


def request(
    sources: Sequence[str] | None,
    target: str | None,
    settings: Mapping[str, Any],
    people: Mapping[int, Sequence[str]] | None = None,
    trained: Mapping[str, str] | None = None,
) -> SwapRequest:
    """A swap request from what the widgets hold; `start` gives it its output.

    Args:
        sources: files that show the face.
        target: the video or picture that gets it.
        settings: `SwapOptions` by name; an end at or past that of the clip means all of it.
        people: sources by person of the clip.
        trained: engine and merge of a model that knows its own person, which needs no sources.

    Raises:
        InputError: sources or target are missing, or a setting does not fit.
    """
    if trained:
        target = required(target, "a target video or picture")
        options = parse(SwapOptions, _trimmed({**settings, **trained}, target))
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


def start(services: Services, visitor: Visitor, asked: SwapRequest, *, is_patches: bool = False) -> Run:
    """Put a swap into the queue as a run of its own; its files stay with the run, so that it can be resumed later.

    Args:
        services: the studio's.
        visitor: whose it is.
        asked: what is to be done.
        is_patches: write the new faces alone, for compositors (trained models).
    """
    run = Run.create("swap", {"visitor": visitor.mark, "target": Path(asked.target).name, **_plain(asked)})
    inputs = run.path / "inputs"
    inputs.mkdir(exist_ok=True)
    kept: dict[str, str] = {}
    for number, path in enumerate(sorted({asked.target, *(file for group in asked.all_sources() for file in group)})):
        place = inputs / f"{number}-{Path(path).name[-80:]}"
        link_or_copy(Path(path), place)
        kept[path] = str(place)
    asked = replace(
        asked,
        sources=tuple(kept[path] for path in asked.sources),
        people={person: tuple(kept[path] for path in paths) for person, paths in asked.people.items()},
        target=kept[asked.target],
        output=str(run.results / (PATCHES if is_patches else result_name(asked.target))),
    )
    run.enqueue([*arguments(asked, run), *(["--patches"] if is_patches else [])])
    services.start_next()
    return run


def result_name(target: str) -> str:
    """What the result is called: a picture keeps its type where it can be written, a video becomes an mp4."""
    from facegen import media

    path = Path(target)
    if not media.is_picture(target):
        return f"{path.stem[:80]}-swapped.mp4"
    return f"{path.stem[:80]}-swapped{path.suffix.lower() if path.suffix.lower() in _KEPT_SUFFIXES else '.png'}"


def result(run: Run) -> Path | None:
    """The file that a swap made, if it is there."""
    made = [path for path in sorted(run.results.glob("*-swapped.*")) if path.suffix != ".c2pa"]
    return made[0] if made else None


def patches_archive(services: Services, visitor: Visitor, run: Run) -> str | None:
    """A zip file of the patches that a run wrote, for the visitor's browser; nothing where it wrote none."""
    folder = run.results / PATCHES
    if not folder.is_dir():
        return None
    return shutil.make_archive(str(services.visitor_folder(visitor) / f"{run.name}-{PATCHES}"), "zip", folder)


def arguments(asked: SwapRequest, run: Run) -> list[str]:
    """The command that does this swap."""
    command = [sys.executable, "-m", "facegen", "swap"]
    for source in asked.sources:
        command += ["--source", source]
    for person, paths in sorted(asked.people.items()):
        for path in paths:
            command += ["--person-source", f"{person}={path}"]
    command += ["--target", asked.target, "--output", asked.output, "--run", str(run.path), "--consent", "--json"]
    return command + option_flags(asked.options)


def option_flags(options: Any) -> list[str]:
    """The options that differ from their defaults, as flags."""
    flags: list[str] = []
    for item in fields(options):
        value = getattr(options, item.name)
        flag = item.name.replace("_", "-")
        if value == item.default:
            continue
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            flags += [f"--{flag}", str(value)]
    return flags


def preview(services: Services, asked: SwapRequest, frame: int) -> tuple[np.ndarray, np.ndarray, float]:
    """One frame before and after, (H, W, 3) RGB uint8 each, and the seconds that it took.

    Raises:
        InputError: the request cannot be done.
    """
    begun = time.perf_counter()
    before, after = services.pipeline().preview(asked, frame_index=frame)
    return before, after, time.perf_counter() - begun


def find_people(services: Services, target: str | None) -> list[PersonCard]:
    """The people of a clip, longest on screen first, or those of a picture, from the left.

    Raises:
        InputError: there is no target, or it cannot be read.
        NoFaceError: nobody is in it.
    """
    from facegen import media

    path = required(target, "a target video or picture")
    if media.is_picture(path):
        image_rgb = media.read_picture(path)
        faces = sorted(services.pipeline().analyser.detect(image_rgb), key=lambda face: face.box_xyxy[[0, 2]].sum())
        found = [
            PersonCard(person_id=number, share=1.0, thumbnail_rgb=_cut_out(image_rgb, face.box_xyxy))
            for number, face in enumerate(faces)
        ]
    else:
        analysis = services.pipeline().find_people(path)
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


def _plain(asked: SwapRequest) -> dict[str, Any]:
    named = {str(person): [Path(path).name for path in paths] for person, paths in asked.people.items()}
    return {
        "sources": [Path(path).name for path in asked.sources],
        "people": named,
        "options": to_dict(asked.options),
    }
