"""The first pass, kept: who is in a clip and where, known again by the clip's content."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from facegen import media
from facegen.faces import ClipAnalysis, FaceAnalyser, analyse_clip
from facegen.faces.clip import VERSION
from facegen.jobs import Progress
from facegen.swap.jobs import ANALYSES
from facegen.swap.options import SwapOptions
from facegen.swap.request import analysis_key
from facegen.swap.timeline import SwapTimeline, read_timeline


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
