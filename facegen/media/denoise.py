"""Noise reduction with the filters of libav."""

import os
from collections import deque
from collections.abc import Iterable, Iterator

import av.filter

from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.media.deinterlace import build_graph, pull_frames
from facegen.media.encoders import check_animation, find_encoder
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo, probe
from facegen.media.join import check_video_output, write_video
from facegen.media.output import OnProgress
from facegen.media.read import read_frames

PathLike = str | os.PathLike[str]


def denoise(
    path: PathLike,
    output: PathLike,
    *,
    strength: float = 4.0,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress | None = None,
) -> tuple[str, ...]:
    """Reduces the noise of a clip; times, sound and tags stay.

    8-bit clips go through non-local means, deeper ones through a temporal average and a bilateral filter.

    Args:
        path: the clip.
        output: the result.
        strength: 1 (hardly) to 20 (much); about the standard deviation of the noise in 8-bit levels.
        encode: codec, quality, effort.
        on_progress: called with the share done.

    Returns:
        Notices of `write_video`.

    Raises:
        InputError: the clip cannot be read, or the strength is out of bounds.
        ResourceError: the output cannot be written.
    """
    if not 1 <= strength <= 20:
        raise InputError(f"Expected a strength from 1 to 20, found {strength:g}: 4 suits most clips.")
    info = probe(path)
    check_video_output(output)
    find_encoder(encode, output, info)
    check_animation(output, info.duration_seconds)
    frames = _filter_frames(read_frames(path, keeps_alpha=encode.transparency), _noise_filters(info, strength))
    reported = report_frames(frames, info.frame_count, on_progress)
    return write_video(output, reported, info, sound_from=path, encode=encode)


def _noise_filters(info: VideoInfo, strength: float) -> list[tuple[str, str]]:
    if info.bit_depth == 8:
        return [("nlmeans", f"s={strength:g}:p=3:r=5")]
    a, b = strength * 0.0125, strength * 0.0375
    planes = ":".join(f"{plane}a={a:g}:{plane}b={b:g}" for plane in range(3))
    return [("atadenoise", f"{planes}:s=5"), ("bilateral", f"sigmaS=2:sigmaR={strength * 0.0075:g}")]


def _filter_frames(frames: Iterable[Frame], filters: list[tuple[str, str]]) -> Iterator[Frame]:
    """Runs frames through a chain of libav filters that keeps their number and order."""
    waiting: deque[Frame] = deque()
    graph: av.filter.Graph | None = None
    for frame in frames:
        if graph is None:
            graph = build_graph(frame.native, filters, frame.time_base)
        waiting.append(frame)
        frame.native.pts, frame.native.time_base = frame.pts, frame.time_base
        graph.vpush(frame.native)
        yield from (waiting.popleft().replace(native=native) for native in pull_frames(graph))
    if graph is not None:
        graph.vpush(None)
        yield from (waiting.popleft().replace(native=native) for native in pull_frames(graph))


def report_frames(frames: Iterable[Frame], count: int, on_progress: OnProgress | None) -> Iterator[Frame]:
    """Yields `frames`, telling how many of `count` are done."""
    for done, frame in enumerate(frames, 1):
        yield frame
        if on_progress is not None:
            on_progress(min(1.0, done / max(1, count)), f"{done} of {count} frames")
