"""The encoders of libav that the choices of `EncodeOptions` mean, and the containers that take them."""

import functools
import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.logging

from facegen.encoding import PRESETS, EncodeOptions
from facegen.errors import InputError
from facegen.media.info import VideoInfo
from facegen.media.source import display_name

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints its settings to the terminal otherwise

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".gif": "gif",
    ".webp": "webp",
    ".zip": "zip",
}
"""Endings of the name of an output, and the container that each means."""
ANIMATIONS = ("gif", "webp")
"""Containers of short clips without sound, written from segments without loss."""
SEQUENCE = "zip"
"""The archive of numbered pictures, written from segments without loss, too."""
LONGEST = dict.fromkeys(ANIMATIONS, 60.0) | {SEQUENCE: 600.0}
"""Seconds of the longest animation and sequence: an animation of a minute is larger than an hour of video, a sequence of
ten minutes in 1920 x 1080 takes some 40 GB."""


@dataclass(frozen=True, kw_only=True)
class VideoEncoder:
    """An encoder of libav."""

    title: str
    """For messages."""
    codec: str
    """As libav calls it."""
    containers: tuple[str, ...]
    """What its packets can be written to."""
    formats: tuple[str, ...]
    """Pixel formats without transparency that it takes, the first that suits a video first."""
    clear_formats: tuple[str, ...] = ()
    """Those with transparency."""
    is_square: bool = False
    """Frames are brought to square pixels: neither the codec nor, as it is written here, the container states others."""
    is_lossless: bool = False
    """Loses nothing, whatever quality is asked for; only of H.264."""
    segments: str = "nut"
    """Format of its segments: NUT, which keeps exact times, where it takes the codec."""
    is_hardware: bool = False
    """Whether a graphics card encodes."""
    fall: str = ""
    """Why this encoder stands in for that of a graphics card, where it does."""

    def pix_fmt(self, like: VideoInfo, *, has_alpha: bool) -> str:
        """The format for a video: 4:2:0 in 8 bit, or 10 where it has more, which plays everywhere.

        H.264 can state an odd width or height only in 4:4:4, so odd sizes use that: the size shown is then exact, at the
        price that some televisions and Safari do not play it.
        """
        is_odd, is_deep = bool(like.width % 2 or like.height % 2), like.bit_depth > 8
        offered = self.clear_formats if has_alpha else self.formats
        depth = [name for name in offered if name.endswith("10le") == is_deep] or list(offered)
        full = [name for name in depth if not (is_odd and "420" in name)]
        return (full or depth)[0]

    def output_info(self, like: VideoInfo) -> VideoInfo:
        """The video that is written for one that is read."""
        if not self.is_square:
            return like
        height, width = like.size_hw
        return replace(like, width=width, height=height, pixel_aspect=Fraction(1))

    def options(self, encode: EncodeOptions, like: VideoInfo) -> dict[str, str]:
        """Options of libav for a quality on the scale of x264 and an effort in its words."""
        if self.is_lossless:
            return {"qp": "0", "preset": encode.preset}
        crf, effort = encode.crf, PRESETS.index(encode.preset)
        if self.is_hardware:
            return _gpu_options(self.codec, crf, effort)
        light = like.light
        if self.codec == "libx264":
            extra = {"mastering-display": light.mastering, "cll": light.content} if light else {}
            extra |= {"frame-packing": {"left_right": "3", "top_bottom": "4"}[like.stereo]} if like.stereo else {}
            return {"crf": str(crf), "preset": encode.preset, **_parameters("x264-params", extra)}
        if self.codec == "libx265":
            extra = {"log-level": "error", "hdr10": "1"} if like.color.hdr == "PQ" else {"log-level": "error"}
            extra |= {"master-display": light.mastering, "max-cll": light.content} if light else {}
            extra |= {} if crf else {"lossless": "1"}
            return {"crf": str(min(crf + 4, 51)), "preset": encode.preset, **_parameters("x265-params", extra)}
        if self.codec == "libvpx-vp9":
            speed = str(max(1, 8 - effort))
            lossless = {} if crf else {"lossless": "1"}
            quality = {"crf": str(min(63, round(crf * 1.35))), "b": "0", "cpu-used": speed, "row-mt": "1"}
            return {**quality, "deadline": "realtime" if effort < 2 else "good", "auto-alt-ref": "0", **lossless}
        if self.codec == "libsvtav1":
            extra = {"mastering-display": _to_svt(light.mastering), "content-light": light.content} if light else {}
            quality = {"crf": str(min(63, round(crf * 1.45))), "preset": str(12 - effort)}
            return {**quality, **_parameters("svtav1-params", extra)}
        if self.codec == "prores_ks":
            return {"profile": "4444" if encode.transparency else "hq", "vendor": "apl0"}
        return {"level": "3", "g": "1"}


def _parameters(name: str, values: dict[str, str]) -> dict[str, str]:
    text = ":".join(f"{key}={value}" for key, value in values.items() if value)
    return {name: text} if text else {}


