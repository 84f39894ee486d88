"""Properties of a video file: displayed size, timing, colour, streams, mastering light and stereo layout."""

import os
import re
import struct
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from facegen.errors import InputError
from facegen.media.apart import apart
from facegen.media.color import VideoColor, read_color
from facegen.media.frame import square_size
from facegen.media.orientation import Orientation, read_orientation, side_data_of
from facegen.media.source import decode_packets, display_name, main_video, open_input, translate_read_errors


@dataclass(frozen=True, kw_only=True)
class StaticLight:
    """What a file says for all of its frames; numbers as x264 and x265 take them."""

    mastering: str = ""
    """`G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`, chromaticities in 1/50000, light in 1/10000 cd/m2; empty where unknown."""
    content: str = ""
    """`MaxCLL,MaxFALL` in cd/m2; empty where unknown."""


def read_light(frame: av.VideoFrame) -> StaticLight | None:
    """Reads the static metadata of a decoded frame; None where there is none."""
    mastering = content = ""
    for data in side_data_of(frame):
        if data.type.name == "MASTERING_DISPLAY_METADATA":
            mastering = _format_mastering(bytes(data))
        elif data.type.name == "CONTENT_LIGHT_LEVEL":
            content = "{},{}".format(*struct.unpack_from("=II", bytes(data)))
    return StaticLight(mastering=mastering, content=content) if mastering or content else None


def read_stereo(frame: av.VideoFrame) -> str:
    """How two views share a decoded frame, in the words of Matroska; empty where there is one or it is not known."""
    for data in side_data_of(frame):
        if data.type.name == "STEREO3D":
            return {1: "left_right", 2: "top_bottom"}.get(struct.unpack_from("=i", bytes(data))[0], "")
    return ""


