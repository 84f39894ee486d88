"""Rows of docs/media.md, «Stills, transparency and names»."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image

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


def _write_face_clip(path: Path, tags: dict[str, str] | None = None) -> Path:
    unit = Fraction(1, 25)
    frames = (
        media.Frame.from_picture(image, index=index, pts=index, time_base=unit)
        for index, image in enumerate(moving_portrait(12))
    )
    media.write_video(path, frames, media.make_video_info(256, 256, 1 / unit, unit), metadata=tags)
    return path


def _disguised(name: str, disguise: str) -> Callable[[Path], Path]:
    """Makes a picture or clip of a face under a name that belongs to another kind."""

    def make(folder: Path) -> Path:
        (_write_face_clip if name.endswith(".mkv") else write_portrait)(folder / name)
        return (folder / name).rename(folder / disguise)

    return make


def _cut_out(folder: Path) -> Path:
    """Makes a face before a background that is hidden by transparency."""
    image = np.array(Image.open(write_portrait(folder / "face.png")))
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    Image.fromarray(np.dstack([image, alpha])).save(folder / "cut-out.png")
    return folder / "cut-out.png"


def _hides_background(source: Path, output: Path) -> None:
    if media.is_video(output):
        assert media.read_frame_at(output, seconds=0).image_rgb[:32].min() > 240
        return
    with Image.open(output) as image:
        assert (image.mode == "RGBA") == (output.suffix != ".jpg")
        assert np.asarray(image)[:32, :, :3].min() > 240
    still = media.read_still(output)
    assert still.alpha is None or (still.alpha == media.read_still(source).alpha).all()


def _with_place(folder: Path) -> Path:
    """Makes a photograph that says when, by which camera and where it was taken."""
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "Model 1"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 30.0, 10.5)})
    Image.open(write_portrait(folder / "face.png")).save(folder / "a.jpg", exif=exif.tobytes())
    return folder / "a.jpg"


def _keeps_date_and_camera(_source: Path, output: Path) -> None:
    with Image.open(output) as image:
        exif = image.getexif()
    assert exif[ExifTags.Base.Model] == "Model 1"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
    assert not exif.get_ifd(ExifTags.IFD.GPSInfo)


def _clip_with_place(folder: Path) -> Path:
    return _write_face_clip(folder / "a.mp4", {"location": "+52.5-013.3/", "title": "A day"})


def _keeps_title(_source: Path, output: Path) -> None:
    tags = media.probe(output).metadata
    assert tags["title"] == "A day"
    assert not any("location" in key for key in tags)


def _mixed_folder(folder: Path, *, is_face_there: bool) -> Path:
    """Makes a folder of sources with a placeholder, a text, a damaged picture, and perhaps a good one."""
    sources = folder / "sources"
    sources.mkdir()
    (sources / ".gitkeep").touch()
    (sources / "notes.txt").write_text("who is who")
    whole = write_portrait(sources / "face.jpg").read_bytes()
    (sources / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    if not is_face_there:
        (sources / "face.jpg").unlink()
    return sources


def _float_tiff(folder: Path) -> Path:
    cv2.imwrite(str(folder / "a.tiff"), gradient_rgb(48, 64)[..., ::-1].astype(np.float32) / 255)
    return folder / "a.tiff"


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
    assert not media.probe(source).has_alpha
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
    Row(
        input="PNG or WebP with transparency, into PNG or WebP",
        result="transparency kept, what it hides is white",
        make=_cut_out,
        check=_hides_background,
        jobs=("picture", "swap"),
        suffix=".webp",
    ),
    Row(
        input="PNG or WebP with transparency, into JPEG",
        result="laid on white",
        said="transparency is laid on white, as JPEG holds none",
        make=_cut_out,
        check=_hides_background,
        jobs=("picture", "swap"),
        suffix=".jpg",
    ),
    Row(
        input="a portrait with transparency that talks",
        result="laid on white",
        said="transparency is laid on white",
        make=_cut_out,
        check=_hides_background,
        jobs=("talk",),
    ),
    Row(
        input="photograph with EXIF",
        result="date and camera kept, pixels upright; the place left out without --keep-position",
        said="Where it was recorded is left out",
        make=_with_place,
        check=_keeps_date_and_camera,
        jobs=("picture", "swap"),
        suffix=".jpg",
    ),
    Row(
        input="film that says where it was recorded",
        result="the place left out of swaps and talks without --keep-position",
        said="Where it was recorded is left out",
        make=_clip_with_place,
        check=_keeps_title,
        jobs=("swap",),
    ),
    Row(
        input="folder of sources with a damaged picture, a text, an empty file",
        result="skipped; the other pictures are used",
        said="Skipped in 'sources', as no pictures that can be read: «.gitkeep», «notes.txt», «cut.jpg»",
        make=partial(_mixed_folder, is_face_there=True),
        check=_is_signed,
        jobs=("source",),
        suffix=".png",
    ),
    Row(
        input="folder of sources without a good picture",
        result="refused",
        said="found only «.gitkeep», «notes.txt», «cut.jpg»",
        make=partial(_mixed_folder, is_face_there=False),
        jobs=("source",),
        suffix=".png",
        is_refused=True,
    ),
    Row(
        input="TIFF of floating-point numbers",
        result="1.0 is white",
        make=_float_tiff,
        check=_shows_first_page,
        jobs=("picture",),
        suffix=".png",
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
