"""Rotation and mirroring from a file's display matrix, applied to the planes of its frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from facegen.media.color import VideoColor, convert
from facegen.media.frame import to_planar
from facegen.media.planes import plane_view


@dataclass(frozen=True)
class Orientation:
    """From stored samples to the displayed picture: first transposed, then flipped."""

    is_transposed: bool = False
    """Rows become columns."""
    flips_x: bool = False
    """Left and right change places, after transposing."""
    flips_y: bool = False
    """Top and bottom change places, after transposing."""

    @property
    def is_identity(self) -> bool:
        """Nothing to do."""
        return not (self.is_transposed or self.flips_x or self.flips_y)

    @property
    def is_mirrored(self) -> bool:
        """The picture cannot be made by turning alone."""
        return self.is_transposed ^ self.flips_x ^ self.flips_y

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn in degrees (of a mirrored picture: the turn before mirroring left and right)."""
        if self.is_transposed:
            return 270 if self.flips_y else 90
        return 180 if self.flips_y else 0

    def turn(self, plane: np.ndarray) -> np.ndarray:
        """A stored plane (h, w) as displayed; a view."""
        plane = plane.T if self.is_transposed else plane
        plane = plane[:, ::-1] if self.flips_x else plane
        return plane[::-1] if self.flips_y else plane


def read_orientation(frame: av.VideoFrame) -> Orientation:
    """Reads the display matrix of a decoded frame; other angles are rounded to the nearest quarter turn."""
    for data in side_data_of(frame):
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            # Stored column x and row y go to a*x + c*y and b*x + d*y.
            if abs(b) + abs(c) > abs(a) + abs(d):
                return Orientation(is_transposed=True, flips_x=c < 0, flips_y=b < 0)
            return Orientation(flips_x=a < 0, flips_y=d < 0)
    return Orientation()


def side_data_of(frame: av.VideoFrame) -> Iterable[Any]:
    """The side data of a frame.

    `frame.side_data` would keep what it returns, which holds the frame, so that the planes stay until Python looks for
    cycles: minutes of video.
    """
    side_data: Iterable[Any] = SideDataContainer(frame)  # type: ignore[call-arg]
    return side_data


def apply_orientation(frame: av.VideoFrame, orientation: Orientation, color: VideoColor) -> av.VideoFrame:
    """Returns the frame as displayed, in a planar format; samples move but are not recomputed.

    Only where chroma would no longer sit on whole samples (4:2:2 displayed on its side, a mirrored odd size) the frame
    goes to 4:4:4 first.
    """
    frame = to_planar(frame, color)
    if orientation.is_identity:
        return frame
    name = frame.format.name
    is_odd = (frame.width % 2 and "444" not in name) or (frame.height % 2 and "420" in name)
    if is_odd or ("422" in name and orientation.is_transposed):
        frame = convert(frame, name.replace("420", "444").replace("422", "444"), color)
    width, height = frame.width, frame.height
    if orientation.is_transposed:
        width, height = height, width
    displayed = av.VideoFrame(width, height, frame.format.name)
    for index in range(3):
        plane_view(displayed, index)[:] = orientation.turn(plane_view(frame, index))
    displayed.colorspace, displayed.color_range = frame.colorspace, frame.color_range
    return displayed
