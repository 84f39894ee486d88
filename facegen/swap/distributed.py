"""A swap on the machines of a cluster: the first pass of a clip is a task, and so is each segment of the second.

A segment depends on the target and the analysis alone, so what is joined is what one machine would have made.
"""

import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from facegen import media, provenance
from facegen.faces import ClipAnalysis, FaceAnalyser
from facegen.jobs import Progress
from facegen.jobs.cluster import Cluster, SharedFile
from facegen.media.journal import Journal
from facegen.swap import clip as first_pass
from facegen.swap.assignment import SourceAssignment
from facegen.swap.clip import ClipPlan, ClipSwap
from facegen.swap.engines import Engine, make_engine
from facegen.swap.jobs import ANALYSES
from facegen.swap.options import SwapOptions
from facegen.swap.render import StageClock
from facegen.swap.timeline import SwapTimeline


@dataclass(frozen=True, kw_only=True)
class SharedClip:
    """What the tasks of one clip share: a `ClipSwap` without what belongs to one machine."""

    target: SharedFile
    options: SwapOptions
    analysis: ClipAnalysis
    assignment: SourceAssignment
    timeline: SwapTimeline
    output: str
    """Its suffix names the encoder."""
    info: media.VideoInfo
    mark_key: provenance.MarkKey
    """Of the machine that began, and signs: its watermark, and not its signing key, on whichever machine a segment is made."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One finished segment."""

    name: str
    content: bytes
    seconds: dict[str, float]
    """Of work, by stage."""


def analyse(target: str, options: SwapOptions, cluster: Cluster, progress: Progress) -> ClipAnalysis:
    """The first pass of a clip as one task, kept here like that of this machine.

    Raises:
        InputError: the target cannot be read.
        ResourceError: the analysis cannot be written, or workers died again and again.
    """

    def tick() -> None:
        progress.report(0.0, "Looking for faces on the cluster")

    def make(temporary: Path) -> None:
        shared = cluster.share_file(target), options
        (content,) = cluster.map(analyse_shared, shared, [None], on_tick=tick)
        temporary.write_bytes(content)

    return ClipAnalysis.load(ANALYSES.get(first_pass.analysis_path(target, options), make))


def render(clip: ClipSwap, cluster: Cluster, progress: Progress) -> None:
    """The second pass of a clip, a segment a task, from where its journal ends.

    Segments are put into the journal in order, so that a command that is cut off goes on from there, on a cluster or not.

    Raises:
        InputError: the target cannot be read.
        ResourceError: a segment cannot be written, or workers died again and again.
    """
    plan, journal = clip.plan, clip.journal
    timeline = plan.timeline
    begin = journal.next_index(timeline.first)
    spans = [] if journal.is_complete else list(segment_spans(timeline, begin, clip.segment_frames))
    shared = SharedClip(
        target=cluster.share_file(plan.target),
        options=plan.options,
        analysis=plan.analysis,
        assignment=plan.assignment,
        timeline=timeline,
        output=clip.output,
        info=clip.info,
        mark_key=provenance.get_installation_key().mark_key,
    )
    done = begin

    def tick() -> None:
        progress.report_frames("Swapping faces,", done - timeline.first, timeline.frame_count)

    journal.folder.mkdir(parents=True, exist_ok=True)
    for segment, (_, end) in zip(cluster.map(render_shared, shared, spans, on_tick=tick), spans, strict=True):
        done = end
        with media.atomic_output(journal.folder / segment.name) as temporary:
            temporary.write_bytes(segment.content)
        for stage, seconds in segment.seconds.items():
            plan.clock.add(stage, seconds)
        tick()
    journal.finish()


def segment_spans(timeline: SwapTimeline, begin: int, length: int) -> Iterator[tuple[int, int]]:
    """The spans of frames, end excluded, that `SegmentWriter` makes a segment of when it begins at `begin`."""
    shown = (index for index in timeline.kept_indices() if index >= begin)
    while span := list(itertools.islice(shown, length)):
        yield span[0], span[-1] + 1


def analyse_shared(shared: tuple[SharedFile, SwapOptions], _item: None) -> bytes:
    """The task of the first pass: a saved `ClipAnalysis`."""
    target, options = shared
    path = target.local()
    first_pass.analyse(path, options, _analyser(), Progress())
    return first_pass.analysis_path(path, options).read_bytes()


def render_shared(shared: SharedClip, span: tuple[int, int]) -> Segment:
    """The task of one segment."""
    plan = ClipPlan(
        target=shared.target.local(),
        options=shared.options,
        analysis=shared.analysis,
        assignment=shared.assignment,
        timeline=shared.timeline,
        engine=_engine(shared.options.engine),
        clock=StageClock(),
    )
    with tempfile.TemporaryDirectory(prefix="facegen-segment-") as folder:
        journal = Journal(Path(folder), "")
        clip = ClipSwap(
            plan=plan,
            output=shared.output,
            info=shared.info,
            journal=journal,
            mark_key=shared.mark_key,
        )
        clip.render_span(*span, journal.folder, Progress())
        (path,) = journal.segments
        return Segment(name=path.name, content=path.read_bytes(), seconds=plan.clock.seconds)


@lru_cache(maxsize=1)
def _analyser() -> FaceAnalyser:
    return FaceAnalyser()


@lru_cache(maxsize=2)
def _engine(name: str) -> Engine:
    return make_engine(name)
