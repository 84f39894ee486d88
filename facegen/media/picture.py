"""Reads and writes pictures: upright, sRGB, of a size that fits in memory, with their EXIF.

Of EXIF, date and camera are kept, the position only where that is asked for. Left out are, above all, the thumbnail, which
shows the face as it was, and the maker's notes, serial numbers and names of owners, which no reader of the result needs.
"""

import io
import json
import os
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from facegen.errors import InputError
from facegen.media.apart import apart
from facegen.media.output import atomic_output
from facegen.media.pillow import bring_to_8_bit, has_alpha, is_animated, open_image
from facegen.media.source import MAX_PIXELS, check_readable, check_size, display_name

POSITION_NOTICE = "Where it was recorded is left out of the result."
_DETAILS, _POSITION = int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
_RETAINED_TAGS = frozenset(
    int(tag)
    for tag in (
        *(ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.DateTime),
        *(ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTime),
        *(ExifTags.Base.OffsetTimeOriginal, ExifTags.Base.OffsetTimeDigitized, ExifTags.Base.SubsecTime),
        *(ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.SubsecTimeDigitized),
        *(ExifTags.Base.LensMake, ExifTags.Base.LensModel, ExifTags.Base.ExposureTime, ExifTags.Base.FNumber),
        *(ExifTags.Base.ISOSpeedRatings, ExifTags.Base.FocalLength, ExifTags.Base.FocalLengthIn35mmFilm),
    )
)


def read_exif(image: Image.Image) -> Mapping[int, Any]:
    """Date, camera and position of an open picture by tag; the two nested directories as mappings under their own tags."""
    try:
        exif = image.getexif()
        tags = _select(exif, _RETAINED_TAGS)
        if details := _select(exif.get_ifd(_DETAILS), _RETAINED_TAGS):
            tags[_DETAILS] = details
        if position := dict(exif.get_ifd(_POSITION)):
            tags[_POSITION] = position
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):
        # broken EXIF is common and harmless
        return {}
    return tags


def make_exif(tags: Mapping[int, Any], *, keep_position: bool) -> tuple[Image.Exif, tuple[str, ...]]:
    """EXIF to write, upright, from the tags of `read_exif`; and a notice where the position is left out."""
    exif, notices = Image.Exif(), []
    for tag, value in tags.items():
        if tag == _POSITION and not keep_position:
            notices.append(POSITION_NOTICE)
        elif isinstance(value, Mapping):
            exif.get_ifd(tag).update(value)
        else:
            exif[tag] = value
    if len(exif):
        exif[ExifTags.Base.Orientation] = 1
    try:
        exif.tobytes()
    except (struct.error, TypeError, ValueError, ArithmeticError, AttributeError, KeyError):
        # Pillow checks no value before it packs it
        return Image.Exif(), ("Its EXIF (date, camera) is damaged and was left out.",)
    return exif, tuple(notices)


def _select(tags: Mapping[int, Any], wanted: frozenset[int]) -> dict[int, Any]:
    return {tag: value for tag, value in tags.items() if tag in wanted}


_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


@apart
def is_picture(path: str | os.PathLike[str]) -> bool:
    """True when the content of `path`, whatever its name, is a still picture, or several that are no film."""
    try:
        with open_image(check_readable(path)) as image:
            return not is_animated(image)
    except Image.DecompressionBombError:
        return True  # far too large, which is said by who reads it
    except (InputError, OSError, ValueError, SyntaxError):
        return False


