"""Edits of whole clips with moviepy: trim, join, side by side, replace the sound."""

import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from facegen.errors import InputError, ResourceError
from facegen.media.info import VideoInfo, probe
from facegen.media.join import check_video_output, copy_with_sound
from facegen.media.output import OnProgress
from facegen.media.source import check_readable, display_name, open_input, translate_write_errors

if TYPE_CHECKING:
    from moviepy import VideoClip

PathLike = str | os.PathLike[str]


def trim(
    path: PathLike, output: PathLike, *, start_seconds: float, end_seconds: float, on_progress: OnProgress | None = None
) -> tuple[str, ...]:
    """Writes the piece of a clip between two times.

    Returns:
        Notices: what the edit does not keep.

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
    with _scratch_folder(output) as (stack, scratch):
        clip = _open_clips(stack, scratch, [info])[0]
        piece = clip.subclipped(start_seconds, min(end_seconds, clip.duration))
        _write(piece, scratch, output, on_progress)
    return _sound_notices([info])


def join(paths: Sequence[PathLike], output: PathLike, *, on_progress: OnProgress | None = None) -> tuple[str, ...]:
    """Writes clips one after the other; a smaller one is centred on black.

    Returns:
        Notices: what the edit does not keep.

    Raises:
        InputError: fewer than two clips, or one cannot be read.
        ResourceError: the output cannot be written.
    """
    from moviepy import concatenate_videoclips

    infos = _probe_clips(paths)
    with _scratch_folder(output) as (stack, scratch):
        joined = concatenate_videoclips(_open_clips(stack, scratch, infos), method="compose")
        _write(joined, scratch, output, on_progress)
    return _sound_notices(infos)


def side_by_side(
    paths: Sequence[PathLike], output: PathLike, *, is_stacked: bool = False, on_progress: OnProgress | None = None
) -> tuple[str, ...]:
    """Writes clips next to each other at the height of the first (or stacked, at its width), with its sound.

    Returns:
        Notices: what the edit does not keep.

    Raises:
        InputError: fewer than two clips, or one cannot be read.
        ResourceError: the output cannot be written.
    """
    from moviepy import clips_array

    infos = _probe_clips(paths)
    with _scratch_folder(output) as (stack, scratch):
        clips = _open_clips(stack, scratch, infos)
        first = clips[0]
        fitted = [first]
        for clip in clips[1:]:
            is_same = clip.w == first.w if is_stacked else clip.h == first.h
            size = {"width": first.w} if is_stacked else {"height": first.h}
            fitted.append((clip if is_same else clip.resized(**size)).without_audio())
        rows = [[clip] for clip in fitted] if is_stacked else [fitted]
        _write(clips_array(rows), scratch, output, on_progress)
    return _sound_notices(infos)


def replace_sound(path: PathLike, sound: PathLike, output: PathLike) -> tuple[str, ...]:
    """Gives a clip another sound, cut to its length; the picture is copied packet for packet.

    Args:
        path: the clip.
        sound: any file with sound.
        output: the result.

    Returns:
        Notices: what could not be kept.

    Raises:
        InputError: one of the two cannot be read, or `sound` has none.
        ResourceError: the output cannot be written.
    """
    from moviepy import AudioFileClip

    info = probe(path)
    with open_input(sound, "a file with sound") as container:
        if not container.streams.audio:
            raise InputError(f"Expected sound, found none in {display_name(sound)}: give a file with a sound track.")
    with _scratch_folder(output) as (stack, scratch):
        link = _link_input(scratch, 0, sound)
        clip = stack.enter_context(AudioFileClip(str(link)))
        piece = clip.subclipped(0, min(clip.duration, info.duration_seconds))
        fitted = scratch / "sound.m4a"
        with _translate_moviepy_errors(output):
            piece.write_audiofile(str(fitted), codec="aac", bitrate="192k", logger=None)
            _check_length(fitted, piece.duration)
        return copy_with_sound(path, fitted, output)


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
    link.symlink_to(check_readable(path).resolve())
    return link


def _open_clips(stack: ExitStack, scratch: Path, infos: list[VideoInfo]) -> list[Any]:
    from moviepy import VideoFileClip

    with _translate_moviepy_errors(infos[0].path, is_reading=True):
        clips = [
            stack.enter_context(
                VideoFileClip(
                    str(_link_input(scratch, number, info.path)),
                    # moviepy overlooks the rotation that newer ffmpeg prints; ffmpeg itself turns the picture.
                    target_resolution=(info.width, info.height),
                )
            )
            for number, info in enumerate(infos)
        ]
    # moviepy takes the length of the file, where sound may go on after the last frame.
    lengths = [
        min(clip.duration, info.duration_seconds or clip.duration) for clip, info in zip(clips, infos, strict=True)
    ]
    return [clip.subclipped(0, length) for clip, length in zip(clips, lengths, strict=True)]


def _write(clip: "VideoClip", scratch: Path, output: PathLike, on_progress: OnProgress | None) -> None:
    result = scratch / f"output{Path(output).suffix.lower()}"
    tags = "range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    with _translate_moviepy_errors(output):
        clip.write_videofile(
            str(result),
            codec="libx264",
            preset="veryfast",
            audio_codec="aac",
            audio_bitrate="192k",
            temp_audiofile_path=str(scratch),
            pixel_format="yuv444p" if clip.w % 2 or clip.h % 2 else "yuv420p",
            ffmpeg_params=["-crf", "18", "-vf", f"scale=out_color_matrix=bt709:out_range=tv,setparams={tags}"],
            logger=None if on_progress is None else _progress_logger(on_progress),
        )
        _check_length(result, clip.duration)
    with translate_write_errors(output):
        os.replace(result, output)


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


def _progress_logger(on_progress: OnProgress) -> object:
    from proglog import ProgressBarLogger

    class Logger(ProgressBarLogger):  # type: ignore[misc]  # the library has no types
        def bars_callback(self, bar: str, attr: str, value: int, old_value: int | None = None) -> None:
            total = self.bars[bar]["total"]
            if attr == "index" and total:
                what = "picture" if bar == "frame_index" else "sound"
                on_progress(min(1.0, value / total), what)

    return Logger()
