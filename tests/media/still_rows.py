"""Rows of docs/media.md, «Stills, transparency and names»."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegen import media
from facegen.provenance import read_credentials
from tests.factories import gradient_rgb, moving_portrait, write_portrait
from tests.media.reading import shown_times
from tests.media.table import Row

_DURATIONS_MS = (100, 40, 250, 100)


def _saved(name: str, pages: int = 1, **options: Any) -> Callable[[Path], Path]:
    """Makes a picture of so many pages of `gradient_rgb`."""

    def make(folder: Path) -> Path:
        from pillow_heif import register_heif_opener

        register_heif_opener()
        first, *others = (Image.fromarray(gradient_rgb(48, 64, page / 8)) for page in range(pages))
        more = {"save_all": True, "append_images": others} if pages > 1 else {}
        first.save(folder / name, **more, **options)
        return folder / name

    return make


def _disguised(name: str, disguise: str) -> Callable[[Path], Path]:
    """Makes a picture or clip of a face under a name that belongs to another kind."""

    def make(folder: Path) -> Path:
        if name.endswith(".mkv"):
            unit = Fraction(1, 25)
            frames = (
                media.Frame.from_picture(image, index=index, pts=index, time_base=unit)
                for index, image in enumerate(moving_portrait(12))
            )
            media.write_video(folder / name, frames, media.make_video_info(256, 256, 1 / unit, unit))
        else:
            write_portrait(folder / name)
        return (folder / name).rename(folder / disguise)

    return make


def _is_signed(source: Path, output: Path) -> None:
    found = read_credentials(output)
    assert found is not None
    assert found.is_intact


def _shows_first_page(source: Path, output: Path) -> None:
    assert media.is_picture(source)
    assert not media.is_video(source)
    assert np.abs(media.read_picture(output).astype(float) - gradient_rgb(48, 64)).mean() < 3


def _is_same_film(source: Path, output: Path) -> None:
    assert media.is_video(source)
    assert not media.is_picture(source)
    assert [round(1000 * time) for time in shown_times(output)] == [0, 100, 140, 390]
    assert round(1000 * media.probe(output).duration_seconds) == sum(_DURATIONS_MS)
    for number, frame in enumerate(media.read_frames(output)):
        assert np.abs(frame.image_rgb.astype(float) - gradient_rgb(48, 64, number / 8)).mean() < 6


ROWS: tuple[Row, ...] = (
    *(
        Row(
            input=text,
            result="a picture, the first page",
            make=_saved(name, pages, **options),
            check=_shows_first_page,
            jobs=("picture",),
            suffix=".png",
        )
        for text, name, pages, options in (
            ("HEIC", "a.heic", 1, {"quality": 95}),
            ("AVIF", "a.avif", 1, {"quality": 95}),
            ("still WebP", "a.webp", 1, {"lossless": True}),
            ("TIFF of several pages", "a.tiff", 3, {}),
        )
    ),
    Row(
        input="JPEG named .png",
        result="read by its content; the result is signed",
        make=_disguised("a.jpg", "b.png"),
        check=_is_signed,
        jobs=("swap",),
        suffix=".png",
    ),
    Row(
        input="Matroska named .mp4",
        result="read by its content; the result is signed",
        make=_disguised("a.mkv", "b.mp4"),
        check=_is_signed,
        jobs=("swap",),
    ),
    *(
        Row(
            input=text,
            result="a clip; each frame keeps its time",
            make=_saved(name, 4, duration=list(_DURATIONS_MS), **options),
            check=_is_same_film,
            jobs=("rewrite",),
        )
        for text, name, options in (
            ("animated WebP", "a.webp", {"lossless": True}),
            ("animated PNG (APNG)", "a.png", {}),
            ("animated AVIF", "a.avif", {"quality": 95}),
        )
    ),
)
