"""Opens local files for reading, in known formats only, and translates the errors of libav and the file system."""

import errno
import io
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from facegen.errors import FacegenError, InputError, ResourceError
from facegen.media.pillow import animation_size, decode_animation

MAX_PIXELS = 64_000_000
"""Pictures and frames with more pixels are refused: 64 megapixels are 192 MB of RGB, and work needs several copies."""

# Playlists (hls, dash, concat, image2, sdp) are left out: they make libav open other files or addresses.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf,gif,apng,h264,hevc,ivf,obu,"
    "m4v,mjpeg,mxf,nut,dv,rm,yuv4mpegpipe,wav,mp3,aac,flac,w64,aiff,amr,caf,ac3,eac3,ape,wv,au,opus"
)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}


def display_name(path: str | os.PathLike[str]) -> str:
    """The name of a file for messages: control characters escaped, never more than 80 characters."""
    name = Path(path).name or str(path)
    name = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
    return f"«{name}»" if len(name) <= 80 else f"«{name[:60]}…{name[-15:]}»"


def local_url(path: str | os.PathLike[str]) -> str:
    """The URL under which libav opens `path` as a local file, whatever its name looks like."""
    return "file:" + os.path.abspath(path)


def check_readable(path: str | os.PathLike[str]) -> Path:
    """Returns `path` as a `Path` when it is a file with something in it.

    Raises:
        InputError: it is missing, a folder, empty or may not be read.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError(f"Expected a file, found the folder {display_name(file)}: give one file in it.")
        if not file.exists():
            raise InputError(f"Expected a file, found nothing at {display_name(file)}: check the name and the folder.")
        if not file.is_file():
            raise InputError(
                f"Expected a plain file, found a device or pipe at {display_name(file)}: save it to a file first."
            )
        if file.stat().st_size == 0:
            raise InputError(
                f"Expected a picture, video or sound, found the empty file {display_name(file)}: copy it again."
            )
        with file.open("rb"):
            pass
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a file that can be read, found {display_name(file)} ({_reason(error)}): check its name and permissions."
        ) from error
    return file


def file_key(path: str | os.PathLike[str]) -> tuple[str, int, int]:
    """Identifies the current content of a file by path, size and modification time."""
    stat = Path(path).stat()
    return os.path.abspath(path), stat.st_size, math.floor(stat.st_mtime_ns)


@contextmanager
def open_input(path: str | os.PathLike[str], expected: str = "a video") -> Iterator[InputContainer]:
    """Opens `path` with libav, an animation as the clip it is decoded into; `expected` is named in the message of an error.

    Raises:
        InputError: it is not a readable media file.
    """
    file = check_readable(path)
    with translate_read_errors(file, expected):
        if (size_wh := animation_size(file)) is not None:
            check_size(*size_wh, file)
            file = Path(decode_animation(file_key(file)).name)
        container = av.open(
            local_url(file),
            mode="r",
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    try:
        yield container
    finally:
        container.close()


@contextmanager
def translate_read_errors(path: str | os.PathLike[str], expected: str = "a video") -> Iterator[None]:
    """Translates errors of libav while it reads `path` into an `InputError`."""
    try:
        yield
    except FacegenError:
        raise
    except (av.error.FFmpegError, OSError, UnicodeError) as error:
        raise InputError(
            f"Expected {expected}, found {display_name(path)}, which cannot be read as one ({_reason(error)}): "
            "it may be damaged, cut short or of another kind; export or download it again."
        ) from error
    except MemoryError as error:
        raise ResourceError(f"Not enough memory to read {display_name(path)}: make it smaller.") from error


def decode_packets(stream: VideoStream, packets: Iterable[Packet]) -> Iterator[av.VideoFrame]:
    """Decodes the packets of a stream to the last frame; what is damaged beyond decoding is left out.

    The transparency of VP8 and VP9 is decoded, which their usual decoders skip.

    Raises:
        av.error.FFmpegError: nothing at all could be decoded.
    """
    failure: av.error.FFmpegError | None = None
    is_empty = True
    decoder: VideoStream | av.VideoCodecContext = stream
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and stream.codec_context.name in ("vp8", "vp9"):
        with_alpha = av.CodecContext.create("libvpx" if stream.codec_context.name == "vp8" else "libvpx-vp9", "r")
        assert isinstance(with_alpha, av.VideoCodecContext)
        decoder = with_alpha
    for packet in itertools.chain(packets, (None,)):
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError as error:
            failure = error
            continue
        for frame in frames:
            is_empty = False
            if frame.time_base is None and stream.time_base is not None:  # the last ones, which no packet brought
                frame.time_base = stream.time_base
            yield frame
    if is_empty and failure is not None:
        raise failure


def main_video(container: InputContainer, path: str | os.PathLike[str]) -> VideoStream:
    """The first video stream that is not a cover picture.

    Raises:
        InputError: there is none, its codec is unknown, or it is larger than `MAX_PIXELS`.
    """
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        found = "only sound" if container.streams.audio else "no picture"
        raise InputError(f"Expected a video, found {found} in {display_name(path)}: give a file with moving pictures.")
    stream = streams[0]
    if stream.codec_context is None:
        raise InputError(
            f"Expected a video in a known codec, found an unknown one in {display_name(path)}: convert it to H.264."
        )
    check_size(stream.width, stream.height, path)
    _check_whole(stream, container.size, path)
    return stream


def _check_whole(stream: VideoStream, size: int, path: str | os.PathLike[str]) -> None:
    """Raises InputError when the file ends before the last frame that its table of contents names."""
    entries = stream.index_entries
    if stream.frames and len(entries):
        last = entries[len(entries) - 1]
        if last.pos + last.size > size:
            raise InputError(
                f"Expected a whole video, found {display_name(path)} cut short: copy or download it again."
            )


def check_size(width: int, height: int, path: str | os.PathLike[str]) -> None:
    """Raises InputError when a picture of `width` x `height` pixels is too large to work on."""
    if width * height > MAX_PIXELS:
        raise InputError(
            f"Expected a picture of at most {MAX_PIXELS // 1_000_000} megapixels, found {width:,} x {height:,} "
            f"in {display_name(path)}: make it smaller first."
        )


class NullFile(io.RawIOBase):
    """A file that keeps nothing of what is written, for trials."""

    name = ""

    def __init__(self) -> None:
        self._position = self._size = 0

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def write(self, data: Any) -> int:
        """Forgets the bytes; returns how many they were."""
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a byte, which need not be there; returns it."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """The byte that is written next."""
        return self._position


@contextmanager
def translate_write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Translates errors while `path` is written into a `ResourceError`: disk full, no permission, no such folder."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        number = getattr(error, "errno", None)
        if number in _NO_SPACE:
            raise ResourceError(
                f"The disk is full: {display_name(path)} could not be written; free some space or choose another place."
            ) from error
        if number in _NO_ACCESS:
            raise ResourceError(
                f"Expected a place that can be written, found {display_name(path)} ({_reason(error)}): choose another place."
            ) from error
        raise ResourceError(
            f"{display_name(path)} could not be written ({_reason(error)}): try another place."
        ) from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:100].lower()
