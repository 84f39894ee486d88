"""Edits of whole clips: trim, join, side by side, replace the sound (edited with moviepy), reduce the noise."""

import os
import shutil
import tempfile
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import av.filter

from facegen.encoding import EncodeOptions
from facegen.errors import InputError, ResourceError
from facegen.media.compose import Canvas, Rectangle, frames_in_sequence, frames_side_by_side
from facegen.media.deinterlace import build_graph, pull_frames
from facegen.media.encoders import check_animation, find_encoder
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo, probe
from facegen.media.join import check_video_output, copy_with_sound, write_video
from facegen.media.output import OnProgress
from facegen.media.read import read_frames
from facegen.media.source import check_readable, display_name, open_input, translate_write_errors
from facegen.system import link_path

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


def trim(
    path: PathLike,
    output: PathLike,
    *,
    start_seconds: float,
    end_seconds: float,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress | None = None,
) -> tuple[str, ...]:
    """Writes the piece of a clip between two times; frames keep their own times, all sound is copied.

    Returns:
        Notices of `write_video`.

    Raises:
        InputError: the clip cannot be read, or the times are not within it.
        ResourceError: the output cannot be written.
    """
    info = probe(path)
    if not 0 <= start_seconds < min(end_seconds, info.duration_seconds):
        raise InputError(
            f"Expected a start before an end within {info.duration_seconds:.2f} s, found {start_seconds:g} and "
            f"{end_seconds:g}: choose other times."
        )
    find_encoder(encode, check_video_output(output), info)
    length = min(end_seconds, info.duration_seconds) - start_seconds
    check_animation(output, length)
    frames = read_frames(path, start_seconds=start_seconds, end_seconds=end_seconds, keeps_alpha=encode.transparency)
    reported = report_frames(frames, max(1, round(length * info.frame_rate)), on_progress)
    return write_video(output, reported, info, sound_from=path, encode=encode, is_trimmed=True)


def join(
    paths: Sequence[PathLike],
    output: PathLike,
    *,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress | None = None,
) -> tuple[str, ...]:
    """Writes clips one after the other, each frame with its own time; a smaller one is centred on black.

    Returns:
        Notices: what the edit does not keep.

    Raises:
        InputError: fewer than two clips, or one cannot be read.
        ResourceError: the output cannot be written.
    """
    infos = _probe_clips(paths)
    canvas = Canvas(infos)
    sizes = [canvas.size_of(info) for info in infos]
    canvas.resize(max(width for width, _ in sizes), max(height for _, height in sizes))
    check_animation(output, sum(info.duration_seconds for info in infos))
    find_encoder(encode, check_video_output(output), canvas.like)
    count = sum(info.frame_count for info in infos)
    with _scratch_folder(output) as (stack, scratch):
        sound = _join_sound(stack, scratch, infos, output)
        frames = report_frames(frames_in_sequence(canvas, infos), count, on_progress)
        notices = write_video(output, frames, canvas.like, sound_from=sound, encode=encode)
    return (*canvas.notices, *_sound_notices(infos), *notices)


def side_by_side(
    paths: Sequence[PathLike],
    output: PathLike,
    *,
    is_stacked: bool = False,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress | None = None,
) -> tuple[str, ...]:
    """Writes clips next to each other at the height of the first (or stacked, at its width), with its sound.

    Returns:
        Notices: what the edit does not keep.

    Raises:
        InputError: fewer than two clips, or one cannot be read.
        ResourceError: the output cannot be written.
    """
    infos = _probe_clips(paths)
    canvas = Canvas(infos)
    first_width, first_height = canvas.size_of(infos[0])
    rectangles: list[Rectangle] = []
    at = 0
    for info in infos:
        width, height = canvas.size_of(info)
        scale = first_width / width if is_stacked else first_height / height
        width, height = round(width * scale), round(height * scale)
        rectangles.append((0, at, width, height) if is_stacked else (at, 0, width, height))
        at += height if is_stacked else width
    canvas.resize(*((first_width, at) if is_stacked else (at, first_height)))
    find_encoder(encode, check_video_output(output), canvas.like)
    longest = max(info.duration_seconds for info in infos)
    check_animation(output, longest)
    count = round(longest * canvas.like.frame_rate)
    frames = report_frames(frames_side_by_side(canvas, infos, rectangles), count, on_progress)
    return (*canvas.notices, *write_video(output, frames, canvas.like, sound_from=paths[0], encode=encode))


