"""Examples that need no download: the public-domain portraits inside scikit-image and matplotlib, set in motion."""

import base64
import importlib.util
import io
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from facegen.errors import InputError

_SIZE = 480
_FRAME_RATE = 25
_FRAMES = 60
_TICKS = 512


@dataclass(frozen=True, kw_only=True)
class Example:
    """One click: a face and where it goes."""

    name: str
    title: str
    sources: tuple[str, ...]
    """Names of portraits."""
    target: str
    """Name of a portrait, or of a clip."""

    @property
    def pictured(self) -> tuple[str, ...]:
        """The portraits on its button: the sources, then who is seen in the target."""
        return (*self.sources, *(name for name in CLIPS.get(self.target, (self.target,)) if name not in self.sources))


PORTRAITS = {
    "astronaut": ("skimage", "data/astronaut.png", "Eileen Collins"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "Grace Hopper"),
}
"""Name -> distribution folder, file in it, who it shows."""

CLIPS = {"hopper_moves": ("hopper",), "astronaut_moves": ("astronaut",), "both_move": ("astronaut", "hopper")}
"""Name -> the portraits that move in it, side by side."""

EXAMPLES = (
    Example(name="collins_to_hopper", title="Collins → Hopper", sources=("astronaut",), target="hopper_moves"),
    Example(name="hopper_to_collins", title="Hopper → Collins", sources=("hopper",), target="astronaut_moves"),
    Example(name="two_people", title="Two people, one clip", sources=("astronaut", "hopper"), target="both_move"),
    Example(name="picture", title="Picture to picture", sources=("astronaut",), target="hopper"),
)


def portrait_path(name: str) -> Path:
    """The file of a portrait, found without importing the package that carries it.

    Raises:
        InputError: the package is not installed or no longer carries the picture.
    """
    package, inside, _ = PORTRAITS[name]
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (Path(folder) / inside).is_file():
            return Path(folder) / inside
    raise InputError(f"Expected the portrait {inside} in the package {package}, found none; run make install again.")


class Examples:
    """The examples of one studio; clips are made at their first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def files(self, name: str) -> tuple[list[str], str]:
        """Paths of an example's sources and of its target, inside the studio's temporary folder.

        Raises:
            InputError: there is no example of that name.
        """
        found = next((example for example in EXAMPLES if example.name == name), None)
        if found is None:
            known = ", ".join(example.name for example in EXAMPLES)
            raise InputError(f"Expected the name of an example, found {name!r}; there are: {known}.")
        return [str(self.file(source)) for source in found.sources], str(self.file(found.target))

    def file(self, name: str) -> Path:
        """Path of a portrait or clip inside the studio's temporary folder; the page may read no package's folder.

        Raises:
            InputError: the package of a portrait is not installed.
        """
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            if name in CLIPS:
                path = self.folder / f"{name}.mp4"
                if not path.exists():
                    make_clip(path, CLIPS[name])
                return path
            origin = portrait_path(name)
            path = self.folder / origin.name
            if not path.exists():
                path.write_bytes(origin.read_bytes())
            return path


def thumbnail(name: str, size: int = 72) -> str:
    """A small square of a portrait as a data URI."""
    with Image.open(portrait_path(name)) as portrait:
        side = min(portrait.size) * 3 // 5
        left = (portrait.width - side) // 2
        small = portrait.convert("RGB").resize((size, size), Image.Resampling.BOX, (left, 0, left + side, side))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def make_clip(path: Path, portraits: tuple[str, ...]) -> None:
    """Write a short clip in which the portraits, side by side, gently turn, drift and come nearer."""
    from facegen.media import Frame, VideoInfo, read_picture, write_video
    from facegen.media.color import BT709

    images = [_square(read_picture(portrait_path(name))) for name in portraits]
    time_base = Fraction(1, _FRAME_RATE * _TICKS)
    like = VideoInfo(
        path="",
        width=_SIZE * len(images),
        height=_SIZE,
        frame_rate=Fraction(_FRAME_RATE),
        time_base=time_base,
        duration_seconds=_FRAMES / _FRAME_RATE,
        frame_count=_FRAMES,
        codec="h264",
        pix_fmt="yuv420p",
        color=BT709,
    )
    frames = (
        Frame.from_picture(image_rgb, index=index, pts=index * _TICKS, time_base=time_base, duration=_TICKS)
        for index, image_rgb in enumerate(_moving(images))
    )
    write_video(path, frames, like)


def _square(image_rgb: np.ndarray) -> np.ndarray:
    """The upper middle square of a portrait, (_SIZE, _SIZE, 3)."""
    side = min(image_rgb.shape[:2])
    left = (image_rgb.shape[1] - side) // 2
    return cv2.resize(image_rgb[:side, left : left + side], (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)


def _moving(images: list[np.ndarray]) -> Iterator[np.ndarray]:
    for index in range(_FRAMES):
        phase = 2 * math.pi * index / _FRAMES
        views = []
        for turn, image_rgb in enumerate(images):
            angle_deg, scale = 4 * math.sin(phase + turn), 1.14 + 0.06 * math.cos(phase + turn)
            matrix = cv2.getRotationMatrix2D((_SIZE / 2, _SIZE / 2.6), angle_deg, scale)
            matrix[:, 2] += np.array((10 * math.cos(phase + turn), 6 * math.sin(phase)))
            views.append(
                cv2.warpAffine(
                    image_rgb, matrix, (_SIZE, _SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                )
            )
        yield np.concatenate(views, axis=1)
