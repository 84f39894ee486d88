"""A decoded frame that keeps its own planes."""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
import cv2
import numpy as np

from facegen.media import hdr
from facegen.media.color import BT709, VideoColor, convert, read_color, to_rgb, yuv_matrix
from facegen.media.patch import Patch, paste_hdr_planes, paste_planes
from facegen.media.planes import copy_planes, plane_view

PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
"""The pixel formats in which a `Frame` holds its planes; every other one is converted to one of them."""


class Frame:
    """One frame of a video, upright, in its native planes, with its own timestamp. Treat it as immutable.

    The planes stay as stored: pixels need not be square, light may be PQ or HLG. `image_rgb`, and the patches and deltas
    that are laid over it, are the picture as displayed: square pixels, ordinary light.

    Attributes:
        index: position in the clip, counted from its first frame.
        pts: timestamp in units of `time_base`.
        duration: display time in units of `time_base`; 0 where the file does not say.
        color: tags by which the planes become RGB.
        native: the planes, an `av.VideoFrame` in one of `PLANAR`.
        pixel_aspect: width of a stored pixel over its height.
        alpha: (h, w) opacity of the stored pixels in the depth of the planes; None where all are opaque.
    """

    def __init__(
        self,
        native: av.VideoFrame,
        *,
        index: int,
        pts: int,
        time_base: Fraction,
        duration: int = 0,
        color: VideoColor | None = None,
        pixel_aspect: Fraction = Fraction(1),
        alpha: np.ndarray | None = None,
    ) -> None:
        self.color = color if color is not None else read_color(native)
        self.native = to_planar(native, self.color)
        self.index, self.pts, self.time_base, self.duration = index, pts, time_base, duration
        self.pixel_aspect, self.alpha = pixel_aspect, alpha

    def replace(self, **changes: Any) -> "Frame":
        """The frame with other values for arguments of the constructor; planes that stay are shared."""
        names = ("index", "pts", "time_base", "duration", "color", "pixel_aspect", "alpha")
        values = {name: getattr(self, name) for name in names}
        return Frame(changes.pop("native", self.native), **{**values, **changes})

    def to_plain(self) -> dict[str, Any]:
        """The frame as arrays and plain values, for another process."""
        names = ("index", "pts", "time_base", "duration", "color", "pixel_aspect", "alpha")
        native = self.native
        planes = tuple(plane_view(native, index) for index in range(3))
        layout = {"width": native.width, "height": native.height, "pix_fmt": native.format.name, "planes": planes}
        return {**layout, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_plain(
        cls, *, width: int, height: int, pix_fmt: str, planes: tuple[np.ndarray, ...], **options: Any
    ) -> "Frame":
        """The frame of `to_plain`.

        Raises:
            ValueError: the planes are not of that size and format.
        """
        if pix_fmt not in PLANAR or len(planes) != 3 or planes[0].shape != (height, width):
            raise ValueError(f"Expected planes of {PLANAR}, found {pix_fmt!r} of {width} x {height}.")
        native = av.VideoFrame(width, height, pix_fmt)
        for index, plane in enumerate(planes):
            view = plane_view(native, index)
            if plane.shape != view.shape or plane.dtype != view.dtype:
                raise ValueError(f"Expected a plane of {view.shape}, found {plane.shape}.")
            view[:] = plane
        return cls(native, **options)

    @classmethod
    def from_picture(
        cls,
        image_rgb: np.ndarray,
        *,
        index: int,
        pts: int,
        time_base: Fraction,
        duration: int = 0,
        color: VideoColor = BT709,
    ) -> "Frame":
        """Makes a frame from an RGB picture (H, W, 3) uint8, for videos that begin as pictures."""
        height, width = image_rgb.shape[:2]
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(image_rgb), format="rgb24")
        rgb.pts, rgb.time_base = pts, time_base
        pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        native = convert(rgb, pix_fmt, color, from_rgb=True)
        return cls(native, index=index, pts=pts, time_base=time_base, duration=duration, color=color)

    def to_size(self, height: int, width: int) -> "Frame":
        """The frame with other stored pixels, as displayed in the same shape."""
        native = self.native.reformat(width=width, height=height)
        alpha = None if self.alpha is None else cv2.resize(self.alpha, (width, height), interpolation=cv2.INTER_LINEAR)
        stretch = Fraction(self.native.width * height, self.native.height * width)
        return self.replace(native=native, alpha=alpha, pixel_aspect=self.pixel_aspect * stretch)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width as displayed, in square pixels."""
        return square_size(self.stored_hw, self.pixel_aspect)

    @property
    def stored_hw(self) -> tuple[int, int]:
        """Rows and columns of the luma plane."""
        return self.native.height, self.native.width

    @property
    def pts_seconds(self) -> float:
        """The timestamp in seconds."""
        return float(self.pts * self.time_base)

    @property
    def bit_depth(self) -> int:
        """Bits of a sample: 8 or 10."""
        return 10 if self.native.format.name.endswith("10le") else 8

    @cached_property
    def image_rgb(self) -> np.ndarray:
        """The picture as displayed, (H, W, 3) uint8 RGB; read-only, computed once."""
        if self.color.hdr:
            image = hdr.display_picture(to_rgb(self.native, self.color, is_deep=True), self.color)
        else:
            image = to_rgb(self.native, self.color)
        if self.size_hw != self.stored_hw:
            image = cv2.resize(image, self.size_hw[::-1], interpolation=cv2.INTER_CUBIC)
        image.flags.writeable = False
        return image

    @property
    def displayed_alpha(self) -> np.ndarray:
        """The opacity as displayed, (H, W) uint8; only of a frame with `alpha`."""
        assert self.alpha is not None
        opacity = (self.alpha >> (self.bit_depth - 8)).astype(np.uint8)
        return opacity if self.size_hw == self.stored_hw else cv2.resize(opacity, self.size_hw[::-1])

    @property
    def planes(self) -> tuple[np.ndarray, ...]:
        """Y, U and V as read-only views (uint8, or uint16 for 10 bit); chroma in its native, subsampled size."""
        views = tuple(plane_view(self.native, i) for i in range(3))
        for view in views:
            view.flags.writeable = False
        return views

    def paste(self, patches: Iterable[Patch]) -> "Frame":
        """Returns a new frame with `patches` laid over this one, in order.

        The blend happens in the native planes at their own bit depth. A luma sample changes only where alpha is above
        0, and a chroma sample only where alpha is above 0 at one of the pixels it colours.
        """
        native = copy_planes(self.native)
        matrix = yuv_matrix(self.color, native.height, self.bit_depth)
        planes = [plane_view(native, i) for i in range(3)]
        for patch in map(self._store_patch, patches):
            if self.color.hdr:
                paste_hdr_planes(planes, patch, matrix, self.bit_depth, self.color)
            else:
                paste_planes(planes, patch, matrix, self.bit_depth)
        return self.replace(native=native)

    def _store_patch(self, patch: Patch) -> Patch:
        """The patch in stored pixels: each is the mean of what it covers of the displayed ones."""
        if self.size_hw == self.stored_hw:
            return patch
        rows, y = area_weights(patch.y, patch.alpha.shape[0], self.size_hw[0], self.stored_hw[0])
        columns, x = area_weights(patch.x, patch.alpha.shape[1], self.size_hw[1], self.stored_hw[1])
        alpha = patch.alpha.astype(np.float32, copy=False)
        weighed = np.einsum("yh,hwc->ywc", rows, np.dstack([patch.image_rgb * alpha[..., None], alpha]), optimize=True)
        stored = np.einsum("xw,ywc->yxc", columns, weighed, optimize=True).astype(np.float32)
        cover = stored[..., 3]
        return Patch(
            x=x, y=y, image_rgb=stored[..., :3] / np.maximum(cover, 1e-6)[..., None], alpha=np.clip(cover, 0.0, 1.0)
        )

    def add_luma(self, delta: np.ndarray) -> "Frame":
        """Returns a new frame whose luma is raised by `delta`, saturated; chroma stays as it is.

        Args:
            delta: (H, W) int8 in steps of 8-bit luma as displayed, whatever the depth and light of the frame.
        """
        if delta.shape != self.size_hw:
            raise ValueError(f"Expected a delta of the frame's size {self.size_hw}, found {delta.shape}.")
        if self.size_hw != self.stored_hw:
            fine = cv2.resize(delta.astype(np.float32), self.stored_hw[::-1], interpolation=cv2.INTER_AREA)
            delta = np.rint(fine).astype(np.int8)
        native = copy_planes(self.native)
        luma = plane_view(native, 0)
        if self.color.hdr:
            steps = hdr.luma_steps(self.color, self.bit_depth)
            luma[:] = steps[np.clip(delta, -16, 16).astype(np.intp) + 16, luma]
        elif self.bit_depth == 8:
            cv2.add(luma, delta, dst=luma, dtype=cv2.CV_8U)
        else:
            cv2.add(luma, delta.astype(np.int16) * 4, dst=luma, dtype=cv2.CV_16U)
            np.minimum(luma, 1023, out=luma)
        return self.replace(native=native)

    def cover_luma(self, cover: np.ndarray, level: float) -> "Frame":
        """Returns a new frame whose luma is covered in part by one value; chroma stays as it is.

        Args:
            cover: (H, W) float32 as displayed: how much of each pixel is covered, 0 to 1.
            level: the value, as a share of the highest one.
        """
        if self.size_hw != self.stored_hw:
            cover = cv2.resize(cover, self.stored_hw[::-1], interpolation=cv2.INTER_AREA)
        native = copy_planes(self.native)
        rows = slice(*np.flatnonzero(cover.any(axis=1))[[0, -1]] + (0, 1))
        luma, cover = plane_view(native, 0)[rows], cover[rows]
        luma[:] = np.rint(luma + cover * (level * ((1 << self.bit_depth) - 1) - luma)).astype(luma.dtype)
        return self.replace(native=native)


def square_size(stored_hw: tuple[int, int], pixel_aspect: Fraction) -> tuple[int, int]:
    """Height and width in square pixels, the shorter side of the stored pixels stretched.

    An aspect within half a percent of 1 comes from rounding, one beyond 4 from a damaged header: both count as square.
    """
    height, width = stored_hw
    if not Fraction(1, 4) <= pixel_aspect <= 4 or abs(pixel_aspect - 1) < Fraction(1, 200):
        return stored_hw
    if pixel_aspect > 1:
        return height, round(width * pixel_aspect)
    return round(height / pixel_aspect), width


def area_weights(start: int, length: int, displayed: int, stored: int) -> tuple[np.ndarray, int]:
    """How much of each displayed pixel from `start` on each stored pixel covers, along one side.

    Returns:
        (stored pixels touched, length) float32, the sum of a whole row 1; and the first stored pixel.
    """
    step = displayed / stored
    first, last = math.floor(start / step), math.ceil((start + length) / step)
    begins = np.arange(first, last)[:, None] * step
    pixels = np.arange(start, start + length)[None]
    overlap = np.minimum(begins + step, pixels + 1) - np.maximum(begins, pixels)
    return (np.clip(overlap, 0, None) / step).astype(np.float32), first


def to_planar(frame: av.VideoFrame, color: VideoColor) -> av.VideoFrame:
    """Brings any decoded format into one of `PLANAR`, without loss where the samples are already there."""
    name = frame.format.name
    if name in PLANAR:
        return frame
    if name.startswith("yuvj") and "yuv" + name[4:] in PLANAR:
        return copy_planes(frame, "yuv" + name[4:])
    components = frame.format.components
    is_deep = components[0].bits > 8
    is_rgb = frame.format.is_rgb or frame.format.has_palette
    if len(components) == 1 and not is_rgb and components[0].bits in (8, 10):
        return _add_grey_chroma(frame)
    if is_rgb:
        base = "yuv444p"
    else:
        chroma = components[1] if len(components) > 2 else None
        is_half = (chroma.width < frame.width, chroma.height < frame.height) if chroma else (True, True)
        base = {(True, True): "yuv420p", (True, False): "yuv422p"}.get(is_half, "yuv444p")
    return convert(frame, base + ("10le" if is_deep else ""), color, from_rgb=is_rgb)


def _add_grey_chroma(frame: av.VideoFrame) -> av.VideoFrame:
    """The samples of a black-and-white frame as they are, in their own range, with colourless chroma."""
    whole = av.VideoFrame(
        frame.width, frame.height, "yuv420p10le" if frame.format.components[0].bits > 8 else "yuv420p"
    )
    plane_view(whole, 0)[:] = plane_view(frame, 0)
    for index in (1, 2):
        plane_view(whole, index)[:] = 128 << (whole.format.components[0].bits - 8)
    return whole
