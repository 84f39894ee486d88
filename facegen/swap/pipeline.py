"""`SwapPipeline`: the one door of the room."""

import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facegen import media, provenance
from facegen.errors import InputError, NoFaceError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.media.fingerprint import file_fingerprint
from facegen.media.journal import Journal
from facegen.runs import Run
from facegen.runs.carry_out import carry_out
from facegen.runs.progress import OnProgress, Progress
from facegen.swap import analysis as first_pass
from facegen.swap.assignment import SourceAssignment, check_people
from facegen.swap.clip import ClipSwap
from facegen.swap.engines import Engine, make_engine, model_mtime_ns
from facegen.swap.options import SwapOptions
from facegen.swap.render import StageClock, swap_image
from facegen.swap.request import SwapRequest, SwapResult, request_key
from facegen.swap.result import PICTURES, VIDEOS, check_paths, sign
from facegen.swap.sources import load_sources
from facegen.swap.timeline import read_timeline

_IDENTITIES_KEPT = 8


class SwapPipeline:
    """Swaps faces. Models and identities stay loaded between calls; safe to call from several threads."""

    def __init__(self, *, analyser: FaceAnalyser | None = None, engine: Engine | None = None) -> None:
        """Make a pipeline.

        Args:
            analyser: what finds the faces.
            engine: what makes the new faces, whatever the options name.
        """
        self.analyser = analyser or FaceAnalyser()
        self._engines: dict[str, tuple[int, Engine]] = {}
        self._engine = engine
        self._identities: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def __call__(
        self, request: SwapRequest, run: Run | None = None, on_progress: OnProgress | None = None
    ) -> SwapResult:
        """Do a swap, or go on with one that was cut off.

        Args:
            request: what to do.
            run: the run folder to work in; one named after the request is used, and removed at the end, where there is
                none. The same request finds it again after a crash.
            on_progress: told of every frame.

        Raises:
            InputError: the request cannot be done; the sentence says why.
            ResourceError: a place cannot be written, or the disk is full.
            Cancelled: somebody stopped the work; what was finished is kept in the run folder.
        """
        started = time.perf_counter()
        is_picture = media.is_picture(request.target)
        check_paths(request, PICTURES if is_picture else VIDEOS)
        clock = StageClock()
        if is_picture:
            result = self._swap_picture(request, Progress(on_progress, run), clock, started)
            if run is not None:
                run.keep_result(asdict(result))
            return result
        return carry_out(
            request,
            lambda folder, progress: self._swap_clip(request, folder, progress, clock, started),
            kind="swap",
            key=request_key,
            run=run,
            on_progress=on_progress,
        )

    def find_people(
        self, target: str, options: SwapOptions | None = None, on_progress: OnProgress | None = None
    ) -> ClipAnalysis:
        """Find everybody in a video; kept, so that the swap itself need not look again."""
        progress = Progress(on_progress)
        return first_pass.analyse(target, options or SwapOptions(), self.analyser, progress)

    def preview(
        self, request: SwapRequest, *, frame_index: int | None = None, seconds: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Swap one frame, without the rest of the clip.

        Args:
            request: what to do; its output is not used.
            frame_index: which frame of the target, counted from its beginning.
            seconds: which moment of it, where no index is given.

        Returns:
            The frame before and after, (H, W, 3) RGB uint8 each.

        Raises:
            InputError: the request cannot be done.
        """
        engine = self.engine(request.options)
        assignment = self._assignment(request, engine)
        if media.is_picture(request.target):
            before = media.read_picture(request.target)
            faces = _numbered(self.analyser.detect(before))
        else:
            frame = media.read_frame_at(request.target, seconds=seconds, index=frame_index)
            before = frame.image_rgb
            scope = request.analysed_options()
            if request.names_people or first_pass.analysis_path(request.target, scope).exists():
                faces = list(self.find_people(request.target, scope).faces(frame.index))
            else:
                faces = self.analyser.detect(before)
        return before, swap_image(before, assignment.assign(faces), engine, request.options)

    def _swap_clip(
        self, request: SwapRequest, run: Run, progress: Progress, clock: StageClock, started: float
    ) -> SwapResult:
        options = request.options
        with clock.stage("probe"):
            info = media.probe(request.target)
            journal = Journal(run.path, request_key(request))
        progress.enter(0.0, 0.3)
        analysing = time.perf_counter()
        with ThreadPoolExecutor(1, "sources") as beside:
            preparing = beside.submit(self._prepared, request, clock)
            with clock.stage("analyse"):
                analysis = first_pass.analyse(
                    request.target, request.analysed_options(), self.analyser, progress, preparing
                )
            engine, assignment = preparing.result()
        check_people(request, analysis)
        rendering = time.perf_counter()
        is_kept = (
            (lambda index: bool(assignment.assign(analysis.faces(index)))) if options.when_no_face == "skip" else None
        )
        timeline = read_timeline(request.target, options, is_kept)
        if not timeline.is_kept.any():
            raise InputError(
                "Expected at least one frame with a face to swap, but all would be skipped; choose another person or "
                "«keep» for frames without a face."
            )
        clip = ClipSwap(
            target=request.target,
            info=info,
            options=options,
            analysis=analysis,
            assignment=assignment,
            timeline=timeline,
            engine=engine,
            journal=journal,
            clock=clock,
        )
        resumed = journal.next_index(timeline.first) - timeline.first
        progress.enter(0.3, 0.98, resumed)
        clip.render(progress)
        joining = time.perf_counter()
        progress.enter(0.98, 1.0)
        progress.say(0.0, "Joining picture and sound")
        with clock.stage("join"):
            notices = (*info.notices, *clip.join(request.output))
        with clock.stage("sign"):
            notices += sign(request)
        seen = Counter(item.face.person_id for index in timeline.kept_indices() for item in clip.assignments(index))
        result = SwapResult(
            output=request.output,
            frames=int(timeline.is_kept.sum()),
            faces=seen.total(),
            people=len(seen),
            seconds=round(time.perf_counter() - started, 3),
            resumed_frames=resumed,
            stages={name: round(seconds, 3) for name, seconds in clock.seconds.items()},
            rates={
                "analyse": round(timeline.frame_count / (rendering - analysing), 1),
                "render": round((timeline.frame_count - resumed) / (joining - rendering), 1),
            },
            notices=notices,
        )
        journal.clear()
        return result

    def _swap_picture(self, request: SwapRequest, progress: Progress, clock: StageClock, started: float) -> SwapResult:
        progress.say(0.1, "Looking for faces")
        engine, assignment = self._prepared(request, clock)
        with clock.stage("analyse"):
            image = media.read_picture(request.target)
            faces = _numbered(self.analyser.detect(image))
        if not faces:
            raise NoFaceError(
                f"Expected a face in the target {Path(request.target).name!r}, but found none; choose another picture."
            )
        parts = assignment.assign(faces)
        if not parts:
            raise InputError(
                f"Expected a person of the target, but it shows {len(faces)}; choose 0 to {len(faces) - 1}."
            )
        progress.say(0.5, "Swapping faces")
        with clock.stage("render"):
            image = provenance.mark_picture(swap_image(image, parts, engine, request.options))
        with clock.stage("encode"):
            media.write_picture(request.output, image, metadata={"comment": provenance.NOTICE})
        with clock.stage("sign"):
            notices = sign(request)
        progress.say(1.0, "Done")
        return SwapResult(
            output=request.output,
            frames=1,
            faces=len(parts),
            people=len(parts),
            seconds=round(time.perf_counter() - started, 3),
            stages={name: round(seconds, 3) for name, seconds in clock.seconds.items()},
            notices=notices,
        )

    def engine(self, options: SwapOptions) -> Engine:
        """The engine that a request with these options uses."""
        if self._engine is not None:
            return self._engine
        changed = model_mtime_ns(options.engine)
        kept = self._engines.get(options.engine)
        if kept is None or kept[0] != changed:
            kept = self._engines[options.engine] = changed, make_engine(options.engine)
        return kept[1]

    def _prepared(self, request: SwapRequest, clock: StageClock) -> tuple[Engine, SourceAssignment]:
        with clock.stage("sources"):
            engine = self.engine(request.options)
            return engine, self._assignment(request, engine)

    def _assignment(self, request: SwapRequest, engine: Engine) -> SourceAssignment:
        options = request.options
        by_sources = {group: self._identity(group, options, engine) for group in request.all_sources()}
        return SourceAssignment(
            faces=options.faces,
            person=options.person,
            identity=by_sources.get(request.sources),
            people={person: by_sources[group] for person, group in request.people.items()},
        )

    def _identity(self, sources: tuple[str, ...], options: SwapOptions, engine: Engine) -> Any:
        key = (engine.name, options.source_face, *(file_fingerprint(path) for path in sources))
        if key not in self._identities:
            self._identities[key] = engine.prepare(
                load_sources(sources, self.analyser, source_face=options.source_face)
            )
            while len(self._identities) > _IDENTITIES_KEPT:
                self._identities.popitem(last=False)
        return self._identities[key]


def _numbered(faces: list[Face]) -> list[Face]:
    """Faces of one picture with person numbers, counted from the left."""
    from_left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    return [face.replace(person_id=number) for number, face in enumerate(from_left)]
