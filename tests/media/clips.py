"""Clips of every awkward kind, made with PyAV alone so that the tests do not check facegen by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.factories import gradient_rgb

TICKS = Fraction(1, 12800)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """How to make a clip; the defaults give 12 frames of 64x48 at 25 a second."""

    name: str
    suffix: str = ".mp4"
    width: int = 64
    height: int = 48
    pts: Sequence[int] = tuple(range(0, 12 * 512, 512))
    time_base: Fraction = TICKS
    pix_fmt: str = "yuv420p"
    codec: str = "libx264"
    rotation: int = 0
    is_mirrored: bool = False
    is_full_range: bool = False
    tags: tuple[int, int, int] = (1, 1, 1)
    sound: tuple[str, ...] = ("aac",)
    sound_start_seconds: float = 0.0
    is_lossless: bool = False

    def write(self, folder: Path) -> Path:
        """Makes the clip in `folder`; frame n is `gradient_rgb` with phase n/24."""
        path = folder / f"{self.name}{self.suffix}"
        options = {"video_track_timescale": str(self.time_base.denominator)} if self.suffix in (".mp4", ".mov") else {}
        with av.open(str(path), "w", container_options=options) as container:
            video = self._video(container)
            tracks = [container.add_stream(codec, rate=48000) for codec in self.sound]
            for track in tracks:
                if track.codec_context.name == "wmav2":  # which has no rate of its own
                    track.codec_context.bit_rate = 96_000
            for number, pts in enumerate(self.pts):
                container.mux(video.encode(self.frame(number, pts)))
            container.mux(video.encode(None))
            for number, track in enumerate(tracks):
                self._write_sound(container, track, 300 + 200 * number)
        return path

    def frame(self, number: int, pts: int) -> av.VideoFrame:
        """Frame `number` in the format of the clip."""
        rgb = av.VideoFrame.from_ndarray(gradient_rgb(self.height, self.width, number / 24), format="rgb24")
        frame = rgb.reformat(
            format=self.pix_fmt, dst_colorspace=1, dst_color_range=2 if self.is_full_range else 1, src_color_range=2
        )
        frame.pts, frame.time_base = pts, self.time_base
        return frame

    def _video(self, container: av.container.OutputContainer) -> av.VideoStream:
        options = (
            {"preset": "ultrafast", "qp": "0"} if self.is_lossless else {"preset": "medium", "crf": "16", "bf": "2"}
        )
        video = container.add_stream(self.codec, rate=25, options=options if self.codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = self.width, self.height, self.pix_fmt
        context = video.codec_context
        context.time_base = video.time_base = self.time_base
        context.gop_size = 6
        context.colorspace, context.color_primaries, context.color_trc = self.tags
        context.color_range = 2 if self.is_full_range else 1
        if self.rotation or self.is_mirrored:
            video.set_display_rotation(-self.rotation, hflip=self.is_mirrored)
        return video

    def _write_sound(self, container: av.container.OutputContainer, track: av.AudioStream, pitch: int) -> None:
        span = (self.pts[-1] - self.pts[0] + 512) * self.time_base
        context = track.codec_context
        start = round(48000 * (self.sound_start_seconds + float(self.pts[0] * self.time_base)))
        layout = context.layout.name
        for begin in range(0, int(48000 * span), 1024):
            tone = 0.2 * np.sin(2 * np.pi * pitch * np.arange(begin, begin + 1024) / 48000).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.stack([tone] * context.layout.nb_channels), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = 48000, start + begin, Fraction(1, 48000)
            for piece in av.AudioResampler(format=context.format, layout=layout, rate=48000).resample(frame):
                container.mux(track.encode(piece))
        container.mux(track.encode(None))


VARIABLE_PTS = (0, 512, 700, 1900, 2412, 2600, 4000, 4512, 5024, 8000, 8100, 9000)

CLIPS = (
    Clip(name="plain"),
    Clip(name="variable_rate", pts=VARIABLE_PTS),
    Clip(name="late_start", pts=tuple(range(6400, 6400 + 12 * 512, 512))),
    Clip(name="late_sound", sound_start_seconds=0.2),
    Clip(name="rotated_90", rotation=90),
    Clip(name="rotated_180", rotation=180),
    Clip(name="rotated_270", rotation=270),
    Clip(name="mirrored", is_mirrored=True),
    Clip(name="ten_bit", pix_fmt="yuv420p10le", tags=(9, 9, 16)),
    Clip(name="two_tracks", sound=("aac", "aac")),
    Clip(name="odd_size", width=63, height=47, pix_fmt="yuv444p"),
    Clip(name="full_range", is_full_range=True),
    Clip(name="half_chroma", pix_fmt="yuv422p"),
    Clip(name="silent", sound=()),
    Clip(name="quicktime", suffix=".mov", sound=("pcm_s16le",)),
    Clip(name="matroska", suffix=".mkv", time_base=Fraction(1, 1000), pts=tuple(range(0, 480, 40)), sound=("libopus",)),
    Clip(name="transport", suffix=".ts", time_base=Fraction(1, 90000), pts=tuple(range(0, 12 * 3600, 3600))),
    Clip(name="one_frame", pts=(0,)),
)
"""Every kind of clip, by name."""


def named(name: str) -> Clip:
    """The clip of `CLIPS` with this name."""
    return next(clip for clip in CLIPS if clip.name == name)
