"""Planes of decoded frames: views, copies, other sizes."""

import av
import numpy as np
from av.video.reformatter import Interpolation

from facegen.media.color import VideoColor


def fit_planes(frame: av.VideoFrame, size_hw: tuple[int, int], color: VideoColor) -> av.VideoFrame:
    """Brings a planar frame to another size (height, width): scaled by one factor, centred on black."""
    height, width = size_hw
    scale = min(height / frame.height, width / frame.width)
    inner_h, inner_w = (
        max(2, min(whole, round(side * scale / 2) * 2))
        for whole, side in ((height, frame.height), (width, frame.width))
    )
    inner = frame.reformat(
        width=inner_w, height=inner_h, interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND
    )
    if (inner_h, inner_w) == size_hw:
        return inner
    fitted = av.VideoFrame(width, height, frame.format.name)
    step = 4 if frame.format.name.endswith("10le") else 1
    for index in range(3):
        plane, piece = plane_view(fitted, index), plane_view(inner, index)
        plane[:] = 128 * step if index else (0 if color.is_full_range else 16 * step)
        step_y, step_x = -(-height // plane.shape[0]), -(-width // plane.shape[1])
        y, x = ((height - inner_h) // 4 * 2) // step_y, ((width - inner_w) // 4 * 2) // step_x
        plane[y : y + piece.shape[0], x : x + piece.shape[1]] = piece
    return fitted


def plane_view(frame: av.VideoFrame, index: int) -> np.ndarray:
    """Plane `index` as a writable view without its padding, (h, w) uint8 or uint16."""
    plane = frame.planes[index]
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]


def copy_planes(frame: av.VideoFrame, pix_fmt: str | None = None) -> av.VideoFrame:
    """A new frame with the same samples, whose planes nobody else holds."""
    copy = av.VideoFrame(frame.width, frame.height, pix_fmt or frame.format.name)
    for index in range(len(frame.planes)):
        plane_view(copy, index)[:] = plane_view(frame, index)
    return copy
