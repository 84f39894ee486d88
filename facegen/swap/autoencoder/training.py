"""The training pipeline of a swap for two people: extract, clean, mask, train to a time budget, merge; resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from facegen import media
from facegen.config import to_dict, write_json
from facegen.errors import Cancelled, InputError
from facegen.jobs import Progress, Run
from facegen.jobs.files import check_output_file
from facegen.jobs.pipeline import Pipeline
from facegen.json_file import read_object
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest, SwapTrainResult
from facegen.swap.tasks import SAEHD

CLEAN_REASONS = ("other-person", "blurred", "misaligned")
"""Faces that are removed automatically; duplicates stay, as they do no harm."""
MIN_FACES = 8
DEFAULT_MERGE = "mode=mesh-guided, restore=60"
"""Initial merge options: sharp eyes and teeth, which a short training does not learn."""
STATE_FILE = "flow.json"


class SwapTrainPipeline(Pipeline[SwapTrainRequest, SwapTrainResult]):
    """Trains a model for two people and merges B's face into a video of A; a run resumes at the step it was at."""

    job = SWAP_TRAIN

    def check(self, request: SwapTrainRequest) -> None:
        """Refuse a target that cannot be merged into, and an output that cannot be written, before the training."""
        if request.output:
            check_output_file(request, tuple(media.CONTAINERS))
        info = media.probe(request.target)
        media.find_encoder(request.encode, request.output or SWAP_TRAIN.result_name(request), info)
        media.check_animation(request.output or SWAP_TRAIN.result_name(request), info.duration_seconds)

    def work(self, request: SwapTrainRequest, run: Run | None, progress: Progress) -> SwapTrainResult:
        """Extract, clean, mask, train and merge.

        Raises:
            InputError: an input cannot be used, or shows too few faces.
            Cancelled: somebody stopped the work; what was finished is kept.
        """
        assert run is not None
        output = request.output or str(run.results / SWAP_TRAIN.result_name(request))
        steps = _Steps(run.path, request, self.on_line, progress.report)
        faces_a = steps.extract("a", request.person_a, 0.0, 0.1)
        faces_b = steps.extract("b", request.person_b, 0.1, 0.2)
        trained_steps = steps.train(0.2, 0.9)
        frames = steps.merge(request.target, output, 0.9, 1.0)
        return SwapTrainResult(
            output=output,
            faces_a=faces_a,
            faces_b=faces_b,
            steps=trained_steps,
            frames=frames,
            resumed=tuple(steps.resumed),
        )


class _Steps:
    """The steps of one run; those that are finished are listed in its `STATE_FILE`."""

    def __init__(
        self, run: Path, options: SwapTrainRequest, on_line: Callable[[str], None], report: Callable[[float, str], None]
    ) -> None:
        self.run, self.options, self.on_line, self.report = run, options, on_line, report
        run.mkdir(parents=True, exist_ok=True)
        path = run / STATE_FILE
        done = read_object(path, is_optional=True).get("done", [])
        self.done: list[str] = [str(step) for step in done] if isinstance(done, list) else []
        self.resumed: list[str] = []

    def _progress_between(self, low: float, high: float) -> Callable[[float, str], None]:
        return lambda fraction, text: self.report(low + (high - low) * fraction, text)

    def _is_done(self, step: str) -> bool:
        if step in self.done:
            self.resumed.append(step)
        return step in self.done

    def _finish(self, step: str) -> None:
        self.done.append(step)
        write_json(self.run / STATE_FILE, {"done": self.done})

    def extract(self, name: str, inputs: Sequence[str], low: float, high: float) -> int:
        """Extracts, cleans and masks the faces of one person; returns how many."""
        from facegen.facesets import ExtractOptions, Faceset, extract, mask, trash
        from facegen.facesets.clean import propose
        from facegen.facesets.options import CleanOptions

        folder = self.run / "people" / name
        if self._is_done(f"faces {name}"):
            return len(Faceset.open(folder))
        middle = low + (high - low) * 0.6
        extract_options = ExtractOptions(every=self.options.every, size=256, min_face_px=64)
        extract(list(inputs), folder, extract_options, on_progress=self._progress_between(low, middle))
        faceset = Faceset.open(folder)
        if len(faceset):
            proposals = propose(faceset, CleanOptions(reasons=CLEAN_REASONS))
            faceset = trash.move(faceset, [p.record for p in proposals], [p.reason for p in proposals])
            faceset = mask.apply(faceset, "parser", self._progress_between(middle, high))
        if len(faceset) < MIN_FACES:
            raise InputError(
                f"Expected at least {MIN_FACES} good faces of person {name.upper()}, found {len(faceset)}; give a longer or "
                "sharper video."
            )
        self.on_line(f"Person {name.upper()}: {len(faceset)} faces.")
        self._finish(f"faces {name}")
        return len(faceset)

    def train(self, low: float, high: float) -> int:
        """Trains to the time budget; returns the steps in total."""
        from facegen.training.checkpoint import list_checkpoints
        from facegen.training.launch import train_in_folder
        from facegen.training.request import make_request

        checkpoints = self.run / "checkpoints"
        if self._is_done("training"):
            return list_checkpoints(checkpoints)[-1].step
        options = self.options
        changes = [
            *([f"minutes={options.minutes}"] if options.minutes else []),
            *(["task.start_from="] if options.fresh else []),
            *options.changes,
        ]
        people = str(self.run / "people")
        request = make_request(SAEHD, preset=options.preset, data=people, changes=changes)
        is_begun = checkpoints.is_dir() and bool(list_checkpoints(checkpoints))
        on_progress = self._progress_between(low, high)
        result = train_in_folder(
            self.run, SAEHD, request, resume=is_begun, on_line=self.on_line, on_progress=on_progress
        )
        if not result.is_complete:
            raise Cancelled("Stopped while training; the same command goes on.")
        self._finish("training")
        return result.step

    def merge(self, target: str, output: str, low: float, high: float) -> int:
        """Merges the face into the target; returns the frames."""
        from facegen.swap.merge.options import OPTIONS_FILE, parse_merge_options, save_merge_options
        from facegen.swap.options import SwapOptions
        from facegen.swap.pipeline import SwapPipeline
        from facegen.swap.request import SwapRequest

        if not (self.run / OPTIONS_FILE).is_file():
            save_merge_options(parse_merge_options(DEFAULT_MERGE), self.run)
        options = SwapOptions(
            engine=f"autoencoder:{self.run.absolute()}",
            merge=self.options.merge,
            faces="largest",
            **to_dict(self.options.encode),
        )
        request = SwapRequest(target=target, output=output, options=options)
        return SwapPipeline()(request, on_progress=self._progress_between(low, high)).frames
