"""From a video to the folder of the DFRF reference, step by step; finished steps are kept and not repeated."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from facegen import config, media
from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.jobs import OnProgress
from facegen.jobs.cache import file_fingerprint
from facegen.media.source import check_readable
from facegen.talk.clips import list_clips
from facegen.talk.dfrf.folder import STEPS, PreparationState, PreparedFolder
from facegen.talk.dfrf.steps import PreparationSteps
from facegen.talk.jobs import PREPARED_PEOPLE

MIN_FRAMES = 50
MAX_SIDE = 1024
"""Larger frames are scaled down to this many pixels."""


def prepare(
    video: Path,
    folder: Path,
    *,
    train_share: float = 0.6,
    seconds: float | None = None,
    analyser: FaceAnalyser | None = None,
    on_progress: OnProgress = lambda _share, _text: None,
) -> PreparedFolder:
    """Runs the steps that are missing.

    Args:
        video: one person who speaks, seen from the front by a camera that stands still.
        folder: where the files go.
        train_share: share of the frames, the first ones, that are training frames; the others are held out.
        seconds: only the first so many seconds of the video.
        analyser: finds the face.
        on_progress: called with (0..1, text); may raise Cancelled, after which the same call goes on.

    Raises:
        InputError: the video cannot be read, has no sound, shows no face in some frames, or is too short; or the
            folder holds another video.
    """
    prepared = PreparedFolder(folder)
    state = _open_state(video, prepared, train_share, seconds)
    steps = PreparationSteps(video, prepared, state, analyser, on_progress)
    for step in STEPS:
        if step not in state.done:
            steps.run(step)
    return prepared


def prepare_people(folder: Path) -> list[PreparedFolder]:
    """A prepared folder; or those in a folder, and its videos, which are prepared in facegen's home the first time.

    Raises:
        InputError: there is neither.
    """
    if PreparedFolder(folder).state_path.exists():
        return [PreparedFolder(folder)]
    people = [PreparedFolder(path.parent) for path in sorted(folder.glob("*/steps.json"))]
    for video in list_clips(folder):
        if video.parent == folder:
            target = PREPARED_PEOPLE.path(file_fingerprint(video))
            people.append(prepare(video, target))
            os.utime(target)
    PREPARED_PEOPLE.prune()
    if not people:
        raise InputError(
            f"Expected a folder with a video of somebody who speaks, or one made by «facegen talk train», found neither "
            f"in {folder}; put one there, or several for a base."
        )
    return people


def _open_state(video: Path, folder: PreparedFolder, train_share: float, seconds: float | None) -> PreparationState:
    """The state of the folder, without steps that come after a missing one; a new one where there is none."""
    size = check_readable(video).stat().st_size
    if folder.state_path.exists():
        state = folder.state
        if (state.video, state.size_bytes) != (video.name, size):
            raise InputError(
                f"Expected the folder of {video.name!r}, found that of {state.video!r} in {folder.path}; "
                "choose another folder."
            )
        # a step that is missing, as in a folder made before there was such a step, is followed by all after it
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(STEPS, state.done, strict=False))
        return replace(state, done=tuple(step for step, _ in pairs))
    info = media.probe(video)
    pts, time_base = media.frame_times(video)
    times = np.array([float(tick * time_base) for tick in pts])
    count = int((times - times[0] < (seconds or np.inf)).sum())
    if count < MIN_FRAMES:
        raise InputError(
            f"Expected a video of at least {MIN_FRAMES} frames, found {count} in {video.name!r}; "
            "give a longer one, a quarter of a minute or more."
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    state = PreparationState(
        video=video.name,
        size_bytes=size,
        frame_count=count,
        frame_rate=float(info.frame_rate),
        train_frames=max(MIN_FRAMES // 2, round(count * train_share)),
        scale=min(1.0, MAX_SIDE / max(info.size_hw)),
    )
    config.save(folder.state_path, state)
    return state
