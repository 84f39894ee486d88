"""EXIF of a photograph: date and camera are kept, the position only where that is asked for, all else is left out.

Left out are, above all, the thumbnail, which shows the face as it was, and the maker's notes, serial numbers and names of
owners, which no reader of the result needs.
"""

import struct
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

POSITION_NOTICE = "Where it was recorded is left out of the result."
_DETAILS, _PLACE = int(ExifTags.IFD.Exif), int(ExifTags.IFD.GPSInfo)
_KEPT = frozenset(
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
        kept = _select(exif, _KEPT)
        if details := _select(exif.get_ifd(_DETAILS), _KEPT):
            kept[_DETAILS] = details
        if position := dict(exif.get_ifd(_PLACE)):
            kept[_PLACE] = position
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):
        # broken EXIF is common and harmless
        return {}
    return kept


def make_exif(tags: Mapping[int, Any], *, keep_position: bool) -> tuple[Image.Exif, tuple[str, ...]]:
    """EXIF to write, upright, from the tags of `read_exif`; and a notice where the position is left out."""
    exif, notices = Image.Exif(), []
    for tag, value in tags.items():
        if tag == _PLACE and not keep_position:
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
