"""What Pillow opens: pictures of known formats, and animations, which become clips for libav."""

import functools
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import cv2
import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

# EPS and the like are left out: Pillow would run Ghostscript on them.
# JPEG covers MPO, which Pillow does not know by a name of its own.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
"""Formats whose further pictures are frames; those of the others are pages, other sizes, or depth."""
_TICKS = 100_000
"""Ticks a second of decoded animations: milliseconds and hundredths are whole numbers of them."""
_BRIGHTEST = 16.0
"""Floating-point pictures whose white is 1.0 hold no light above; those of 0..255 always do, unless they are black."""
_DEFAULT_SECONDS = Fraction(1, 10)
"""How long a frame without a duration is shown, as browsers do."""


def open_image(file: Path) -> Image.Image:
    """Opens a picture of a known format; its pixels are not decoded yet.

    Raises:
        OSError: it is none.
        DecompressionBombError: it is far too large.
    """
    _register_heif()
    with warnings.catch_warnings():
        # `check_size` decides what is too large, with its own sentence.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=_FORMATS)
        except UnidentifiedImageError:
            if file.suffix.lower() in (".tif", ".tiff"):
                return _open_float_tiff(file)
            raise


def _open_float_tiff(file: Path) -> Image.Image:
    """A TIFF of floating-point colours, which Pillow does not know, as 8 bit; 1.0 is white, or 255 where there is more."""
    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype.kind != "f":
        raise UnidentifiedImageError(f"cannot identify image file {file.name!r}")
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(
            pixels.astype(np.float32), cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        )
    return Image.fromarray(bring_to_8_bit(pixels))


def bring_to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """Samples of 16 bit, or of floating point with 1.0 or 255 as white, as uint8 of the same shape."""
    peak = float(np.nanmax(pixels, initial=0))
    is_unit = pixels.dtype.kind == "f" and peak < _BRIGHTEST
    scaled = np.nan_to_num(pixels.astype(np.float32)) * (255 if is_unit else 1) / (257 if peak > 255 else 1)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


@functools.cache
def _register_heif() -> None:
    from pillow_heif import register_heif_opener

    register_heif_opener()


def is_animated(image: Image.Image) -> bool:
    """True when the pictures of a file are frames of a film, not pages or a single one."""
    return image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1


def animation_size(file: Path) -> tuple[int, int] | None:
    """Width and height of an animated WebP, PNG or AVIF, which libav does not read whole; None for any other file."""
    with file.open("rb") as opened:
        start = opened.read(12)
    if not (start[8:] == b"WEBP" or start[1:4] == b"PNG" or start[4:] == b"ftypavis"):
        return None
    try:
        with open_image(file) as image:
            return image.size if is_animated(image) else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


@functools.lru_cache(maxsize=4)
def decode_animation(key: tuple[str, int, int]) -> IO[bytes]:
    """The frames of an animation as PNG in QuickTime, with their times and transparency.

    Args:
        key: of the file (`source.file_key`), so that a changed one is decoded anew.

    Returns:
        A temporary file, which is removed when nothing refers to it any more.

    Raises:
        OSError: the animation is damaged.
    """
    clip = tempfile.NamedTemporaryFile(prefix="facegen-", suffix=".mov")  # noqa: SIM115
    with (
        open_image(Path(key[0])) as image,
        av.open(clip.name, "w", format="mov", options={"video_track_timescale": str(_TICKS)}) as container,
    ):
        video = container.add_stream("png", rate=25, options={"compression_level": "1"})
        # the encoder of WebP makes use of transparency between frames, which says nothing of the film
        is_clear = has_alpha(image) and any(
            np.array(page.convert("RGBA"))[..., 3].min() < 255 for page in _pages(image)
        )
        video.width, video.height, video.pix_fmt = image.width, image.height, "rgba" if is_clear else "rgb24"
        video.codec_context.time_base = video.time_base = Fraction(1, _TICKS)
        ticks: dict[int | None, int] = {}
        for frame in itertools.chain(_decode_frames(image, video.pix_fmt), [None]):
            if frame is not None:
                ticks[frame.pts] = frame.duration
            for packet in video.encode(frame):
                packet.duration = ticks.pop(packet.pts)  # which the encoder forgets
                container.mux(packet)
    return clip


def _pages(image: Image.Image) -> Iterator[Image.Image]:
    """The frames of an animation one after the other, decoded, without a PNG's picture for readers of stills."""
    try:
        for number, page in enumerate(ImageSequence.Iterator(image)):
            if number or not image.info.get("default_image"):
                page.load()  # WebP and AVIF tell a frame's duration once it is decoded
                yield page
    except (EOFError, SyntaxError, ValueError) as error:
        raise OSError(str(error)) from error


def _decode_frames(image: Image.Image, pix_fmt: str) -> Iterator[av.VideoFrame]:
    tick = Fraction(0)
    for page in _pages(image):
        ticks = (Fraction(page.info.get("duration") or 0) / 1000 or _DEFAULT_SECONDS) * _TICKS
        pixels = np.array(page.convert("RGBA" if pix_fmt == "rgba" else "RGB"))
        frame = av.VideoFrame.from_ndarray(pixels, format=pix_fmt)
        frame.pts, frame.duration, frame.time_base = round(tick), round(ticks), Fraction(1, _TICKS)
        yield frame
        tick += ticks


def has_alpha(image: Image.Image) -> bool:
    """True when a picture has transparency."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
