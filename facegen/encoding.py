"""The choices of how a video is encoded, the same for every job that writes one."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from facegen.config import check
from facegen.errors import InputError

EncoderName = Literal["auto", "h264", "h265", "vp9", "av1", "prores", "h264-gpu", "h265-gpu", "av1-gpu"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
FileType = Literal["mp4", "mov", "mkv", "webm", "gif", "webp", "zip"]
LabelLanguage = Literal["auto", "none", "en", "de", "es", "ja", "ko", "zh"]
PRESETS: tuple[str, ...] = get_args(Preset)
"""Effort of an encoder, the quickest first."""


def check_label(options: Any) -> None:
    """Refuse a language that is none.

    Raises:
        InputError: it is.
    """
    if options.label not in get_args(LabelLanguage):
        known = ", ".join(get_args(LabelLanguage))
        raise InputError(f"{type(options).__name__}.label must be one of {known}, but got {options.label!r}.")


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """How a video is encoded. The ending of its name chooses the container."""

    encoder: EncoderName = field(default="auto", metadata={"choices": get_args(EncoderName)})
    """Video codec: `auto` is VP9 for .webm (AV1 in 10 bit), ProRes for .mov with transparency, H.264 for the rest; `h265`
    is what televisions play HDR from, `av1` makes the smallest files, `prores` is for editing; those with `-gpu` are quick
    on a graphics card, and say so where they fall back to the CPU."""

    crf: int = field(default=18, metadata={"min": 0, "max": 51, "step": 1, "flag": "quality", "alias": "crf"})
    """Quality on the scale of x264, whatever the encoder: lower is better and larger; 18 looks like the original."""

    preset: Preset = field(default="veryfast", metadata={"choices": PRESETS})
    """Effort of the encoder, in the words of x264: slower makes smaller files."""

    transparency: bool = False
    """Keep the transparency of a video (.webm and .mkv with VP9, .mov with ProRes); else it is laid on white."""

    file_type: FileType = field(default="mp4", metadata={"choices": get_args(FileType)})
    """Kind of file that a video becomes where the output has no name of its own, as in the browser."""

    def __post_init__(self) -> None:
        check(self)
        for name, choices in (
            ("encoder", get_args(EncoderName)),
            ("preset", PRESETS),
            ("file_type", get_args(FileType)),
        ):
            value = getattr(self, name)
            if value not in choices:
                options = ", ".join(choices)
                raise InputError(f"{type(self).__name__}.{name} must be one of {options}, but got {value!r}.")
