"""Material for the swap benchmarks: pairs of clip and source in either part, and clips made once in a folder of the system's own."""

import csv
import itertools
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from benchmarks.division import DATA, Part, find
from facegen import media
from facegen.errors import InputError

WORK = Path(tempfile.gettempdir()) / "facegen-benchmarks"

SWAP_CODE = (
    *(
        "facegen/faces",
        "facegen/media",
        "facegen/swap/engines",
        "facegen/swap/delighting",
        "facegen/swap/fields",
        "facegen/swap/harmonization",
        "facegen/swap/options.py",
    ),
    *("facegen/swap/render.py", "facegen/swap/sources.py", "weights/faces", "weights/parser", "weights/swap"),
)
"""What the figures of a swap depend on."""
TUNING_CLIPS = (
    *("liveportrait_d9.mp4", "liveportrait_d10.mp4", "liveportrait_d12.mp4", "liveportrait_d3.mp4"),
    *("liveportrait_s20.mp4", "liveportrait_d20.mp4", "single_face_640x360.mp4", "face_then_noface.mov"),
)
TUNING_SOURCES = ("female_00", "female_04", "female_08", "male_12", "male_50")
"""Constants of the swap were chosen on these and on hard_pairs.tsv."""
PROVING_SOURCES = ("female_12", "female_16", "male_04", "male_16")
"""With all clips of talking that prove."""
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


def pairs(part: Part) -> list[tuple[str, str]]:
    """(clip, source) below `DATA`; those that prove share neither a clip nor a source with those to tune on."""
    if part == "proving":
        clips = [path.relative_to(DATA).as_posix() for path in find("talking/**/*.m*", "proving")]
        return list(itertools.product(clips, map(portrait, PROVING_SOURCES)))
    with material("hard_pairs.tsv").open() as file:
        hard = [(row["target"], row["source"]) for row in csv.DictReader(file, delimiter="\t")]
    return [*itertools.product((f"clips/{name}" for name in TUNING_CLIPS), map(portrait, TUNING_SOURCES)), *hard]


def portrait(name: str) -> str:
    """Where one of portraits/synthetic lies below `DATA`."""
    folder = "portraits/synthetic"
    (path,) = material(folder).glob(f"{name}_1024.*")
    return f"{folder}/{path.name}"


def user_environment(home: str) -> dict[str, str]:
    """What a user's command sees: a home folder of its own, and compiled modules kept from one start to the next."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "FACEGEN_HOME": home}


def square_clip() -> Path:
    """512x512, 25 frames/s, 15 seconds, one talking face, with sound."""
    return _make_clip("talker_512_15s.mp4", seconds=15, is_wide=False)


def wide_clip(seconds: int = 15) -> Path:
    """1280x720, 25 frames/s, the same face with its surroundings mirrored to the sides; longer ones are looped."""
    return _make_clip(f"talker_720p_{seconds}s.mp4", seconds=seconds, is_wide=True)


def _make_clip(name: str, *, seconds: int, is_wide: bool) -> Path:
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
    media.write_video(path, _widen(talker, seconds * 25), like)
    return path


def _widen(talker: Path, count: int) -> Iterator[media.Frame]:
    looped = itertools.chain.from_iterable(media.read_frames(talker, end_seconds=10.0) for _ in itertools.count())
    for index, frame in enumerate(itertools.islice(looped, count)):
        tall = cv2.resize(frame.image_rgb, (720, 720), interpolation=cv2.INTER_CUBIC)
        wide = cv2.copyMakeBorder(tall, 0, 0, 280, 280, cv2.BORDER_REFLECT)
        ticks = round(Fraction(index, 25) / frame.time_base)
        yield media.Frame.from_picture(np.ascontiguousarray(wide), index=index, pts=ticks, time_base=frame.time_base)
