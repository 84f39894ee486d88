"""Attachments, chapters, data streams and tags of a file: copied where the container supports them, else one notice."""

import re
from fractions import Fraction

from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from facegen.media.info import VideoInfo

_KEPT = ("language", "title", "handler_name", "reel_name")
_MOST_FRAMES = 240
"""A time code counts frames of a second in two digits, or those of a faster video in twos and fours."""
_PACKED = {"left_right": "stereo pictures side by side", "top_bottom": "stereo pictures one above the other"}


def copy_extras(
    source: InputContainer,
    picture: VideoStream,
    container: OutputContainer,
    video: Stream,
    *,
    kind: str,
    like: VideoInfo,
    start_seconds: Fraction,
) -> list[str]:
    """Copies language, title, role and time code of the picture, and attached files.

    Args:
        source: the file that the frames came from.
        picture: its video stream.
        container: the output, before its header is written.
        video: its video stream.
        kind: its format.
        like: describes `source`.
        start_seconds: when the first frame that is written is shown in `source`.

    Returns:
        One notice for what the output does not hold, or none.
    """
    lost = []
    video.metadata.update({key: value for key, value in picture.metadata.items() if key.lower() in _KEPT})
    video.disposition = picture.disposition
    code = _time_code(source, picture)
    is_counted = code and 1 <= like.frame_rate <= _MOST_FRAMES
    started = shift_time_code(code, start_seconds, like.frame_rate) if is_counted else ""
    if started:
        video.metadata["timecode"] = started
    elif code:
        lost.append("time code")
    if like.stereo and kind in ("matroska", "webm"):
        video.metadata["stereo_mode"] = like.stereo
    elif like.stereo and kind != "gif":
        lost.append(f"the tag of {_PACKED[like.stereo]}")
    if "SPHERICAL" in like.side_data:
        lost.append("the tag of a 360-degree picture")
    if kind == "matroska":
        for attachment in source.streams.attachments:
            name = attachment.metadata.get("filename", "attachment")
            container.add_attachment(name, attachment.mimetype or "application/octet-stream", attachment.data)
    elif source.streams.attachments:
        names = ", ".join(stream.metadata.get("filename", "unnamed") for stream in source.streams.attachments)
        lost.append(f"attached files ({names}; .mkv keeps them)")
    others = [stream for stream in source.streams.data if "timecode" not in stream.metadata]
    if others:
        lost.append(f"{len(others)} data track{'s' if len(others) > 1 else ''}")
    return [f"Left out, as the output has no place for it: {'; '.join(lost)}."] if lost else []


def _time_code(source: InputContainer, picture: VideoStream) -> str:
    holders = [picture.metadata, *(stream.metadata for stream in source.streams.data), source.metadata]
    tags = ({key.lower(): value for key, value in holder.items()} for holder in holders)
    return next((holder["timecode"] for holder in tags if "timecode" in holder), "")


def shift_time_code(code: str, seconds: Fraction, frame_rate: Fraction) -> str:
    """A time code «HH:MM:SS:FF» some seconds later; empty where that cannot be counted (drop frame, other forms)."""
    if not seconds:
        return code
    parts = re.fullmatch(r"(\d\d):(\d\d):(\d\d):(\d\d)", code)
    if parts is None:
        return ""
    hours, minutes, whole, frames = (int(part) for part in parts.groups())
    base = round(frame_rate)
    count = ((hours * 60 + minutes) * 60 + whole) * base + frames + round(seconds * frame_rate)
    whole, frames = divmod(count, base)
    return f"{whole // 3600 % 24:02}:{whole // 60 % 60:02}:{whole % 60:02}:{frames:02}"
