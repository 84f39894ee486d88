"""`SwapPipeline`: swaps faces in clips and pictures."""

import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facegen import media, provenance
from facegen.errors import InputError, NoFaceError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.faces.mask_models import parse_masks
from facegen.hub.fetch import require
from facegen.jobs import OnProgress, Progress, Run
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.cluster import Cluster
from facegen.jobs.files import check_output_file, paths
from facegen.jobs.pipeline import Models, Pipeline
from facegen.media.journal import Journal
from facegen.reenact.weights import RESTORING
from facegen.reenact.weights import WEIGHTS as REENACTING
from facegen.restore.enhancers import ENHANCERS, parse_chain
from facegen.restore.frame_chain import parse_frame_chain
from facegen.swap import clip as first_pass
from facegen.swap import distributed
from facegen.swap.assignment import SourceAssignment, check_people
from facegen.swap.clip import ClipPlan, ClipSwap
from facegen.swap.coverings import Coverings, describe, find_coverings, load_parser, require_eyes
from facegen.swap.engines import Engine, make_engine, model_mtime_ns
from facegen.swap.frame_finish import finish_info, finish_still
from facegen.swap.jobs import SWAP
from facegen.swap.oneshot.models import find_model
from facegen.swap.options import LIVE_PORTRAIT, SwapOptions
from facegen.swap.render import StageClock, swap_image
from facegen.swap.request import SwapRequest, SwapResult, request_key
from facegen.swap.sources import Picture, load_sources
from facegen.swap.timeline import read_timeline

