"""Rows of docs/media.md, «Stills, transparency and names»."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegen import media
from tests.factories import gradient_rgb
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
