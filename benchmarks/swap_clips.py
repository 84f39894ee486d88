"""Clips for the swap benchmarks, made once into a folder of the system's own from ../shared/data."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORK = Path(tempfile.gettempdir()) / "facegen-benchmarks"

_TALKER = "talking/cnn2_25fps_512_71s.mp4"


def material(name: str) -> Path:
    """A file of ../shared/data.

    Raises:
        InputError: it is not there.
    """
    path = DATA / name
    if not path.exists():
        raise InputError(f"Expected {path}, found nothing; this benchmark needs the local material of ../shared/data.")
    return path


def user_environment(home: str) -> dict[str, str]:
    """What a user's command sees: a home folder of its own, and compiled modules kept from one start to the next."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "FACEGEN_HOME": home}


def square_clip() -> Path:
    """512x512, 25 frames/s, 15 seconds, one talking face, with sound."""
    return _made("talker_512_15s.mp4", seconds=15, is_wide=False)


def wide_clip(seconds: int = 15) -> Path:
    """1280x720, 25 frames/s, the same face with its surroundings mirrored to the sides; longer ones are looped."""
    return _made(f"talker_720p_{seconds}s.mp4", seconds=seconds, is_wide=True)


def _made(name: str, *, seconds: int, is_wide: bool) -> Path:
    path = WORK / name
    if path.exists():
        return path
    WORK.mkdir(exist_ok=True)
    talker = material(_TALKER)
    info = media.probe(talker)
    if not is_wide:
        frames = media.read_frames(talker, end_seconds=float(seconds))
        media.write_video(path, frames, info, sound_from=talker, is_trimmed=True)
        return path
    like = media.probe(talker)
    like = type(like)(**{**vars(like), "width": 1280, "height": 720})
    media.write_video(path, _widened(talker, seconds * 25), like)
    return path


def _widened(talker: Path, count: int) -> Iterator[media.Frame]:
    looped = itertools.chain.from_iterable(media.read_frames(talker, end_seconds=10.0) for _ in itertools.count())
    for index, frame in enumerate(itertools.islice(looped, count)):
        tall = cv2.resize(frame.image_rgb, (720, 720), interpolation=cv2.INTER_CUBIC)
        wide = cv2.copyMakeBorder(tall, 0, 0, 280, 280, cv2.BORDER_REFLECT)
        ticks = round(Fraction(index, 25) / frame.time_base)
        yield media.Frame.from_picture(np.ascontiguousarray(wide), index=index, pts=ticks, time_base=frame.time_base)
