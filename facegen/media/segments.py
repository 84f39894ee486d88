"""Encodes frames into closed segments, each an atomic file, so that work can resume after a crash."""

import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.media.color import convert
from facegen.media.encoders import ENCODERS, VideoEncoder
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo, has_alpha
from facegen.media.planes import plane_view
from facegen.media.source import NullFile, local_url, open_input, translate_read_errors, translate_write_errors

_END = object()


def check_encoder(like: VideoInfo, encode: EncodeOptions, encoder: VideoEncoder) -> None:
    """Opens the encoder for a video and closes it again.

    Raises:
        InputError: the encoder refuses its size or rate.
    """
    try:
        with av.open(NullFile(), "w", format=encoder.segments) as container:
            pix_fmt = encoder.pix_fmt(like, has_alpha=encode.transparency and like.has_alpha)
            _add_video_stream(container, like, pix_fmt, encoder, encoder.options(encode, like))
            container.start_encoding()
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(
            f"Expected a size and rate that {encoder.title} takes, found {like.width} x {like.height} pixels, "
            f"{float(like.frame_rate):g} frames a second: scale it or cut it to another shape first."
        ) from error


def segment_offset(like: VideoInfo) -> int:
    """Ticks added to the timestamps inside segments, an hour: below zero, NUT would move them all."""
    return round(3600 / like.time_base)


def list_segments(folder: Path) -> tuple[Path, ...]:
    """The complete segments in `folder`, in order; unfinished ones are not among them."""
    return tuple(sorted(folder.glob("[0-9]*-[0-9]*.*")))


def last_index(segment: Path) -> int:
    """Index of the last frame in a segment; work goes on with the next one."""
    return int(segment.stem.split("-")[1])


def read_segments(segments: Sequence[Path], like: VideoInfo) -> Iterator[Frame]:
    """Decodes the frames of segments again, in order, with the times, colour and pixels of `like`."""
    index, offset = 0, segment_offset(like)
    for segment in segments:
        with open_input(segment) as container, translate_read_errors(segment):
            stream = container.streams.video[0]
            assert stream.time_base is not None
            for native in container.decode(stream):
                assert native.pts is not None
                pts = round(native.pts * stream.time_base / like.time_base) - offset
                frame = Frame(
                    native,
                    index=index,
                    pts=pts,
                    time_base=like.time_base,
                    color=like.color,
                    pixel_aspect=like.pixel_aspect,
                )
                yield frame.replace(alpha=plane_view(native, 3).copy()) if has_alpha(native) else frame
                index += 1


