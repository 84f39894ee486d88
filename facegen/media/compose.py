"""Frames of several clips on one canvas: in their own planes where they agree in colour, else as BT.709."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import av

from facegen.media.color import BT709
from facegen.media.encoders import ENCODERS
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo
from facegen.media.planes import plane_view
from facegen.media.read import read_frames

_MOST_TICKS = 1 << 31
"""What the time scale of an mp4 can hold."""
Rectangle = tuple[int, int, int, int]
"""Left, top, width and height on a canvas, in its stored pixels."""


class Canvas:
    """The picture on which clips are laid.

    Attributes:
        like: size, colour and unit of time of the result.
        notices: what is not as in every clip.
    """

    def __init__(self, clips: Sequence[VideoInfo]) -> None:
        """Chooses colour, shape of pixels and unit of time that suit all clips; the size is that of the first."""
        first = clips[0]
        self._keeps_colour = len({clip.color for clip in clips}) == 1 and not first.has_alpha
        self._keeps_pixels = self._keeps_colour and len({clip.pixel_aspect for clip in clips}) == 1
        ticks = math.lcm(*(clip.time_base.denominator for clip in clips))
        rate = max(clip.frame_rate for clip in clips)
        self.like = replace(
            first,
            path="",
            audio=(),
            metadata={},
            end_pts=None,
            has_alpha=False,
            frame_rate=rate,
            time_base=Fraction(1, ticks if ticks < _MOST_TICKS else 90_000),
            width=self.size_of(first)[0],
            height=self.size_of(first)[1],
            pixel_aspect=first.pixel_aspect if self._keeps_pixels else Fraction(1),
            bit_depth=max(clip.bit_depth for clip in clips) if self._keeps_colour else 8,
            color=first.color if self._keeps_colour else BT709,
            light=first.light if self._keeps_colour else None,
        )
        self.notices = (
            () if self._keeps_colour else ("The clips differ in colour: all were brought to BT.709 in 8 bit.",)
        )

    def size_of(self, clip: VideoInfo) -> tuple[int, int]:
        """Width and height of a clip in pixels of the canvas."""
        height, width = (clip.height, clip.width) if self._keeps_pixels else clip.size_hw
        return width, height

    def resize(self, width: int, height: int) -> None:
        """Gives the canvas another size."""
        self.like = replace(self.like, width=width, height=height)

    def read(self, clip: VideoInfo) -> Iterator[Frame]:
        """The frames of a clip in the colour and pixels of the canvas."""
        for frame in read_frames(clip.path):
            if self._keeps_pixels:
                yield frame
            else:
                yield Frame.from_picture(
                    frame.image_rgb, index=frame.index, pts=frame.pts, time_base=frame.time_base, color=self.like.color
                )

    def compose_frame(self, placed: Sequence[tuple[Frame, Rectangle]], index: int, pts: int) -> Frame:
        """A frame with others on black, each at its rectangle."""
        like = self.like
        pix_fmt = ENCODERS["h264"].pix_fmt(like, has_alpha=False)
        whole = av.VideoFrame(like.width, like.height, pix_fmt)
        bits = whole.format.components[0].bits
        for plane in range(3):
            dark = 0 if like.color.is_full_range else 16
            plane_view(whole, plane)[:] = (dark if plane == 0 else 128) << (bits - 8)
        step = 1 if "444" in pix_fmt else 2
        for frame, (left, top, width, height) in placed:
            piece = frame.native.reformat(width=width, height=height, format=pix_fmt)
            for plane in range(3):
                unit = 1 if plane == 0 else step
                source, target = plane_view(piece, plane), plane_view(whole, plane)
                y, x = top // step * step // unit, left // step * step // unit
                target[y : y + source.shape[0], x : x + source.shape[1]] = source[
                    : target.shape[0] - y, : target.shape[1] - x
                ]
        whole.colorspace, whole.color_range = placed[0][0].native.colorspace, placed[0][0].native.color_range
        return Frame(
            whole, index=index, pts=pts, time_base=like.time_base, color=like.color, pixel_aspect=like.pixel_aspect
        )


def frames_in_sequence(canvas: Canvas, clips: Sequence[VideoInfo]) -> Iterator[Frame]:
    """Frames of clips one after the other, each with its own time, centred on the canvas."""
    base, index = canvas.like.time_base, itertools.count()
    begin = Fraction(0)
    for clip in clips:
        width, height = canvas.size_of(clip)
        rectangle = ((canvas.like.width - width) // 2, (canvas.like.height - height) // 2, width, height)
        for frame in canvas.read(clip):
            yield canvas.compose_frame(
                [(frame, rectangle)], next(index), round((begin + frame.pts * frame.time_base) / base)
            )
        begin += Fraction(clip.duration_seconds).limit_denominator(1_000_000)


def frames_side_by_side(canvas: Canvas, clips: Sequence[VideoInfo], rectangles: Sequence[Rectangle]) -> Iterator[Frame]:
    """Frames of clips at the same time, at an even rate; a clip that has ended leaves black."""
    like = canvas.like
    cursors = [_Cursor(canvas.read(clip), clip.duration_seconds) for clip in clips]
    count = math.ceil(max(clip.duration_seconds for clip in clips) * like.frame_rate - Fraction(1, 2))
    for index in range(max(count, 1)):
        seconds = index / like.frame_rate
        shown = [(cursor.at(seconds), rectangle) for cursor, rectangle in zip(cursors, rectangles, strict=True)]
        placed = [(frame, rectangle) for frame, rectangle in shown if frame is not None]
        yield canvas.compose_frame(placed or [(cursors[0].last, rectangles[0])], index, round(seconds / like.time_base))


class _Cursor:
    """The frame of a clip that is shown at a moment; moments only grow."""

    def __init__(self, frames: Iterator[Frame], end_seconds: float) -> None:
        self._frames, self._end = frames, end_seconds
        self.last = next(frames)
        self._next = next(frames, None)

    def at(self, seconds: Fraction) -> Frame | None:
        while self._next is not None and self._next.pts * self._next.time_base <= seconds + Fraction(1, 1000):
            self.last, self._next = self._next, next(self._frames, None)
        return self.last if self._next is not None or seconds < self._end else None
