"""`SegmentRecorder`: encodes frames in segments that survive a crash, joins them with the sound, signs the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from facegen import media, provenance
from facegen.media.journal import Journal
from facegen.talk.engines import EngineName
from facegen.talk.request import TalkRequest

T = TypeVar("T")
U = TypeVar("U")

WORKERS = 2
"""Frames drawn at the same moment."""
SEGMENT_FRAMES = 250


def map_in_order(work: Callable[[T], U], items: Iterable[T], pool: ThreadPoolExecutor) -> Iterator[U]:
    """Results of `work` in the order of `items`, a few of which are under way at once."""
    waiting: deque[Future[U]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > WORKERS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class SegmentRecorder:
    """The encoded segments of one talk in a run folder; those of another request are deleted.

    Args:
        folder: the run folder.
        key: identifies the request.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._journal = Journal(folder, key)

    @property
    def frame_count(self) -> int:
        """Frames in closed segments."""
        return self._journal.next_index(0)

    def record(self, frames: Iterable[media.Frame], like: media.VideoInfo, request: TalkRequest) -> Iterator[int]:
        """Encodes frames that continue the finished segments; yields the index of each."""
        with media.SegmentWriter(
            self._journal.folder,
            like=like,
            encode=request.options,
            encoder=media.find_encoder(request.options, request.output, like),
            segment_frames=SEGMENT_FRAMES,
            output=Path(request.output),
        ) as writer:
            for frame in frames:
                writer.write(frame)
                yield frame.index

    def join(
        self, like: media.VideoInfo, request: TalkRequest, *, frame_count: int, is_trimmed: bool
    ) -> tuple[str, ...]:
        """Joins segments and sound into the output, and signs it.

        Args:
            like: size, rate and colour tags of the result.
            request: the talk.
            frame_count: how many frames the talk has.
            is_trimmed: the sound ends with the picture.

        Returns:
            What the user should know.

        Raises:
            ResourceError: the output cannot be written.
        """

        def write(path: Path) -> tuple[str, ...]:
            return media.join_segments(
                self._journal.segments,
                path,
                like=like,
                sound_from=request.audio,
                encode=request.options,
                is_trimmed=is_trimmed,
                is_own_sound=False,
                frame_count=frame_count,
                metadata={"comment": provenance.NOTICE},
                keep_position=request.options.keep_position,
            )

        engine = EngineName.parse(request.options.engine)
        is_drawn = bool(request.portrait) and engine.needs_portrait
        claims = provenance.Claims(
            job="talk",
            engine=engine.kind,
            parent=request.portrait if is_drawn else None,
            sources=tuple(path for path in (request.audio, request.driving) if path),
        )
        notices = provenance.write_signed(request.output, claims, write)
        self._journal.clear()
        return notices
