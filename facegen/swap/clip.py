"""`ClipPlan`, the result of a clip's first pass; `ClipSwap`, its second pass, resumable by segments."""

import itertools
from collections.abc import Generator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegen import media, provenance
from facegen.device import use_one_thread
from facegen.faces import ClipAnalysis, FaceAnalyser, analyse_clip
from facegen.faces.clip import VERSION
from facegen.jobs import Progress
from facegen.media.journal import Journal
from facegen.swap.assignment import FaceAssignment, SourceAssignment
from facegen.swap.engines.protocol import GROUP_FRAMES, Engine
from facegen.swap.jobs import ANALYSES
from facegen.swap.options import SwapOptions
from facegen.swap.render import WORKERS, PredictedFrame, StageClock, SwappedFrame, predict_frames, swap_frames
from facegen.swap.request import analysis_key
from facegen.swap.timeline import SwapTimeline, read_timeline

SEGMENT_SECONDS = 4.0
"""How much of the clip is lost at most when a run is cut off."""
_NOTICE = {"comment": provenance.NOTICE}


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """One clip with everything that is known of it before its second pass."""

    target: str
    """The video."""

    options: SwapOptions
    """How it is done."""

    analysis: ClipAnalysis
    """Faces and people of every frame."""

    assignment: SourceAssignment
    """Which people get which identity."""

    timeline: SwapTimeline
    """Which frames the result shows, and when."""

    engine: Engine
    """Computes the new faces."""

    clock: StageClock
    """Counts the time."""

    def assignments(self, index: int) -> list[FaceAssignment]:
        """The faces to be swapped in one frame."""
        return self.assignment.assign(self.analysis.faces(index))

    def decode(self, begin: int) -> Iterator[media.Frame]:
        """The frames of the target from index `begin` on, up to the end of the trim."""
        return self.clock.iterate(
            "decode", self.timeline.frames(self.target, begin, keeps_alpha=self.options.transparency)
        )

    def predict(self, pool: Executor) -> Generator[PredictedFrame, None, None]:
        """All frames with their predictions, for what is not composited into the clip."""
        return predict_frames(
            self.decode(self.timeline.first),
            lambda frame: self.assignments(frame.index),
            engine=self.engine,
            options=self.options,
            pool=pool,
            clock=self.clock,
        )


