"""Colour of video: tags, matrix and range, and conversion from YUV planes to RGB and back."""

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

UNSPECIFIED = 2
"""The value of a matrix, primaries or transfer tag that says nothing (ITU-T H.273); a range tag says 0."""

BT2020_PRIMARIES = 9
"""The tag of wide primaries; 1 are those of BT.709 and sRGB."""

_BT709, _FCC, _BT470BG, _SMPTE170M, _SMPTE240M, _BT2020, _BT2020_CL = 1, 4, 5, 6, 7, 9, 10
_WEIGHTS = {  # (Kr, Kb), H.273 table 4
    _BT709: (0.2126, 0.0722),
    _FCC: (0.30, 0.11),
    _BT470BG: (0.299, 0.114),
    _SMPTE170M: (0.299, 0.114),
    _SMPTE240M: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
    _BT2020_CL: (0.2627, 0.0593),
}
_SWSCALE = {
    _BT709: Colorspace.ITU709,
    _FCC: Colorspace.FCC,
    _BT470BG: Colorspace.ITU601,
    _SMPTE170M: Colorspace.ITU601,
    _SMPTE240M: Colorspace.SMPTE240M,
    _BT2020: Colorspace.BT2020,
    _BT2020_CL: Colorspace.BT2020,
}
# swscale's fast conversion to RGB is about one level too dark, which a pasted patch would add to the video.
_ACCURATE = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
_SRGB = 13
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True, kw_only=True)
class VideoColor:
    """Colour tags as the file states them, with the numbers of ITU-T H.273."""

    matrix: int = UNSPECIFIED
    """Matrix coefficients: 1 BT.709, 5 and 6 BT.601, 9 BT.2020, 2 unspecified."""
    primaries: int = UNSPECIFIED
    """Colour primaries: 1 BT.709, 9 BT.2020, 2 unspecified."""
    transfer: int = UNSPECIFIED
    """Transfer characteristics: 1 BT.709, 13 sRGB, 16 PQ, 18 HLG, 2 unspecified."""
    is_full_range: bool = False
    """Samples use 0..255 (0..1023), not 16..235 (64..940)."""
    is_range_tagged: bool = False
    """The file says which range it uses; otherwise limited range is taken."""

    @property
    def hdr(self) -> str | None:
        """`"PQ"` or `"HLG"` for high dynamic range, else None."""
        return _HDR_TRANSFERS.get(self.transfer)

    def resolved_matrix(self, height: int) -> int:
        """The matrix to compute with: the tag, or BT.709 from 720 lines on and BT.601 below when there is none."""
        if self.matrix in _WEIGHTS:
            return self.matrix
        return _BT709 if height >= 720 else _SMPTE170M

    def is_matrix_assumed(self) -> bool:
        """True when the file does not say which matrix it uses, or names one that is not known here."""
        return self.matrix not in _WEIGHTS


BT709 = VideoColor(matrix=1, primaries=1, transfer=1, is_range_tagged=True)
"""What facegen tags on videos it makes from pictures."""


def read_color(frame: av.VideoFrame) -> VideoColor:
    """Reads the tags of a decoded frame; for one of RGB samples, the matrix and range with which it becomes YUV here."""
    if frame.format.is_rgb or frame.format.has_palette:
        primaries = int(frame.color_primaries)
        is_wide = primaries == BT2020_PRIMARIES
        return VideoColor(
            matrix=_BT2020 if is_wide else _BT709,
            primaries=primaries if primaries != UNSPECIFIED else _BT709,
            transfer=int(frame.color_trc) if int(frame.color_trc) != UNSPECIFIED else _SRGB,
            is_range_tagged=True,
        )
    is_full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return VideoColor(
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        is_full_range=is_full,
        is_range_tagged=is_full or frame.color_range == ColorRange.MPEG,
    )


def to_rgb(frame: av.VideoFrame, color: VideoColor, *, is_deep: bool = False) -> np.ndarray:
    """Converts YUV planes to an array (H, W, 3) RGB, uint8 or, `is_deep`, uint16, by the matrix and range of `color`."""
    matrix = _SWSCALE[color.resolved_matrix(frame.height)]
    rgb = frame.reformat(
        format="gbrp16le" if is_deep else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG if color.is_full_range else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=_ACCURATE,
        threads=1,
    )
    if is_deep:  # swscale's packed form of 16 bit has wrong colours with FULL_CHR_H_INT
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint16).reshape(plane.height, -1)[:, : plane.width]
            for plane in rgb.planes
        )
        return np.dstack([red, green, blue])
    samples = np.frombuffer(memoryview(rgb.planes[0]), np.uint8).reshape(rgb.height, -1)
    return np.ascontiguousarray(samples[:, : rgb.width * 3]).reshape(rgb.height, rgb.width, 3)


def convert(frame: av.VideoFrame, pix_fmt: str, color: VideoColor, from_rgb: bool = False) -> av.VideoFrame:
    """Converts `frame` to another planar YUV format, its matrix and range kept (or made from full-range RGB)."""
    matrix = _SWSCALE[color.resolved_matrix(frame.height)]
    own_range = ColorRange.JPEG if color.is_full_range else ColorRange.MPEG
    out = frame.reformat(
        format=pix_fmt,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG if from_rgb else own_range,
        dst_color_range=own_range,
        interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
        threads=1,
    )
    out.pts = frame.pts
    if frame.time_base is not None:  # a frame that was made, not decoded, has none
        out.time_base = frame.time_base
    return out


def yuv_matrix(color: VideoColor, height: int, bits: int) -> np.ndarray:
    """The affine map from RGB 0..255 to YUV samples of `bits` bits, as (3, 4) float32: `[Y U V] = M @ [R G B 1]`."""
    kr, kb = _WEIGHTS[color.resolved_matrix(height)]
    kg = 1.0 - kr - kb
    luma = np.array([kr, kg, kb])
    rows = np.stack(
        [luma, (np.array([0, 0, 1]) - luma) / (2 * (1 - kb)), (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))]
    )
    step = 1 << (bits - 8)
    if color.is_full_range:
        peak = (1 << bits) - 1
        scale, offset = np.array([peak, peak, peak]), np.array([0, 128 * step, 128 * step])
    else:
        scale, offset = np.array([219, 224, 224]) * step, np.array([16, 128, 128]) * step
    return np.hstack([rows * scale[:, None] / 255.0, offset[:, None]]).astype(np.float32)
