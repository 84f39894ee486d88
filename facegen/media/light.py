"""What a frame says for the whole video: the light it was graded for (SMPTE ST 2086, CTA-861.3), and its stereo layout."""

import struct
from dataclasses import dataclass
from fractions import Fraction

import av

from facegen.media.orientation import side_data_of


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