def replace_sound(path: PathLike, sound: PathLike, output: PathLike) -> tuple[str, ...]:
    """Gives a clip another sound, cut to its length; picture and subtitles are copied packet for packet.

    Args:
        path: the clip.
        sound: any file with sound; its first track is copied where the container takes it.
        output: the result.

    Returns:
        Notices: what could not be kept.

    Raises:
        InputError: one of the two cannot be read, or `sound` has none.
        ResourceError: the output cannot be written.
    """
    with open_input(sound, "a file with sound") as container:
        if not container.streams.audio:
            raise InputError(f"Expected sound, found none in {display_name(sound)}: give a file with a sound track.")
    return copy_with_sound(path, sound, output)


def _probe_clips(paths: Sequence[PathLike]) -> list[VideoInfo]:
    if len(paths) < 2:
        raise InputError(f"Expected at least two clips, found {len(paths)}: add another.")
    return [probe(path) for path in paths]


def _sound_notices(infos: list[VideoInfo]) -> tuple[str, ...]:
    if any(len(info.audio) > 1 for info in infos):
        return ("Only the first sound track of each clip is kept by this edit.",)
    return ()


@contextmanager
def _scratch_folder(output: PathLike) -> Iterator[tuple[ExitStack, Path]]:
    """A stack for moviepy's clips and a folder beside the output for its files; closed and removed afterwards."""
    target = check_video_output(output)
    with translate_write_errors(target):
        scratch = Path(tempfile.mkdtemp(prefix=".facegen-", dir=target.absolute().parent))
    try:
        # moviepy warns of pipes that it leaves to the garbage collector and of clips a frame short; both are harmless.
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("ignore")
            try:
                yield stack, scratch
            except BaseException as error:
                # Lets go of moviepy's writers, whose ffmpeg would otherwise go on writing into the folder.
                traceback.clear_frames(error.__traceback__)
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _link_input(scratch: Path, number: int, path: PathLike) -> Path:
    """A link with a plain name: moviepy parses what ffmpeg prints, where a hostile name could fake any line."""
    link = scratch / f"input{number}"
    link_path(check_readable(path).resolve(), link)
    return link


def _join_sound(stack: ExitStack, scratch: Path, infos: list[VideoInfo], output: PathLike) -> Path | None:
    """The first sound tracks of clips one after the other, each from the beginning of its picture; None without any."""
    from moviepy import AudioFileClip, CompositeAudioClip

    begin, pieces = 0.0, []
    for number, info in enumerate(infos):
        if info.audio:
            with _translate_moviepy_errors(info.path, is_reading=True):
                clip = stack.enter_context(AudioFileClip(str(_link_input(scratch, number, info.path))))
            pieces.append(clip.subclipped(0, min(clip.duration, info.duration_seconds)).with_start(begin))
        begin += info.duration_seconds
    if not pieces:
        return None
    return _write_sound(CompositeAudioClip(pieces), scratch, output)


def _write_sound(clip: Any, scratch: Path, output: PathLike) -> Path:
    """Encodes sound of moviepy; `output` is named where that fails."""
    sound = scratch / "sound.m4a"
    with _translate_moviepy_errors(output):
        clip.write_audiofile(
            str(sound), fps=getattr(clip, "fps", None) or 44_100, codec="aac", bitrate="192k", logger=None
        )
        _check_length(sound, clip.duration)
    return sound


@contextmanager
def _translate_moviepy_errors(path: PathLike, is_reading: bool = False) -> Iterator[None]:
    """Translates moviepy's OSError, which holds the whole output of ffmpeg, into one sentence."""
    try:
        yield
    except OSError as error:
        if is_reading:
            raise InputError(
                f"Expected a video, found {display_name(path)}, which cannot be read: export it again."
            ) from error
        if "No space left" in str(error) or shutil.disk_usage(Path(path).absolute().parent).free < 1 << 16:
            raise ResourceError(
                f"The disk is full: {display_name(path)} could not be written; free some space or choose another place."
            ) from error
        raise ResourceError(
            f"{display_name(path)} could not be written by ffmpeg: try another place or name."
        ) from error


def _check_length(result: Path, seconds: float) -> None:
    """Raises OSError when ffmpeg left a broken or short file: moviepy does not check its exit status."""
    try:
        with open_input(result, "a whole file") as container:
            written = (container.duration or 0) / av.time_base
    except InputError as error:
        raise OSError("ffmpeg left a broken file") from error
    if written < seconds - 0.25:
        raise OSError(f"ffmpeg wrote {written:.2f} of {seconds:.2f} s")