@dataclass(frozen=True, eq=False, kw_only=True)
class Still:
    """A picture file as it is displayed, with what else is kept of it."""

    image_rgb: np.ndarray
    """(H, W, 3) uint8 RGB on white: what lies hidden under transparency is not in it."""
    alpha: np.ndarray | None
    """(H, W) uint8 opacity; None where all is opaque."""
    exif: Mapping[int, Any]
    """Tags of EXIF by number: date, camera, and where the picture was taken (`ExifTags.IFD.GPSInfo`)."""


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a picture as displayed.

    EXIF orientation is applied, the colour profile converted to sRGB, transparency laid on white, 16 bit and floating point
    brought to 8 bit.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: it is no picture, is damaged, or has more than `source.MAX_PIXELS` pixels.
    """
    return read_still(path).image_rgb


@apart
def read_still(path: str | os.PathLike[str]) -> Still:
    """Reads a picture as `read_picture` does, with its transparency, date and camera.

    Raises:
        InputError: as `read_picture`.
    """
    file = check_readable(path)
    try:
        with warnings.catch_warnings(), _open(file) as image:
            # of damaged EXIF and the like, which hinder nobody
            warnings.simplefilter("ignore", UserWarning)
            check_size(image.width, image.height, file)
            image.load()
            upright = ImageOps.exif_transpose(image)
            alpha = _read_alpha(upright)
            image_rgb = np.array(_to_srgb(upright))
            return Still(
                image_rgb=image_rgb if alpha is None else _blend_on_white(image_rgb, alpha),
                alpha=alpha,
                exif=read_exif(image),
            )
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        reason = (
            "unknown kind" if isinstance(error, UnidentifiedImageError) else str(error).splitlines()[0][:80].lower()
        )
        raise InputError(
            f"Expected a picture (JPEG, PNG or WebP), found {display_name(file)}, which cannot be read as one ({reason}): "
            "save it again as JPEG or PNG."
        ) from error


def write_picture(
    path: str | os.PathLike[str],
    image_rgb: np.ndarray,
    *,
    metadata: dict[str, str] | None = None,
    like: Still | None = None,
    keep_position: bool = False,
) -> tuple[str, ...]:
    """Writes (H, W, 3) uint8 RGB as PNG, JPEG or WebP, by the ending of the name; nothing half-written is left.

    Args:
        path: where to; its folder must exist.
        image_rgb: the picture, on white where it is transparent.
        metadata: kept as text chunks in PNG, and as JSON in the EXIF description of JPEG and WebP.
        like: the picture of the same size that it was made from, whose transparency, date and camera it keeps.
        keep_position: keep where `like` was taken, too.

    Returns:
        Notices: what could not be kept, or was left out, one sentence each.

    Raises:
        InputError: the name has another ending.
        ResourceError: it cannot be written.
    """
    kind = _SUFFIXES.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(
            f"Expected a name ending in .png, .jpg or .webp, found {display_name(path)}: change its ending."
        )
    notices: list[str] = []
    pixels = image_rgb
    if like is not None and like.alpha is not None:
        if kind == "JPEG":
            notices.append("Its transparency is laid on white, as JPEG holds none; .png and .webp keep it.")
        else:
            pixels = np.dstack([_remove_white(image_rgb, like.alpha), like.alpha])
    exif, exif_notices = make_exif({} if like is None else like.exif, keep_position=keep_position)
    notices += exif_notices
    options: dict[str, object] = {}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in (metadata or {}).items():
            chunks.add_itxt(key, value)
        options = {"pnginfo": chunks, "compress_level": 4}
    else:
        if metadata:
            exif[ExifTags.Base.ImageDescription] = json.dumps(metadata)
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"quality": 95, "method": 4}
    if len(exif):
        options["exif"] = exif.tobytes()
    with atomic_output(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format=kind, **options)
    return tuple(notices)


def write_deep_picture(
    path: str | os.PathLike[str], image_rgba: np.ndarray, *, metadata: dict[str, str] | None = None
) -> None:
    """Writes (H, W, 4) uint16 RGBA, alpha not multiplied in, as PNG; nothing half-written is left.

    Args:
        path: where to; its folder must exist.
        image_rgba: the picture.
        metadata: kept as text chunks.

    Raises:
        ResourceError: it cannot be written.
    """
    data = cv2.imencode(".png", cv2.cvtColor(image_rgba, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    # Pillow writes no 16-bit colour, OpenCV no text: the chunks go behind the header, which is always 33 bytes long
    chunks = PngImagePlugin.PngInfo()
    for key, value in (metadata or {}).items():
        chunks.add_itxt(key, value)
    text = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body, *_ in chunks.chunks
    )
    with atomic_output(path) as temporary:
        temporary.write_bytes(data[:33] + text + data[33:])


def _open(file: Path) -> Image.Image:
    try:
        return open_image(file)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"Expected a picture of at most {MAX_PIXELS // 1_000_000} megapixels, found far more in {display_name(file)}: "
            "make it smaller first."
        ) from error


def _read_alpha(image: Image.Image) -> np.ndarray | None:
    """(H, W) uint8 opacity of a picture; None where it is opaque everywhere."""
    if not has_alpha(image):
        return None
    alpha = np.array(image.convert("RGBA").getchannel("A"))
    return None if alpha.min() == 255 else alpha


def _blend_on_white(image_rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB as it looks before white."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((image_rgb * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def _remove_white(image_rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The inverse of `_blend_on_white`; white where all is transparent."""
    opacity = np.maximum(alpha, 1)[..., None].astype(np.float32) / 255
    colours = np.clip(np.rint(255 - (255 - image_rgb.astype(np.float32)) / opacity), 0, 255).astype(np.uint8)
    colours[alpha == 0] = 255
    return colours


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(bring_to_8_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA").convert("RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK", "L", "LAB"):
        try:
            return ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            ) or image.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            # A broken profile is common and harmless: the picture is then taken as sRGB, as browsers do.
            pass
    return image.convert("RGB")