def _gpu_options(codec: str, crf: int, effort: int) -> dict[str, str]:
    """Options of a graphics card's encoder for a quality on the scale of x264 and an effort of 0 to 8."""
    shift = 4 if codec.startswith("hevc") else 0
    quality = str(min(crf * 5, 255) if codec.startswith("av1") else min(crf + shift, 51))
    match codec.partition("_")[2]:
        case "nvenc":
            quality = str(min(crf + shift, 51))
            return {"preset": f"p{1 + effort * 6 // 8}", "rc": "vbr", "cq": quality, "b": "0", "forced-idr": "1"}
        case "qsv":
            return {"global_quality": quality, "preset": PRESETS[min(max(effort, 2), 8)]}
        case "amf":
            return {
                "rc": "cqp",
                "qp_i": quality,
                "qp_p": quality,
                "quality": ("speed", "balanced", "quality")[effort // 3],
            }
    lambda_of_one = 118  # libav's scale of `global_quality`; VideoToolbox takes 1 to 100, the best last
    return {"flags": "+qscale", "global_quality": str(lambda_of_one * max(1, 100 - 2 * (crf + shift)))}


def _to_svt(mastering: str) -> str:
    """x264's text of a mastering display with chromaticities and light as decimals, as SVT-AV1 reads them."""
    units = iter((*[50_000] * 8, *[10_000] * 2))
    return re.sub(r"\d+", lambda match: f"{int(match[0]) / next(units):.5f}", mastering)


ENCODERS = {
    "h264": VideoEncoder(
        title="H.264",
        codec="libx264",
        containers=("mp4", "mov", "matroska"),
        formats=("yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"),
    ),
    "h265": VideoEncoder(
        title="H.265",
        codec="libx265",
        containers=("mp4", "mov", "matroska"),
        formats=("yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"),
    ),
    "vp9": VideoEncoder(
        title="VP9",
        codec="libvpx-vp9",
        containers=("webm", "matroska", "mp4"),
        formats=("yuv420p",),
        clear_formats=("yuva420p",),
    ),
    "av1": VideoEncoder(
        title="AV1",
        codec="libsvtav1",
        containers=("webm", "matroska", "mp4"),
        formats=("yuv420p", "yuv420p10le"),
    ),
    "prores": VideoEncoder(
        title="ProRes",
        codec="prores_ks",
        containers=("mov", "matroska"),
        formats=("yuv422p10le",),
        clear_formats=("yuva444p10le",),
        segments="mov",
    ),
}
"""What a user can choose, by name."""
_KINDS = {
    "nvenc": ("yuv420p", "p010le"),
    "videotoolbox": ("nv12", "p010le"),
    "qsv": ("nv12", "p010le"),
    "amf": ("nv12", "p010le"),
}
"""Makers of graphics cards as libav's encoders end, and the pixel formats these take: NVIDIA, Apple, Intel, AMD."""
_GPU_CODECS = {"h264-gpu": ("h264", "h264"), "h265-gpu": ("h265", "hevc"), "av1-gpu": ("av1", "av1")}
"""Those of a graphics card by name: the encoder that stands in for it, and how libav's names of it begin."""
_FFV1 = VideoEncoder(
    title="FFV1",
    codec="ffv1",
    containers=(*ANIMATIONS, SEQUENCE),
    formats=("yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"),
    clear_formats=("yuva420p", "yuva444p10le"),
)
_LOSSLESS_H264 = replace(ENCODERS["h264"], containers=(SEQUENCE,), is_lossless=True)
"""Of a sequence: FFV1 does not say where chroma samples lie, by which pixels differ from those of a film."""


def find_encoder(encode: EncodeOptions, output: str | os.PathLike[str], like: VideoInfo | None = None) -> VideoEncoder:
    """The encoder that writes a file; by its name alone, or for a video like another.

    Raises:
        InputError: its container does not take the encoder, or the encoder no transparency; or an animation would be long.
    """
    output = Path(output)
    kind = CONTAINERS[output.suffix.lower()]
    if kind == SEQUENCE and not encode.transparency:
        return _LOSSLESS_H264
    if kind in _FFV1.containers:
        return _FFV1
    name = encode.encoder
    if name == "auto":
        is_deep = like is not None and like.bit_depth > 8 and not encode.transparency
        name = "av1" if kind == "webm" and is_deep else "vp9" if kind == "webm" or encode.transparency else "h264"
        name = "prores" if encode.transparency and kind == "mov" else name
    encoder = ENCODERS[_GPU_CODECS[name][0] if name in _GPU_CODECS else name]
    if kind not in encoder.containers:
        endings = [ending for ending, container in CONTAINERS.items() if container in encoder.containers]
        raise InputError(
            f"Expected an output ending in {', '.join(endings)} for {encoder.title}, found {display_name(output)}: "
            "change its ending or the encoder."
        )
    if encode.transparency and not (encoder.clear_formats and kind in ("webm", "matroska", "mov")):
        raise InputError(
            f"Expected .webm, .mkv or .mov with vp9 or prores for transparency, found {encoder.title} in "
            f"{display_name(output)}: change its ending, or leave transparency out."
        )
    if name in _GPU_CODECS and like is not None:
        encoder = _find_gpu_encoder(name, encode, like)
    states_pixels = kind in ("mp4", "mov") or encoder.codec.startswith(("libx264", "libx265", "h264_", "hevc_"))
    return encoder if states_pixels else replace(encoder, is_square=True)


def try_gpu_encoders() -> dict[str, str]:
    """What a trial frame of 640 x 480 shows of each choice of a graphics card: the encoder that takes it, or why none does."""
    found = {}
    for name in _GPU_CODECS:
        encoder = _first_working(name, EncodeOptions(), is_deep=False, width=640, height=480)
        found[name] = f"no: {encoder.fall}" if encoder.fall else encoder.codec
    return found


def _find_gpu_encoder(name: str, encode: EncodeOptions, like: VideoInfo) -> VideoEncoder:
    """The first encoder of a graphics card that takes a trial frame, else the one of the CPU with the reason in `fall`."""
    if like.width % 2 or like.height % 2 or like.light:
        why = "they take even sizes alone" if like.width % 2 or like.height % 2 else "they state no mastering display"
        return replace(ENCODERS[_GPU_CODECS[name][0]], fall=why)
    return _first_working(name, encode, is_deep=like.bit_depth > 8, width=like.width, height=like.height)


def _first_working(name: str, encode: EncodeOptions, *, is_deep: bool, width: int, height: int) -> VideoEncoder:
    stand_in, codec = _GPU_CODECS[name]
    software, reasons = ENCODERS[stand_in], []
    for maker, formats in _KINDS.items():
        if f"{codec}_{maker}" not in av.codecs_available:
            continue
        title = f"{software.title} ({maker})"
        encoder = replace(software, title=title, codec=f"{codec}_{maker}", formats=formats, is_hardware=True)
        if not (reason := _try_encoder(encoder, encode, formats[-1 if is_deep else 0], width, height)):
            return encoder
        reasons.append(f"{encoder.codec}: {reason}")
    return replace(software, fall="; ".join(reasons) or "this build of libav has none")


@functools.lru_cache(maxsize=64)
def _try_encoder(encoder: VideoEncoder, encode: EncodeOptions, pix_fmt: str, width: int, height: int) -> str:
    """Encodes a grey frame; why that fails, in libav's words, empty where it does not."""
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=True) as messages:
            context = av.VideoCodecContext.create(encoder.codec, "w")
            assert isinstance(context, av.VideoCodecContext)
            context.width, context.height, context.pix_fmt = width, height, pix_fmt
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            context.options = _gpu_options(encoder.codec, encode.crf, PRESETS.index(encode.preset))
            packets = [*context.encode(frame), *context.encode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        return str(messages[0][2]).strip() if messages else str(error)
    finally:
        av.logging.set_level(level)
    return "" if packets else "it gives nothing for a trial frame"


def check_animation(output: str | os.PathLike[str], seconds: float) -> None:
    """Refuses an animation or sequence that is too long, before its frames are made.

    Raises:
        InputError: it is longer than `LONGEST` says.
    """
    longest = LONGEST.get(CONTAINERS.get(Path(output).suffix.lower(), ""))
    if longest is not None and seconds > longest:
        raise InputError(
            f"Expected at most {longest:.0f} s for {display_name(output)}, found {seconds:.0f} s: trim it, or choose .mp4."
        )


def encoding_notices(kind: str, like: VideoInfo, encode: EncodeOptions, encoder: VideoEncoder) -> list[str]:
    """Notices of what an encoder does not keep of a video: transparency, HDR, pixel aspect, bit depth."""
    notices = []
    if like.has_alpha and not encode.transparency:
        notices.append("Its transparency was laid on white (--transparency keeps it in .webm and .mov).")
    if kind in (*ANIMATIONS, SEQUENCE):
        return [
            *notices,
            *(["High dynamic range was brought to that of an ordinary screen."] if like.color.hdr else []),
        ]
    if encoder.is_square and like.size_hw != (like.height, like.width):
        notices.append(
            f"Written in square pixels, {like.size_hw[1]} x {like.size_hw[0]}: {encoder.title} in {kind} has no others."
        )
    if encoder.fall:
        notices.append(
            f"{encoder.title} was encoded on the CPU, as no encoder of a graphics card works here: {encoder.fall}."
        )
    is_deep = encoder.pix_fmt(like, has_alpha=encode.transparency and like.has_alpha).endswith("10le")
    if like.bit_depth > 8 and not is_deep:
        notices.append(f"{encoder.title} was written in 8 bit, the clip has {like.bit_depth}.")
    return notices
