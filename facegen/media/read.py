"""Reads frames of a video file, each with its own timestamp; on demand ahead, in a thread."""

import bisect
import itertools
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from facegen.errors import InputError
from facegen.media.apart import apart, each_apart
from facegen.media.color import read_color
from facegen.media.deinterlace import deinterlace
from facegen.media.frame import Frame
from facegen.media.info import has_alpha, probe, read_pixel_aspect
from facegen.media.orientation import apply_orientation, read_orientation
from facegen.media.packets import Clock, read_packets, survey_picture
from facegen.media.patch import Patch
from facegen.media.planes import fit_planes, plane_view
from facegen.media.source import (
    check_readable,
    check_size,
    decode_packets,
    display_name,
    file_key,
    main_video,
    open_input,
    translate_read_errors,
)

T = TypeVar("T")
_END = object()


def prefetch(items: Iterable[T], depth: int = 8) -> Iterator[T]:
    """Yields `items` while a thread produces the next ones, at most `depth` of them ahead.

    An exception of the thread is raised here, after the items before it. Closing this generator early (a `break`, an
    exception) closes `items` and joins the thread.
    """
    waiting: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    errors: list[BaseException] = []

    def put(item: object) -> bool:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                if not put(item):
                    break
        except BaseException as error:  # raised again in the consumer
            errors.append(error)
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            put(_END)

    thread = threading.Thread(target=produce, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            yield item
        if errors:
            raise errors[0]
    finally:
        stop.set()
        thread.join()


# a float is rarely the exact time of a frame; a time within a microsecond of a frame selects it
_SLACK = Fraction(1, 1_000_000)


@each_apart
def read_frames(
    path: str | os.PathLike[str],
    *,
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    start_index: int = 0,
    every: int = 1,
    depth: int = 8,
    keeps_alpha: bool = False,
) -> Iterator[Frame]:
    """Decodes a video in its own thread, frame by frame, at most `depth` frames ahead of the consumer.

    Args:
        path: the video.
        start_seconds: leaves out frames before this time.
        end_seconds: leaves out frames at and after this time; None reads to the end.
        start_index: leaves out frames before this index (to go on where something stopped).
        every: yields the first frame and then every `every`-th one.
        depth: bound of the queue.
        keeps_alpha: frames keep their transparency as `Frame.alpha`; else it is flattened on white.

    Yields:
        Frames in order of display, upright, with the index they have in the whole clip.

    Raises:
        InputError: the file cannot be read, or holds no frame between the two times.
    """
    check_readable(path)
    frames = _decode(path, start_seconds, end_seconds, start_index, every, keeps_alpha)
    return prefetch(frames, depth)


@apart
def read_frame_at(path: str | os.PathLike[str], *, seconds: float | None = None, index: int | None = None) -> Frame:
    """Decodes one frame, for previews: the one shown at `seconds`, or the one with `index`; past the end, the last.

    Raises:
        InputError: the file cannot be read.
    """
    times, time_base = frame_times(path)
    if index is None:
        tick = ((Fraction(seconds or 0.0) + _SLACK) / time_base).__floor__()
        index = bisect.bisect_right(times, tick) - 1
    index = min(max(index, 0), len(times) - 1)
    for frame in _decode(path, 0.0, None, index, 1, keeps_alpha=False):
        return frame
    raise InputError(f"Expected a frame number {index}, found none in {display_name(path)}: the file is damaged there.")


def frame_times(path: str | os.PathLike[str]) -> tuple[tuple[int, ...], Fraction]:
    """The timestamps of all frames in order of display, and their unit in seconds, without decoding.

    Raises:
        InputError: the file cannot be read or holds no frame.
    """
    found = survey_picture(path)
    return found.times, found.time_base


def key_frames(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """The indices of the frames at which decoding can begin, in order of display; () where the file does not say.

    Raises:
        InputError: the file cannot be read or holds no frame.
    """
    return survey_picture(path).keys


def _decode(
    path: str | os.PathLike[str],
    start_seconds: float,
    end_seconds: float | None,
    start_index: int,
    every: int,
    keeps_alpha: bool,
) -> Iterator[Frame]:
    times, time_base = frame_times(path)
    target = max(start_index, bisect.bisect_left(times, (Fraction(start_seconds) - _SLACK) / time_base))
    if target >= len(times):
        raise InputError(
            f"Expected a start within {display_name(path)} ({len(times)} frames, {float(times[-1] * time_base):.2f} s), "
            f"found one past its end: choose an earlier start."
        )
    stored_hw = _first_size(file_key(path))
    with ExitStack() as stack, translate_read_errors(path):
        container = stack.enter_context(open_input(path))
        stream, clock = _open_stream(container, path)
        index, natives = 0, decode_packets(stream, read_packets(container, [stream], path))
        if target and not survey_picture(path).jumps:
            landed = _seek(container, stream, clock, times, target, path)
            if landed is None:
                container = stack.enter_context(open_input(path))
                stream, clock = _open_stream(container, path)
                landed = 0, decode_packets(stream, read_packets(container, [stream], path))
            index, natives = landed
        is_empty = True
        for native in deinterlace(natives):
            check_size(native.width, native.height, path)
            is_empty = False
            tick = clock.tick(native.pts)
            if tick < times[0]:
                continue
            # frames that could not be decoded leave out their index
            nearest = bisect.bisect_left(times, tick, index)
            index = nearest if nearest < len(times) and times[nearest] == tick else index
            if end_seconds is not None and tick * clock.time_base + _SLACK >= end_seconds:
                break
            if index >= target and (index - target) % every == 0:
                yield _to_frame(native, index, tick, clock.time_base, read_pixel_aspect(stream), stored_hw, keeps_alpha)
            index += 1
    if is_empty:
        raise InputError(
            f"Expected a video with frames, found none in {display_name(path)}: export or download it again."
        )


@lru_cache(maxsize=32)
def _first_size(key: tuple[str, int, int]) -> tuple[int, int]:
    """Height and width of the first frame, turned, in stored pixels: the size of all of them."""
    info = probe(key[0])
    return info.height, info.width


def _open_stream(container: InputContainer, path: str | os.PathLike[str]) -> tuple[VideoStream, Clock]:
    stream = main_video(container, path)
    stream.thread_type = "AUTO"
    return stream, Clock(container, stream)


def _seek(
    container: InputContainer,
    stream: VideoStream,
    clock: Clock,
    times: tuple[int, ...],
    target: int,
    path: str | os.PathLike[str],
) -> tuple[int, Iterator[av.VideoFrame]] | None:
    """Decodes from a key frame at or before frame `target`; None where the file does not allow it.

    A seek may land on a key frame that is shown after the target, so the first decoded frame is looked at, and
    the search begins anew further back.

    Returns:
        The index of the first decoded frame, and the frames.
    """
    for back_seconds in (0, 3, 12):
        tick = times[target] - round(back_seconds / clock.time_base)
        if tick <= times[0]:
            return None
        container.seek(tick + clock.origin, stream=stream)
        natives = decode_packets(stream, read_packets(container, [stream], path))
        first = next(natives, None)
        if first is not None and first.pts is not None:
            landed = first.pts - clock.origin
            position = bisect.bisect_left(times, landed)
            # an interlaced frame is drawn from the one before it, too
            nearest = target - 1 if first.interlaced_frame else target
            if position <= nearest and times[position] == landed:
                return position, itertools.chain([first], natives)
    return None


def _to_frame(
    native: av.VideoFrame,
    index: int,
    tick: int,
    time_base: Fraction,
    pixel_aspect: Fraction,
    stored_hw: tuple[int, int],
    keeps_alpha: bool,
) -> Frame:
    color, orientation = read_color(native), read_orientation(native)
    turned_hw = stored_hw[::-1] if orientation.is_transposed else stored_hw
    if has_alpha(native) and (native.height, native.width) != turned_hw:
        native = native.reformat(width=turned_hw[1], height=turned_hw[0])
    planar = apply_orientation(native, orientation, color)
    if (planar.height, planar.width) != stored_hw:
        planar = fit_planes(planar, stored_hw, color)
    frame = Frame(
        planar,
        index=index,
        pts=tick,
        time_base=time_base,
        duration=native.duration or 0,
        color=color,
        pixel_aspect=1 / pixel_aspect if orientation.is_transposed else pixel_aspect,
    )
    if not has_alpha(native):
        return frame
    deep = native.reformat(format="yuva444p10le" if frame.bit_depth > 8 else "yuva444p")
    alpha = orientation.turn(plane_view(deep, 3)).copy()
    if keeps_alpha:
        return frame.replace(alpha=alpha)
    hidden = 1.0 - alpha.astype(np.float32) / ((1 << frame.bit_depth) - 1)
    white = Patch(x=0, y=0, image_rgb=np.full((*hidden.shape, 3), 255, np.uint8), alpha=hidden)
    return frame.replace(pixel_aspect=Fraction(1)).paste([white]).replace(pixel_aspect=frame.pixel_aspect)
