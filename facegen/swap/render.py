"""The second pass: frames with tracked faces in, swapped frames out, in order, several frames in parallel."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from facegen import media
from facegen.faces import Face
from facegen.jobs.ordered_map import ordered_map
from facegen.swap.assignment import FaceAssignment
from facegen.swap.engines.protocol import GROUP_FRAMES, BatchEngine, Engine, Prediction
from facegen.swap.enhancement import finish_patch
from facegen.swap.frame_finish import finish_frame
from facegen.swap.options import SwapOptions

T = TypeVar("T")
R = TypeVar("R")


def sliding_windows(items: Iterable[T], radius: int) -> Iterator[tuple[list[T], int]]:
    """For each item of a stream the window of up to `radius` items before and after it, and its index in the window."""
    window: deque[T] = deque()
    centre = 0
    for item in items:
        window.append(item)
        if len(window) > centre + radius:
            yield list(window), centre
            if centre < radius:
                centre += 1
            else:
                window.popleft()
    while centre < len(window):
        yield list(window), centre
        if centre < radius:
            centre += 1
        else:
            window.popleft()


WORKERS = 2
"""Threads that predict and composite, one frame each."""

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
            self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Count seconds of work for `name`."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def iterate(self, name: str, items: Iterable[media.Frame]) -> Iterator[media.Frame]:
        """Yield items, counting the time spent waiting for them."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                item = next(iterator, None)
            if item is None:
                return
            yield item


@dataclass(frozen=True, kw_only=True)
class SwappedFrame:
    """One frame of the result."""

    frame: media.Frame
    """With the new faces in it; unchanged where there was none to swap."""

    faces: int = 0
    """How many faces were replaced in it."""


@dataclass(frozen=True, kw_only=True)
class PredictedFrame:
    """One frame of the target whose faces are ready to be composited."""

    frame: media.Frame
    """As it is in the target."""

    predictions: dict[int, Prediction]
    """Its faces, by track."""

    statistics: dict[int, object] = field(default_factory=dict)
    """Their smoothed frame statistics, by track."""

    points5: dict[int, np.ndarray] = field(default_factory=dict)
    """(5, 2) `Face.points5`, by track."""


def predict_frames(
    frames: Iterable[media.Frame],
    assign: Callable[[media.Frame], list[FaceAssignment]],
    *,
    engine: Engine,
    options: SwapOptions,
    pool: Executor,
    clock: StageClock,
) -> Generator[PredictedFrame, None, None]:
    """Predict the new faces of a stream of frames and smooth their statistics over time.

    The result for a frame depends on that frame and on the `engine.window_radius` frames before and after it alone, as
    long as reading begins at a multiple of `GROUP_FRAMES`.

    Args:
        frames: consecutive frames of the target.
        assign: selects the faces of a frame to be swapped.
        engine: computes the new faces.
        options: its strengths.
        pool: runs the predictions.
        clock: counts the time.
    """

    def predict(group: list[media.Frame]) -> list[PredictedFrame]:
        predicted: list[PredictedFrame] = []
        previous: dict[int, Prediction] = {}
        for frame in group:
            with clock.stage("predict"):
                items = assign(frame)
                faces = [(item.face, item.identity, previous.get(item.track)) for item in items]
                made = _predict_faces(engine, frame.image_rgb, faces, options)
                previous = {item.track: one for item, one in zip(items, made, strict=True)}
            points5 = {item.track: item.face.points5 for item in items}
            predicted.append(PredictedFrame(frame=frame, predictions=previous, points5=points5))
        return predicted

    # by their index, so that the groups are the same wherever reading began
    groups = (list(group) for _, group in itertools.groupby(frames, lambda frame: frame.index // GROUP_FRAMES))
    predicted = itertools.chain.from_iterable(ordered_map(predict, groups, pool, ahead=_AHEAD))
    for window, centre in sliding_windows(predicted, engine.window_radius):
        item = window[centre]
        with clock.stage("smooth"):
            statistics = {
                track: engine.smooth(*_track_window(window, centre, track), options) for track in item.predictions
            }
        yield replace(item, statistics=statistics)


def _predict_faces(
    engine: Engine, image_rgb: np.ndarray, faces: Sequence[tuple[Face, Any, Any]], options: SwapOptions
) -> Sequence[Prediction]:
    """The predictions of the faces of one frame, together where the engine can."""
    if isinstance(engine, BatchEngine):
        return engine.predict_faces(image_rgb, faces, options)
    return [engine.predict(image_rgb, face, identity, options, previous=previous) for face, identity, previous in faces]


def swap_frames(
    frames: Iterable[media.Frame],
    assign: Callable[[media.Frame], list[FaceAssignment]],
    *,
    engine: Engine,
    options: SwapOptions,
    pool: Executor,
    clock: StageClock,
) -> Generator[SwappedFrame, None, None]:
    """Swap the faces of a stream of frames; for the arguments see `predict_frames`."""

    def composite(item: PredictedFrame) -> SwappedFrame:
        with clock.stage("composite"):
            patches = [
                finish_patch(
                    engine.composite(prediction, item.statistics[track], options, seed=noise_seed(item.frame, track)),
                    item.frame.image_rgb,
                    item.points5[track],
                    options,
                )
                for track, prediction in item.predictions.items()
            ]
        with clock.stage("paste"):
            frame = item.frame.paste(patches) if patches else item.frame
        if options.frame_chain:
            with clock.stage("frame"):
                frame = finish_frame(frame, options)
        return SwappedFrame(frame=frame, faces=len(patches))

    predicted = predict_frames(frames, assign, engine=engine, options=options, pool=pool, clock=clock)
    return ordered_map(composite, predicted, pool, ahead=_AHEAD)


def swap_image(
    image_rgb: np.ndarray, assignments: Iterable[FaceAssignment], engine: Engine, options: SwapOptions
) -> np.ndarray:
    """Swap the faces of a single picture: (H, W, 3) RGB uint8 in and out."""
    patches, items = [], list(assignments)
    faces = [(item.face, item.identity, None) for item in items]
    for item, prediction in zip(items, _predict_faces(engine, image_rgb, faces, options), strict=True):
        statistics = engine.smooth([prediction.statistics], 0, options)
        patch = engine.composite(prediction, statistics, options, seed=item.track & 0xFFFF)
        patches.append(finish_patch(patch, image_rgb, item.face.points5, options))
    return media.paste_picture(image_rgb, patches)


def _track_window(window: list[PredictedFrame], centre: int, track: int) -> tuple[list[object], int]:
    """Statistics of one track in the consecutive frames around the centre that show it, and the centre's index in them."""
    first = last = centre
    while first > 0 and track in window[first - 1].predictions:
        first -= 1
    while last + 1 < len(window) and track in window[last + 1].predictions:
        last += 1
    return [window[index].predictions[track].statistics for index in range(first, last + 1)], centre - first


def noise_seed(frame: media.Frame, track: int) -> int:
    """Seed of the noise on a face in a frame."""
    return (frame.index * 1009 + track) & 0x7FFFFFFF