class SegmentWriter:
    """Encodes frames in its own thread behind a bounded queue, as segments `FIRST-LAST` in a folder.

    Use it as a context manager: leaving it waits for the encoder; leaving it by an exception drops the unfinished
    segment. Segments begin with a key frame and do not depend on each other, and their borders depend only on the
    frames, so work that goes on at a border gives the same video as work that never stopped: the same bits where the
    width is a multiple of 128, and else but for noise of the encoder, since x264's macroblock tree reads beyond its rows.

    Args:
        folder: where to; made when it is missing.
        like: size, depth, colour tags, timing of the output.
        encode: quality, effort, transparency.
        encoder: what encodes, from `find_encoder`.
        segment_frames: frames in a segment; None writes one.
        depth: bound of the queue.
        output: the file that is made of the segments; messages name it, else the folder.

    Raises:
        ResourceError: the disk is full or closed to writing (from `write` or when leaving).
    """

    def __init__(
        self,
        folder: Path,
        *,
        like: VideoInfo,
        encode: EncodeOptions = EncodeOptions(),  # noqa: B008  # frozen
        encoder: VideoEncoder = ENCODERS["h264"],
        segment_frames: int | None = None,
        depth: int = 8,
        output: Path | None = None,
    ) -> None:
        self.folder, self._segment_frames = folder, segment_frames
        self._read_hw, self._like = (like.height, like.width), encoder.output_info(like)
        like = self._like
        self._encoder, self._options = encoder, encoder.options(encode, like)
        self._pix_fmt = encoder.pix_fmt(like, has_alpha=encode.transparency and like.has_alpha)
        # NUT has no place for the transparency of VP9; its times are in milliseconds then, as in the output
        self._format = "matroska" if encoder.codec == "libvpx-vp9" and "yuva" in self._pix_fmt else encoder.segments
        self._offset = segment_offset(like)
        self._frames: queue.Queue[Any] = queue.Queue(maxsize=depth)
        self._error: BaseException | None = None
        self._is_aborted = threading.Event()
        self._container: OutputContainer | None = None
        self._temporary: Path | None = None
        self._first_index = self._last_index = self._count = 0
        self._output = output or folder
        with translate_write_errors(self._output):
            folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="encode", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._is_aborted.set()
        self._put(_END)
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def write(self, frame: Frame) -> None:
        """Hands a frame to the encoder; waits while the queue is full. Frames come in order of display."""
        if frame.stored_hw != self._read_hw:
            raise ValueError(f"Expected frames of {self._read_hw}, found one of {frame.stored_hw}.")
        self._put(frame)
        if self._error is not None:
            raise self._error

    @property
    def segments(self) -> tuple[Path, ...]:
        """The complete segments so far."""
        return list_segments(self.folder)

    def _put(self, item: object) -> None:
        while self._thread.is_alive():
            try:
                self._frames.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            with translate_write_errors(self._output):
                while (frame := self._frames.get()) is not _END and not self._is_aborted.is_set():
                    self._encode(frame)
                if not self._is_aborted.is_set():
                    self._finish_segment()
        except BaseException as error:  # raised again by `write` or when leaving
            self._error = error
        finally:
            self._discard()

    def _encode(self, frame: Frame) -> None:
        if self._container is None:
            self._open_segment(frame)
        assert self._container is not None
        if frame.stored_hw != (self._like.height, self._like.width):
            frame = frame.to_size(self._like.height, self._like.width)
        native = frame.native
        if self._pix_fmt.startswith("yuva"):
            native = _add_alpha(frame, self._pix_fmt)
        elif native.format.name != self._pix_fmt:
            native = convert(native, self._pix_fmt, frame.color)
        # The encoder would take over the types of the frames that were decoded.
        native.pict_type = 0
        native.pts, native.time_base = frame.pts + self._offset, frame.time_base
        self._container.mux(self._stream.encode(native))
        self._last_index, self._count = frame.index, self._count + 1
        if self._count == self._segment_frames:
            self._finish_segment()

    def _open_segment(self, frame: Frame) -> None:
        self._temporary = self.folder / f".{secrets.token_hex(8)}.part"
        options = {"video_track_timescale": str(self._like.time_base.denominator)} if self._format == "mov" else {}
        self._container = av.open(local_url(self._temporary), "w", format=self._format, container_options=options)
        self._stream = _add_video_stream(self._container, self._like, self._pix_fmt, self._encoder, self._options)
        self._first_index, self._count = frame.index, 0

    def _finish_segment(self) -> None:
        if self._container is None or self._temporary is None:
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()
        name = f"{self._first_index:08d}-{self._last_index:08d}.{self._format}"
        self._temporary.rename(self.folder / name)
        self._container = self._temporary = None

    def _discard(self) -> None:
        if self._container is not None and self._temporary is not None:
            # the file is deleted before the container closes, so that no trailer is written to a full disk
            self._temporary.unlink(missing_ok=True)
            self._container = None


def _add_video_stream(
    container: OutputContainer, like: VideoInfo, pix_fmt: str, encoder: VideoEncoder, options: dict[str, str]
) -> VideoStream:
    stream = container.add_stream(encoder.codec, rate=like.frame_rate, options=options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    stream.width, stream.height, stream.pix_fmt = like.width, like.height, pix_fmt
    context.time_base = stream.time_base = like.time_base
    if like.pixel_aspect != Fraction(1):
        context.sample_aspect_ratio = like.pixel_aspect
    context.thread_count, context.thread_type = 0, "AUTO"
    context.colorspace, context.color_primaries, context.color_trc = (
        like.color.matrix,
        like.color.primaries,
        like.color.transfer,
    )
    if like.color.is_range_tagged:
        context.color_range = ColorRange.JPEG if like.color.is_full_range else ColorRange.MPEG
    return stream


def _add_alpha(frame: Frame, pix_fmt: str) -> av.VideoFrame:
    """The planes of a frame and its transparency in one frame of the encoder's format."""
    opaque = pix_fmt.replace("yuva", "yuv")
    source = frame.native if frame.native.format.name == opaque else convert(frame.native, opaque, frame.color)
    whole = av.VideoFrame(source.width, source.height, pix_fmt)
    for index in range(3):
        plane_view(whole, index)[:] = plane_view(source, index)
    bits = whole.format.components[0].bits
    alpha = plane_view(whole, 3)
    if frame.alpha is None:
        alpha[:] = (1 << bits) - 1
    else:
        wide = frame.alpha.astype(np.uint16)
        shift = bits - frame.bit_depth
        alpha[:] = wide if not shift else (wide << 2 | wide >> 6) if shift > 0 else wide >> 2
    whole.colorspace, whole.color_range = source.colorspace, source.color_range
    return whole
