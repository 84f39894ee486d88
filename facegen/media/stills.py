"""Frames of a video as pictures in a folder, and a video of the pictures in a folder."""

import bisect
import json
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from facegen.encoding import EncodeOptions
from facegen.errors import InputError, ResourceError
from facegen.json_file import read_object
from facegen.media.color import BT709
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo
from facegen.media.join import write_video
from facegen.media.output import OnProgress, atomic_output
from facegen.media.picture import is_picture, read_picture, write_picture
from facegen.media.read import frame_times, read_frames
from facegen.media.source import display_name, translate_write_errors

TIMES_FILE = "frames.json"
"""Written beside the stills: which frame each is and when it was shown, so that they become the same video again."""


def frames_to_folder(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    rate: float | None = None,
    longest_side: int | None = None,
    suffix: str = ".png",
    start_seconds: float = 0.0,
    end_seconds: float | None = None,
    on_progress: OnProgress | None = None,
) -> int:
    """Writes frames of a video as pictures, with `frames.json` beside them.

    Args:
        path: the video.
        folder: where to; made when it is missing.
        rate: stills a second, each the frame shown at that moment; None writes every frame.
        longest_side: pixels to which larger frames are brought down; None keeps the size.
        suffix: .png, .jpg or .webp.
        start_seconds: leaves out what comes before.
        end_seconds: leaves out what comes at and after this time.
        on_progress: called with the share done.

    Returns:
        The number of stills.

    Raises:
        InputError: the video cannot be read, or rate or size are not above 0.
        ResourceError: the folder cannot be written.
    """
    if (rate is not None and rate <= 0) or (longest_side is not None and longest_side < 1):
        raise InputError(
            f"Expected a rate and a size above 0, found {rate} and {longest_side}: leave them out for all."
        )
    target = Path(folder)
    with translate_write_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    times, time_base = frame_times(path)
    last = bisect.bisect_left(times, Fraction(end_seconds) / time_base) if end_seconds is not None else len(times)
    wanted = _select_indices(times[:last], time_base, rate, start_seconds)
    listed: list[dict[str, object]] = []
    for frame in read_frames(path, start_seconds=start_seconds, end_seconds=end_seconds):
        if wanted is not None and frame.index not in wanted:
            continue
        name = f"frame_{frame.index:08d}{suffix}"
        write_picture(target / name, _fit_size(frame.image_rgb, longest_side))
        listed.append({"file": name, "index": frame.index, "pts": frame.pts, "duration": frame.duration})
        if on_progress is not None:
            on_progress(frame.index / max(1, last), f"{len(listed)} stills")
    about = {"source": Path(path).name, "time_base": [time_base.numerator, time_base.denominator], "frames": listed}
    with atomic_output(target / TIMES_FILE) as temporary:
        temporary.write_text(json.dumps(about, indent=1), encoding="utf-8")
    return len(listed)


def folder_to_video(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    rate: float | None = None,
    sound_from: str | os.PathLike[str] | None = None,
    encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
    on_progress: OnProgress | None = None,
) -> tuple[str, ...]:
    """Makes a video of the pictures in a folder, in the order of their names (frame2 before frame10).

    Args:
        folder: the pictures; the first one sets the size, others are brought to it.
        output: the video; see `write_video`.
        rate: frames a second; None takes the times of `frames.json` where it is there, else 25.
        sound_from: a file whose sound is added, from its beginning; of the clip that the stills came from, what was heard
            with them.
        encode: codec, quality, effort.
        on_progress: called with the share done.

    Returns:
        Notices of `write_video`.

    Raises:
        InputError: there are no pictures, or one cannot be read.
        ResourceError: the output cannot be written.
    """
    pictures = _list_pictures(Path(folder))
    times, time_base, source_name = _read_times(Path(folder), pictures, rate)
    first = read_picture(pictures[0])
    height, width = first.shape[:2]
    step = times[1] - times[0] if len(times) > 1 else round(Fraction(1, 25) / time_base)
    span = (times[-1] - times[0] + step) * time_base
    is_piece = False
    if sound_from is not None and Path(sound_from).name == source_name:
        all_times, base = frame_times(sound_from)
        is_piece = times[0] * time_base > all_times[0] * base or (times[-1] + step) * time_base < all_times[-1] * base
    else:
        times = [tick - times[0] for tick in times]
    like = make_video_info(width, height, Fraction(len(times)) / span, time_base)

    def frames() -> Iterator[Frame]:
        for position, picture in enumerate(pictures):
            image = read_picture(picture)
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            yield Frame.from_picture(image, index=position, pts=times[position], time_base=time_base)
            if on_progress is not None:
                on_progress((position + 1) / len(pictures), f"{position + 1} of {len(pictures)} pictures")

    return write_video(output, frames(), like, sound_from=sound_from, encode=encode, is_trimmed=is_piece)