def _format_mastering(data: bytes) -> str:
    # AVMasteringDisplayMetadata: red, green, blue and white point in x and y, least and most light; what of it is set
    *pairs, has_primaries, has_light = struct.unpack_from("=20i2i", data)
    values = [Fraction(a, b) if b else Fraction(0) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
    if not has_primaries or not has_light:
        return ""
    red, green, blue, white = (f"({round(values[i] * 50_000)},{round(values[i + 1] * 50_000)})" for i in range(0, 8, 2))
    least, most = (round(value * 10_000) for value in values[8:])
    return f"G{green}B{blue}R{red}WP{white}L({most},{least})"


_TS_DISCONT = 0x0200
_DYNAMIC_LIGHT = {"DOVI_RPU_BUFFER": "Dolby Vision", "DOVI_METADATA": "Dolby Vision", "DYNAMIC_HDR_PLUS": "HDR10+"}
_HIGHEST_RATE = 1000
"""Frames a second; what states more is not meant."""


@dataclass(frozen=True, kw_only=True)
class StreamInfo:
    """A sound or subtitle stream."""

    index: int
    """Number of the stream in its file."""
    codec: str
    """Name of the codec, as libav spells it."""
    language: str | None = None
    """Language tag of the file, e.g. `eng`."""
    sample_rate: int = 0
    """Samples a second; 0 for subtitles."""
    channels: int = 0
    """Channels; 0 for subtitles."""


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A video file as `probe` finds it."""

    path: str
    """The file."""
    width: int
    """Columns of stored pixels, rotation applied."""
    height: int
    """Rows of stored pixels, rotation applied."""
    rotation_deg: int = 0
    """Clockwise turn that the file asks a player for, already applied to `width` and `height`: 0, 90, 180 or 270."""
    is_mirrored: bool = False
    """The file asks a player to mirror it, too."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height, as displayed."""
    frame_rate: Fraction
    """Average frames a second."""
    time_base: Fraction
    """Unit of the frames' timestamps, in seconds."""
    duration_seconds: float
    """Length of the video stream."""
    frame_count: int
    """Number of frames that the file states, or an estimate; `frame_times` counts exactly."""
    codec: str
    """Name of the video codec."""
    pix_fmt: str
    """Pixel format of decoded frames, as libav spells it."""
    bit_depth: int = 8
    """Bits of a sample."""
    color: VideoColor = field(default_factory=VideoColor)
    """Colour tags."""
    audio: tuple[StreamInfo, ...] = ()
    """Sound streams."""
    subtitles: tuple[StreamInfo, ...] = ()
    """Subtitle streams."""
    metadata: dict[str, str] = field(default_factory=dict)
    """Title, date and so on, as the file has them."""
    has_alpha: bool = False
    """Its pixels have transparency."""
    is_interlaced: bool = False
    """Its frames consist of two fields; they are read deinterlaced."""
    light: StaticLight | None = None
    """The light that an HDR picture was graded for, where the file says so."""
    stereo: str = ""
    """How two views share the picture: `left_right`, `top_bottom`; empty where there is one."""
    side_data: frozenset[str] = frozenset()
    """Names of libav's side data of the first frame: 360 degrees, stereo, HDR10+ and so on."""
    end_pts: int | None = None
    """When the last frame ends, in units of `time_base`; None where the file does not say."""
    origin: Fraction = Fraction(0)
    """Time in the file, in seconds, that counts as zero: the start of a transport stream, else 0."""
    notices: tuple[str, ...] = ()
    """Assumptions about the file and losses to expect, one sentence each."""

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width as displayed, in square pixels; `height` and `width` where pixels are square."""
        return square_size((self.height, self.width), self.pixel_aspect)

    @property
    def salt(self) -> bytes:
        """What tells this video from others, whatever its name: its length, size and tags."""
        return repr(
            (self.duration_seconds, self.frame_count, self.width, self.height, self.codec, self.metadata)
        ).encode()

    @property
    def conversions(self) -> tuple[str, ...]:
        """How pictures of it differ from its stored frames: a part of the keys of what is measured on them."""
        kinds = {
            "square pixels": self.size_hw != (self.height, self.width),
            f"light of {self.color.hdr}": self.color.hdr is not None,
            "deinterlaced": self.is_interlaced,
            "on white": self.has_alpha,
        }
        return tuple(kind for kind, applies in kinds.items() if applies)


@apart
def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header of a video and decodes its first frame.

    Raises:
        InputError: the file is missing, is no video, has no frames, or cannot be decoded.
    """
    with open_input(path) as container, translate_read_errors(path):
        stream = main_video(container, path)
        first = first_frame(container, stream, path)
        return describe(container, stream, first, path)


def first_frame(container: InputContainer, stream: VideoStream, path: str | os.PathLike[str]) -> av.VideoFrame:
    """Decodes the first frame.

    Raises:
        InputError: the stream has none.
    """
    for frame in decode_packets(stream, (packet for packet in container.demux(stream) if packet.size)):
        return frame
    raise InputError(f"Expected a video with frames, found none in {display_name(path)}: export or download it again.")


def describe(
    container: InputContainer, stream: VideoStream, first: av.VideoFrame, path: str | os.PathLike[str]
) -> VideoInfo:
    """Builds a `VideoInfo` from an open file and its first frame."""
    orientation = read_orientation(first)
    width, height = first.width, first.height
    aspect = read_pixel_aspect(stream)
    if orientation.is_transposed:
        width, height, aspect = height, width, 1 / aspect
    time_base = stream.time_base or Fraction(1, 1000)
    rate = read_frame_rate(stream)
    duration = _duration_seconds(container, stream, time_base)
    color = read_color(first)
    origin = read_origin(container)
    return VideoInfo(
        path=os.path.abspath(path),
        width=width,
        height=height,
        rotation_deg=orientation.rotation_deg,
        is_mirrored=orientation.is_mirrored,
        pixel_aspect=aspect,
        frame_rate=rate,
        time_base=time_base,
        duration_seconds=duration,
        frame_count=stream.frames or max(1, round(duration * rate)),
        codec=stream.codec_context.codec.canonical_name,
        pix_fmt=first.format.name,
        bit_depth=first.format.components[0].bits,
        color=color,
        audio=tuple(_sound_info(s) for s in container.streams.audio if s.codec_context is not None),
        subtitles=tuple(
            StreamInfo(index=s.index, codec=s.codec_context.name, language=s.language)
            for s in container.streams.subtitles
            if s.codec_context is not None
        ),
        metadata=dict(container.metadata),
        has_alpha=has_alpha(first),
        is_interlaced=bool(first.interlaced_frame),
        light=read_light(first),
        stereo=read_stereo(first),
        side_data=frozenset(item.type.name for item in side_data_of(first)),
        end_pts=_end_pts(stream, origin),
        origin=origin,
        notices=tuple(_notices(container, first, color, height, orientation)),
    )


def read_pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a stored pixel over its height, before rotation; 1 where the file does not say."""
    return stream.sample_aspect_ratio or Fraction(1)


def read_frame_rate(stream: VideoStream) -> Fraction:
    """Average frames a second, 25 where the file does not say.

    Files of DV cameras state the unit of their times as their rate.
    """
    stated = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in stated if rate and rate <= _HIGHEST_RATE), Fraction(25))


def has_free_times(container: InputContainer) -> bool:
    """Whether times may begin anywhere and be set anew on the way: transport and program streams."""
    return bool(container.format.flags & _TS_DISCONT)


def read_origin(container: InputContainer) -> Fraction:
    """The time that counts as zero: transport and program streams begin anywhere, all others mean what they say."""
    if not has_free_times(container):
        return Fraction(0)
    starts = [s.start_time * s.time_base for s in container.streams if s.start_time is not None and s.time_base]
    return min(starts, default=Fraction(0))


def has_alpha(frame: av.VideoFrame) -> bool:
    """True when the pixel format of `frame` carries transparency."""
    return any(component.is_alpha for component in frame.format.components)


@apart
def is_video(path: str | os.PathLike[str]) -> bool:
    """True when the content of `path`, whatever its name, is moving pictures that can be decoded."""
    from facegen.media.picture import is_picture

    if is_picture(path):
        return False
    try:
        probe(path)
    except InputError:
        return False
    return True


def _duration_seconds(container: InputContainer, stream: VideoStream, time_base: Fraction) -> float:
    if stream.duration:
        return float(stream.duration * time_base)
    stated = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""))
    if stated:  # Matroska
        hours, minutes, seconds = stated.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration:
        return container.duration / av.time_base
    return 0.0


def _end_pts(stream: VideoStream, origin: Fraction) -> int | None:
    if not stream.duration or stream.start_time is None or not stream.time_base:
        return None
    return stream.start_time + stream.duration - round(origin / stream.time_base)


def _sound_info(stream: av.AudioStream) -> StreamInfo:
    context = stream.codec_context
    return StreamInfo(
        index=stream.index,
        codec=context.codec.canonical_name,
        language=stream.language,
        sample_rate=context.sample_rate or 0,
        channels=context.channels or 0,
    )


def _notices(
    container: InputContainer, first: av.VideoFrame, color: VideoColor, height: int, orientation: Orientation
) -> list[str]:
    notices = []
    if color.is_matrix_assumed() and not first.format.is_rgb:
        assumed = "BT.709" if height >= 720 else "BT.601"
        notices.append(f"The file does not say which colour matrix it uses; {assumed} is taken, by its height.")
    if color.hdr:
        dynamic = [
            name for kind, name in _DYNAMIC_LIGHT.items() if any(d.type.name == kind for d in side_data_of(first))
        ]
        lost = f", {' and '.join(dynamic)} is not" if dynamic else ""
        notices.append(f"High dynamic range ({color.hdr}): depth, tags and mastering data are kept{lost}.")
    if first.interlaced_frame:
        notices.append("It is interlaced: its frames are deinterlaced (bwdif) and written as progressive ones.")
    if len(container.streams.video) > 1:
        notices.append(
            "It has more than one video stream; the first is used, cover pictures and the rest are left out."
        )
    return notices
