"""The second pass: frames with known faces in, swapped frames out, in order, several under way at once."""

import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from facegen import media
from facegen.swap.cast import Part
from facegen.swap.engines import Draft, Engine
from facegen.swap.options import SwapOptions
from facegen.swap.parallel import ordered_map, windows

WORKERS = 2
"""Frames worked on at the same moment."""

_AHEAD = WORKERS + 1


class StageClock:
    """Adds up the seconds that each stage worked, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the body's time for `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def watched(self, name: str, items: Iterable[media.Frame]) -> Iterator[media.Frame]:
        """Pass items on, counting the time spent waiting for them."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = next(iterator, None)
            if item is None:
                return
            yield item


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """One frame of the target after its turn."""

    frame: media.Frame
    """With the new faces in it; unchanged where there was none to swap."""

    faces: int = 0
    """How many faces were replaced in it."""


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """One frame of the target whose faces are ready to be rendered."""

    frame: media.Frame
    """As it is in the target."""

    drafts: dict[int, Draft]
    """Its faces on their way, by track."""

    cues: dict[int, object] = field(default_factory=dict)
    """What was settled for each of them."""


def drafted_frames(
    frames: Iterable[media.Frame],
    parts_of: Callable[[media.Frame], list[Part]],
    *,
    engine: Engine,
    options: SwapOptions,
    pool: Executor,
    clock: StageClock,
) -> Iterator[Drafted]:
    """Draft the faces of a stream of frames and settle what has to be calm over time.

    What comes out for a frame depends on that frame and on the `engine.look_around` frames before and after it alone,
    as long as reading begins at an even number.

    Args:
        frames: consecutive frames of the target.
        parts_of: the faces of a frame to be swapped.
        engine: what makes the new faces.
        options: its strengths.
        pool: where the frames are worked on.
        clock: where the time is counted.
    """

    def draft(pair: list[media.Frame]) -> list[Drafted]:
        drafted: list[Drafted] = []
        before: dict[int, Draft] = {}
        for frame in pair:
            with clock.stage("draft"):
                before = {
                    part.track: engine.draft(
                        frame.image_rgb, part.face, part.identity, options, before=before.get(part.track)
                    )
                    for part in parts_of(frame)
                }
            drafted.append(Drafted(frame=frame, drafts=before))
        return drafted

    # by their number, so that the pairs are the same wherever reading began
    pairs = (list(pair) for _, pair in itertools.groupby(frames, lambda frame: frame.index // 2))
    drafted = itertools.chain.from_iterable(ordered_map(draft, pairs, pool, ahead=_AHEAD))
    for window, centre in windows(drafted, engine.look_around):
        item = window[centre]
        with clock.stage("settle"):
            cues = {track: engine.settle(*_track_window(window, centre, track), options) for track in item.drafts}
        yield Drafted(frame=item.frame, drafts=item.drafts, cues=cues)


def swap_frames(
    frames: Iterable[media.Frame],
    parts_of: Callable[[media.Frame], list[Part]],
    *,
    engine: Engine,
    options: SwapOptions,
    pool: Executor,
    clock: StageClock,
) -> Generator[Swapped, None, None]:
    """Swap the faces of a stream of frames; arguments and what they promise are those of `drafted_frames`."""

    def render(item: Drafted) -> Swapped:
        with clock.stage("render"):
            patches = [
                engine.render(item.drafts[track], item.cues[track], options, seed=noise_seed(item.frame, track))
                for track in item.drafts
            ]
        if not patches:
            return Swapped(frame=item.frame)
        with clock.stage("paste"):
            frame = item.frame.paste(patches)
        return Swapped(frame=frame, faces=len(patches))

    drafted = drafted_frames(frames, parts_of, engine=engine, options=options, pool=pool, clock=clock)
    return ordered_map(render, drafted, pool, ahead=_AHEAD)


def swap_image(image_rgb: np.ndarray, parts: Iterable[Part], engine: Engine, options: SwapOptions) -> np.ndarray:
    """Swap the faces of one picture, knowing no other: (H, W, 3) RGB uint8 in and out."""
    patches = []
    for part in parts:
        draft = engine.draft(image_rgb, part.face, part.identity, options)
        patches.append(engine.render(draft, engine.settle([draft.cues], 0, options), options, seed=part.track & 0xFFFF))
    return media.paste_picture(image_rgb, patches)


def _track_window(window: list[Drafted], centre: int, track: int) -> tuple[list[object], int]:
    """The cues of one track in the unbroken stretch round the centre, and the centre's place in it."""
    first = last = centre
    while first > 0 and track in window[first - 1].drafts:
        first -= 1
    while last + 1 < len(window) and track in window[last + 1].drafts:
        last += 1
    return [window[place].drafts[track].cues for place in range(first, last + 1)], centre - first


def noise_seed(frame: media.Frame, track: int) -> int:
    """Where the noise on a face in a frame comes from."""
    return (frame.index * 1009 + track) & 0x7FFFFFFF
