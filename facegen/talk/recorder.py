"""`SegmentRecorder`: encodes frames in segments that survive a crash, joins them with the sound, signs the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from facegen import media, provenance
from facegen.media.journal import Journal
from facegen.talk.engines import EngineName
from facegen.talk.request import TalkRequest

WORKERS = 2
"""Frames drawn at the same moment."""
SEGMENT_FRAMES = 250


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
