"""Encodes frames into closed segments of H.264, each an atomic file, so that work can resume after a crash."""

import queue
import secrets
import threading
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.container import OutputContainer
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from facegen.errors import InputError
from facegen.media.color import convert
from facegen.media.frame import Frame
from facegen.media.info import VideoInfo
from facegen.media.source import local_url, translate_write_errors

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Speeds of x264, the quickest first."""

_END = object()


def output_format(like: VideoInfo) -> str:
    """Pixel format of the output: 4:2:0 in 8 or 10 bit, which plays everywhere.

    H.264 can state an odd width or height only in 4:4:4, so odd sizes use that: the size shown is then exact, at the
    price that some televisions and Safari do not play it.
    """
    chroma = "444" if like.width % 2 or like.height % 2 else "420"
    return f"yuv{chroma}p10le" if like.bit_depth > 8 else f"yuv{chroma}p"


def segment_offset(like: VideoInfo) -> int:
    """Ticks added to the timestamps inside segments, an hour: below zero, NUT would move them all."""
    return round(3600 / like.time_base)


def list_segments(folder: Path) -> tuple[Path, ...]:
    """The complete segments in `folder`, in order; unfinished ones are not among them."""
    return tuple(sorted(folder.glob("[0-9]*-[0-9]*.nut")))


def last_index(segment: Path) -> int:
    """Index of the last frame in a segment; work goes on with the next one."""
    return int(segment.stem.split("-")[1])


class SegmentWriter:
    """Encodes frames in its own thread behind a bounded queue, as segments `FIRST-LAST.nut` in a folder.

    Use it as a context manager: leaving it waits for the encoder; leaving it by an exception drops the unfinished
    segment. Segments begin with a key frame and do not depend on each other, and their borders depend only on the
    frames, so work that goes on at a border gives the same video as work that never stopped: the same bits where the
    width is a multiple of 128, and else but for noise of the encoder, since x264's macroblock tree reads beyond its rows.

    Args:
        folder: where to; made when it is missing.
        like: size, depth, colour tags, timing of the output.
        crf: quality of x264, 0 (lossless) to 51.
        preset: speed of x264, one of `PRESETS`.
        segment_frames: frames in a segment; None writes one.
        depth: bound of the queue.
        output: the file that is made of the segments; messages name it, else the folder.

    Raises:
        InputError: crf or preset are not among those of x264.
        ResourceError: the disk is full or closed to writing (from `write` or when leaving).
    """

    def __init__(
        self,
        folder: Path,
        *,
        like: VideoInfo,
        crf: int = 18,
        preset: str = "veryfast",
        segment_frames: int | None = None,
        depth: int = 8,
        output: Path | None = None,
    ) -> None:
        if not 0 <= crf <= 51:
            raise InputError(f"Expected a quality (crf) from 0 to 51, found {crf}: 18 looks like the original.")
        if preset not in PRESETS:
            raise InputError(f"Expected one of the presets {', '.join(PRESETS)}, found {preset}: veryfast is usual.")
        self.folder, self._like, self._segment_frames = folder, like, segment_frames
        self._options = {"crf": str(crf), "preset": preset}
        self._pix_fmt = output_format(like)
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
        expected = (self._like.height, self._like.width)
        if frame.stored_hw != expected:
            raise ValueError(f"Expected frames of {expected}, found one of {frame.stored_hw}.")
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
        native = frame.native
        if native.format.name != self._pix_fmt:
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
        self._container = av.open(local_url(self._temporary), "w", format="nut")
        self._stream = _add_video_stream(self._container, self._like, self._pix_fmt, self._options)
        self._first_index, self._count = frame.index, 0

    def _finish_segment(self) -> None:
        if self._container is None or self._temporary is None:
            return
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._temporary.rename(self.folder / f"{self._first_index:08d}-{self._last_index:08d}.nut")
        self._container = self._temporary = None

    def _discard(self) -> None:
        if self._container is not None and self._temporary is not None:
            # the file is deleted before the container closes, so that no trailer is written to a full disk
            self._temporary.unlink(missing_ok=True)
            self._container = None


def _add_video_stream(
    container: OutputContainer, like: VideoInfo, pix_fmt: str, options: dict[str, str]
) -> VideoStream:
    stream = container.add_stream("libx264", rate=like.frame_rate, options=options)
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