_IDENTITIES_KEPT = 8

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Suffixes of a picture that a swap can write."""
VIDEOS = tuple(media.CONTAINERS)
"""Suffixes of a video that a swap can write."""


class SwapPipeline(Pipeline[SwapRequest, SwapResult]):
    """Swaps faces. Models and identities stay loaded between calls; safe to call from several threads."""

    job = SWAP

    def __init__(
        self,
        *,
        models: Models | None = None,
        on_line: Callable[[str], None] = print,
        cluster: Cluster | None = None,
        analyser: FaceAnalyser | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Make a pipeline.

        Args:
            models: where models come from and stay.
            on_line: gets what the job prints.
            cluster: machines that share the work on clips.
            analyser: finds the faces, in place of that of `models`.
            engine: makes the new faces, whatever the options name.
        """
        super().__init__(models=models, on_line=on_line, cluster=cluster)
        self.analyser = analyser or self.models.get(FaceAnalyser)
        self._engines: dict[str, tuple[int, Engine]] = {}
        self._engine = engine
        self._identities: OrderedDict[tuple[object, ...], tuple[Any, tuple[str, ...]]] = OrderedDict()

    def check(self, request: SwapRequest) -> None:
        """Refuse models that are not on this machine, and an output that cannot be written."""
        require_models(request.options)
        if request.patches:
            from facegen.swap.patches import check_patches

            check_patches(self.engine(request.options), request)
        elif media.is_picture(request.target):
            check_output_file(request, PICTURES)
        else:
            check_output_file(request, VIDEOS)
            media.check_video_output(
                request.output, picture_from=request.target, sound_from=request.target, encode=request.options
            )

    def warm_up(self, request: SwapRequest) -> None:
        """Load the models by a preview."""
        self.preview(request, frame_index=0)

    def prepare(self, request: SwapRequest, progress: Progress) -> None:
        """The first pass of a clip."""
        if not media.is_picture(request.target):
            progress.enter(0.0, 0.3)
            first_pass.analyse(request.target, request.analysed_options(), self.analyser, progress)

    def work(self, request: SwapRequest, run: Run | None, progress: Progress) -> SwapResult:
        """Swap a picture or a clip, or write its patches."""
        assert run is not None
        started, clock = time.perf_counter(), StageClock()
        if request.patches:
            from facegen.swap.patches import write_patches

            plan = self._plan(request, progress, clock)
            progress.enter(0.3, 1.0)
            return write_patches(plan, request.output, progress)
        if media.is_picture(request.target):
            return self._swap_picture(request, progress, clock, started)
        return self._swap_clip(request, run, progress, clock, started)

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
            The frame before and after, (H, W, 3) RGB uint8 each; in the size of the result.

        Raises:
            InputError: the request cannot be done.
        """
        engine = self.engine(request.options)
        assignment = self._assignment(request, engine)
        analyser = self.analyser.with_detector(request.options.detector, request.options.recogniser)
        if media.is_picture(request.target):
            before = media.read_picture(request.target)
            faces = _numbered(analyser.detect(before))
        else:
            frame = media.read_frame_at(request.target, seconds=seconds, index=frame_index)
            before = frame.image_rgb
            scope = request.analysed_options()
            if request.names_people or first_pass.analysis_path(request.target, scope).exists():
                faces = list(self.find_people(request.target, scope).faces(frame.index))
            else:
                faces = analyser.detect(before)
        swapped = swap_image(before, assignment.assign(faces), engine, request.options)
        after, _ = finish_still(swapped, media.Still(image_rgb=before, alpha=None, exif={}), request.options)
        if after.shape != before.shape:
            before = cv2.resize(before, after.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return before, after

    def _swap_clip(
        self, request: SwapRequest, run: Run, progress: Progress, clock: StageClock, started: float
    ) -> SwapResult:
        with clock.stage("probe"):
            info = finish_info(media.probe(request.target), request.options)
            _check_encoding(request, info)
            journal = Journal(run.path, request_key(request))
        analysing = time.perf_counter()
        plan = self._plan(request, progress, clock)
        timeline = plan.timeline
        rendering = time.perf_counter()
        clip = ClipSwap(plan=plan, output=request.output, info=info, journal=journal)
        resumed = journal.next_index(timeline.first) - timeline.first
        progress.enter(0.3, 0.98, resumed)
        if self.cluster is not None:
            distributed.render(clip, self.cluster, progress)
        else:
            clip.render(progress)
        joining = time.perf_counter()
        progress.enter(0.98, 1.0)
        progress.report(0.0, "Joining picture and sound")
        with clock.stage("join"):
            notices = (
                *plan.assignment.notices,
                *info.notices,
                *provenance.write_signed(request.output, claims(request), clip.join),
            )
        seen = Counter(item.face.person_id for index in timeline.kept_indices() for item in plan.assignments(index))
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

    def _plan(self, request: SwapRequest, progress: Progress, clock: StageClock) -> ClipPlan:
        """The first pass: analyse the target while the sources are prepared, and decide which faces are swapped when."""
        options = request.options
        progress.enter(0.0, 0.3)
        with ThreadPoolExecutor(1, "sources") as beside:
            preparing = beside.submit(self._prepared, request, clock)
            with clock.stage("analyse"):
                if self.cluster is not None:
                    analysis = distributed.analyse(request.target, request.analysed_options(), self.cluster, progress)
                else:
                    analysis = first_pass.analyse(
                        request.target, request.analysed_options(), self.analyser, progress, preparing
                    )
            engine, assignment = preparing.result()
        check_people(request, analysis)
        is_kept = (
            (lambda index: bool(assignment.assign(analysis.faces(index)))) if options.when_no_face == "skip" else None
        )
        timeline = read_timeline(request.target, options, is_kept)
        if not timeline.is_kept.any():
            raise InputError(
                "Expected at least one frame with a face to swap, but all would be skipped; choose another person or "
                "«keep» for frames without a face."
            )
        return ClipPlan(
            target=request.target,
            options=options,
            analysis=analysis,
            assignment=assignment,
            timeline=timeline,
            engine=engine,
            clock=clock,
        )

    def _swap_picture(self, request: SwapRequest, progress: Progress, clock: StageClock, started: float) -> SwapResult:
        progress.report(0.1, "Looking for faces")
        engine, assignment = self._prepared(request, clock)
        with clock.stage("analyse"):
            still = media.read_still(request.target)
            faces = _numbered(self.analyser.with_detector(request.options.detector).detect(still.image_rgb))
        if not faces:
            raise NoFaceError(
                f"Expected a face in the target {Path(request.target).name!r}, but found none; choose another picture."
            )
        parts = assignment.assign(faces)
        if not parts:
            raise InputError(
                f"Expected a person of the target, but it shows {len(faces)}; choose 0 to {len(faces) - 1}."
            )
        progress.report(0.5, "Swapping faces")
        with clock.stage("render"):
            image = swap_image(still.image_rgb, parts, engine, request.options)
            image, still = finish_still(image, still, request.options)
        with clock.stage("encode"):
            notices = (*assignment.notices, *write_picture(request, image, like=still))
        progress.report(1.0, "Done")
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
        prepared = {group: self._identity(group, options, engine) for group in request.all_sources()}
        by_sources = {group: identity for group, (identity, _) in prepared.items()}
        return SourceAssignment(
            faces=options.faces,
            person=options.person,
            identity=by_sources.get(request.sources),
            people={person: by_sources[group] for person, group in request.people.items()},
            notices=tuple(itertools.chain.from_iterable(notices for _, notices in prepared.values())),
        )

    def coverings(self, pictures: Sequence[Picture]) -> list[Coverings]:
        """What hides part of the face in each of these pictures."""
        return find_coverings(pictures, self.models.get(load_parser))

    def _identity(self, sources: tuple[str, ...], options: SwapOptions, engine: Engine) -> tuple[Any, tuple[str, ...]]:
        """The identity of some sources, and notices about these."""
        models = options.detector, options.recogniser
        key = (engine.name, options.source_face, *models, *(file_fingerprint(path) for path in sources))
        if key not in self._identities:
            analyser = self.analyser.with_detector(options.detector, options.recogniser)
            loaded = load_sources(sources, analyser, source_face=options.source_face)
            coverings = self.coverings(loaded.pictures)
            if engine.name == "mesh":
                require_eyes(coverings)
            self._identities[key] = engine.prepare(loaded.pictures), (*loaded.notices, *describe(coverings))
            while len(self._identities) > _IDENTITIES_KEPT:
                self._identities.popitem(last=False)
        return self._identities[key]


def require_models(options: SwapOptions) -> None:
    """Refuse a swap whose models were not fetched, before a frame is read.

    Raises:
        WeightsError: a file is missing.
    """
    if model := find_model(options.engine):
        require(model.weights, f"the engine {model.name}", "the engine mesh")
    if options.engine == LIVE_PORTRAIT:
        require(REENACTING, f"the engine {LIVE_PORTRAIT}", "the engine mesh")
    if options.expression:
        require(RESTORING, "the target's expression", "an expression of 0")
    for enhancer in ENHANCERS:
        if enhancer.name in dict(parse_chain(options.enhance)):
            require([enhancer.weight], f"the enhancer {enhancer.name}", "another one")
    for mask in parse_masks(options.masks):
        require([mask.weight], f"the mask {mask.name}", "no mask")
    for step, _ in parse_frame_chain(options.frame_chain):
        require([step.weight], f"the model {step.name}", "frames as they are")


def _check_encoding(request: SwapRequest, info: media.VideoInfo) -> None:
    """Refuse what cannot be encoded, before a frame is read.

    Raises:
        InputError: the encoder does not fit the output, or an animation would be long.
    """
    options = request.options
    media.find_encoder(options, request.output, info)
    media.check_animation(request.output, (options.end_seconds or info.duration_seconds) - options.start_seconds)


def _numbered(faces: list[Face]) -> list[Face]:
    """Faces of one picture with person numbers, counted from the left."""
    from_left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    return [face.replace(person_id=number) for number, face in enumerate(from_left)]


def claims(request: SwapRequest) -> provenance.Claims:
    """What the content credentials of the output state."""
    return provenance.Claims(
        job="swap",
        engine=request.options.engine.partition(":")[0],
        parent=request.target,
        sources=tuple(path for path in paths(request) if path != request.target and not Path(path).is_dir()),
    )


def write_picture(request: SwapRequest, image_rgb: np.ndarray, like: media.Still | None = None) -> tuple[str, ...]:
    """Write the request's output, marked and signed; returns what the user should know about it.

    Args:
        request: with the output.
        image_rgb: (H, W, 3) uint8.
        like: the target, whose transparency, date and camera are kept.

    Raises:
        ResourceError: it cannot be written.
    """
    marked = provenance.mark_picture(image_rgb, label=request.options.label)
    return provenance.write_signed(
        request.output,
        claims(request),
        lambda path: media.write_picture(
            path,
            marked,
            metadata={"comment": provenance.NOTICE},
            like=like,
            keep_position=request.options.keep_position,
        ),
    )
