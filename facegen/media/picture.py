"""Reads and writes pictures: upright, sRGB, of a size that fits in memory."""

import io
import json
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from facegen.errors import InputError
from facegen.media.output import atomic_output
from facegen.media.pillow import is_animated, open_image
from facegen.media.source import MAX_PIXELS, check_readable, check_size, display_name

_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}


def is_picture(path: str | os.PathLike[str]) -> bool:
    """True when the content of `path`, whatever its name, is a still picture, or several that are no film."""
    try:
        with _open(check_readable(path)) as image:
            return not is_animated(image)
    except (InputError, OSError, ValueError, SyntaxError):
        return False


def read_picture(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a picture as displayed.

    EXIF orientation is applied, the colour profile converted to sRGB, transparency dropped, 16 bit brought to 8.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: it is no picture, is damaged, or has more than `source.MAX_PIXELS` pixels.
    """
    file = check_readable(path)
    try:
        with _open(file) as image:
            check_size(image.width, image.height, file)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return np.array(_to_srgb(upright))
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
    path: str | os.PathLike[str], image_rgb: np.ndarray, *, metadata: dict[str, str] | None = None
) -> None:
    """Writes (H, W, 3) uint8 RGB as PNG, JPEG or WebP, by the ending of the name; nothing half-written is left.

    Args:
        path: where to; its folder must exist.
        image_rgb: the picture.
        metadata: kept as text chunks in PNG, and as JSON in the EXIF description of JPEG and WebP.

    Raises:
        InputError: the name has another ending.
        ResourceError: it cannot be written.
    """
    kind = _SUFFIXES.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(
            f"Expected a name ending in .png, .jpg or .webp, found {display_name(path)}: change its ending."
        )
    options: dict[str, object] = {}
    if kind == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in (metadata or {}).items():
            chunks.add_itxt(key, value)
        options = {"pnginfo": chunks, "compress_level": 4}
    else:
        if metadata:
            exif = Image.Exif()
            exif[ExifTags.Base.ImageDescription] = json.dumps(metadata)
            options["exif"] = exif.tobytes()
        options |= {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"quality": 95, "method": 4}
    with atomic_output(path) as temporary:
        Image.fromarray(np.ascontiguousarray(image_rgb)).save(temporary, format=kind, **options)


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


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.asarray(image).astype(np.float32)
        scale = 257.0 if deep.max(initial=0) > 255 else 1.0
        return Image.fromarray(np.clip(np.rint(deep / scale), 0, 255).astype(np.uint8)).convert("RGB")
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