def make_video_info(width: int, height: int, frame_rate: Fraction, time_base: Fraction) -> VideoInfo:
    """The description of a new video, 8 bit, BT.709, for `write_video`.

    Args:
        width: columns.
        height: rows.
        frame_rate: average frames a second.
        time_base: unit of the timestamps, in seconds; `1 / frame_rate` suits an even rate.
    """
    return VideoInfo(
        path="",
        width=width,
        height=height,
        frame_rate=frame_rate.limit_denominator(100_000),
        time_base=time_base,
        duration_seconds=0.0,
        frame_count=0,
        codec="h264",
        pix_fmt="yuv420p",
        color=BT709,
    )


def _select_indices(
    times: tuple[int, ...], time_base: Fraction, rate: float | None, start_seconds: float
) -> set[int] | None:
    if rate is None:
        return None
    indices: set[int] = set()
    moment = max(Fraction(start_seconds), times[0] * time_base)
    while times and moment <= times[-1] * time_base:
        indices.add(bisect.bisect_right(times, moment / time_base) - 1)
        moment += 1 / Fraction(rate)
    first = bisect.bisect_left(times, Fraction(start_seconds) / time_base)
    return {max(index, first) for index in indices}


def _fit_size(image_rgb: np.ndarray, longest_side: int | None) -> np.ndarray:
    height, width = image_rgb.shape[:2]
    if longest_side is None or max(height, width) <= longest_side:
        return image_rgb
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)


def _list_pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"Expected a folder of pictures, found none at {display_name(folder)}: check its name.")
    try:
        files = [file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")]
    except OSError as error:
        raise ResourceError(f"The folder {display_name(folder)} cannot be read: check its permissions.") from error
    pictures = [file for file in files if file.stat().st_size and is_picture(file)]
    if not pictures:
        raise InputError(
            f"Expected pictures (JPEG, PNG, WebP) in {display_name(folder)}, found none: choose another folder."
        )
    return sorted(pictures, key=lambda file: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", file.name)])


def _read_times(folder: Path, pictures: list[Path], rate: float | None) -> tuple[list[int], Fraction, str]:
    """When each picture is shown, the unit of these times, and the name of the clip that they are times of."""
    listing = folder / TIMES_FILE
    if rate is None and listing.is_file():
        try:
            about = read_object(listing)
            by_name = {item["file"]: int(item["pts"]) for item in about["frames"]}
            ticks = [by_name[picture.name] for picture in pictures]
            base = Fraction(*about["time_base"])
        except (InputError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InputError(
                f"Expected {TIMES_FILE} to list every picture in {display_name(folder)}, found it does not: "
                "delete that file or give a rate."
            ) from error
        if ticks != sorted(set(ticks)):
            raise InputError(f"Expected growing times in {TIMES_FILE}, found others: delete that file or give a rate.")
        return ticks, base, str(about.get("source", ""))
    each = 1 / Fraction(25 if rate is None else rate).limit_denominator(1001)
    return list(range(len(pictures))), each, ""