@dataclass(frozen=True, kw_only=True)
class ClipSwap:
    """The second pass of a clip."""

    plan: ClipPlan
    """The clip."""

    output: str
    """The result."""

    info: media.VideoInfo
    """Its size, frame rate and streams."""

    journal: Journal
    """The finished segments, of this process or one before it."""

    mark_key: provenance.MarkKey | None = None
    """Whose mark the frames carry; that of this installation where None."""

    def render(self, progress: Progress) -> None:
        """Run the second pass from where the journal ends.

        A segment depends on the target and the analysis alone, not on where the pass began.

        Raises:
            InputError: the target cannot be read.
            ResourceError: a segment cannot be written.
        """
        plan = self.plan
        begin = self.journal.next_index(plan.timeline.first)
        if begin < plan.timeline.last and not self.journal.is_complete:
            self.render_span(begin, plan.timeline.last, self.journal.folder, progress)
        self.journal.finish()

    def render_span(self, begin: int, end: int, folder: Path, progress: Progress) -> None:
        """Write the segments of the frames from `begin` up to, but not including, `end` into a folder.

        Raises:
            InputError: the target cannot be read.
            ResourceError: a segment cannot be written.
        """
        plan = self.plan
        with ThreadPoolExecutor(WORKERS, "swap", initializer=use_one_thread) as pool:
            swapped = swap_frames(
                self._decode(begin, end),
                lambda frame: plan.assignments(frame.index),
                engine=plan.engine,
                options=plan.options,
                pool=pool,
                clock=plan.clock,
            )
            with closing(swapped):
                self._write(swapped, begin, end, folder, progress)

    @property
    def segment_frames(self) -> int:
        """Frames of the result in a segment."""
        return max(8, min(480, round(SEGMENT_SECONDS * float(self.info.frame_rate))))

    def join(self, output: Path) -> tuple[str, ...]:
        """Join the segments and the target's sound; returns notices for the user.

        Raises:
            ResourceError: the output cannot be written.
        """
        options, timeline = self.plan.options, self.plan.timeline
        is_trimmed = options.start_seconds > 0 or options.end_seconds is not None
        return media.join_segments(
            self.journal.segments,
            output,
            like=self.info,
            sound_from=self.plan.target,
            encode=options,
            is_trimmed=is_trimmed,
            spans=() if timeline.is_kept.all() else timeline.kept_spans(),
            frame_count=int(timeline.is_kept.sum()),
            metadata=_NOTICE,
            keep_position=options.keep_position,
        )

    def _context_of(self, begin: int) -> int:
        """Where to start decoding, so that frame `begin` comes out as in an uninterrupted run."""
        plan, needed = self.plan, begin
        if plan.options.when_no_face == "hold" and not plan.assignments(begin):
            before = range(begin - 1, plan.timeline.first - 1, -1)
            needed = next((index for index in before if plan.assignments(index)), begin)
        return max(plan.timeline.first, (needed - plan.engine.window_radius) // GROUP_FRAMES * GROUP_FRAMES)

    def _decode(self, begin: int, end: int) -> Iterator[media.Frame]:
        """The frames of a span with those around it that its pictures depend on."""
        frames = self.plan.decode(self._context_of(begin))
        if end >= self.plan.timeline.last:
            return frames
        last = end + self.plan.engine.window_radius
        return itertools.takewhile(lambda frame: frame.index < last, frames)

    def _write(self, swapped: Iterator[SwappedFrame], begin: int, end: int, folder: Path, progress: Progress) -> None:
        mark = provenance.Watermark(
            self.info.size_hw, self.mark_key, salt=self.info.salt, label=self.plan.options.label
        )
        options, timeline, clock, held = self.plan.options, self.plan.timeline, self.plan.clock, None
        is_last = end >= timeline.last
        with media.SegmentWriter(
            folder,
            like=self.info,
            encode=options,
            encoder=media.find_encoder(options, self.output, self.info),
            segment_frames=self.segment_frames,
        ) as writer:
            for item in swapped:
                frame = item.frame
                if frame.index >= end and not is_last:
                    break
                if item.faces:
                    held = frame
                elif held is not None and options.when_no_face == "hold":
                    frame = held.replace(index=frame.index, pts=frame.pts, duration=frame.duration)
                if frame.index >= begin and timeline.is_shown(frame.index):
                    with clock.stage("mark"):
                        frame = mark.mark_frame(frame)
                    if shift := timeline.shift(frame.index):
                        frame = frame.replace(pts=frame.pts - shift)
                    with clock.stage("encode"):
                        writer.write(frame)
                progress.report_frames("Swapping faces,", frame.index + 1 - timeline.first, timeline.frame_count)


def analysis_path(target: str, options: SwapOptions) -> Path:
    """Where the analysis of a target is kept, whether or not this version of the analysis was made yet."""
    return ANALYSES.path(analysis_key(target, options), VERSION, *media.probe(target).conversions, suffix=".npz")


def analyse(
    target: str,
    options: SwapOptions,
    analyser: FaceAnalyser,
    progress: Progress,
    beside: Future[Any] | None = None,
) -> ClipAnalysis:
    """Analyse a target, or load what was found in it before.

    Args:
        target: a video.
        options: where it begins and ends; with people named, it is analysed from end to end, so that their numbers
            are the same for every trim.
        analyser: what finds the faces.
        progress: reports every frame.
        beside: work that goes on at the same time; where it fails, so does this, at once.

    Raises:
        InputError: the target cannot be read.
        ResourceError: the analysis cannot be written.
    """
    path = analysis_path(target, options)
    analyser = analyser.with_detector(options.detector, options.recogniser)

    def make(temporary: Path) -> None:
        timeline = read_timeline(target, options)
        analyse_clip(_counted(target, timeline, progress, beside), analyser=analyser).save(temporary)

    return ClipAnalysis.load(ANALYSES.get(path, make))


def _counted(
    target: str, timeline: SwapTimeline, progress: Progress, beside: Future[Any] | None
) -> Iterator[media.Frame]:
    for frame in timeline.frames(target, timeline.first):
        yield frame
        if beside is not None and beside.done():
            beside.result()
        progress.report_frames("Looking for faces,", frame.index + 1 - timeline.first, timeline.frame_count)
