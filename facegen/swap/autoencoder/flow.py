"""From three videos to a swap: faces cut out, cleaned, masked, trained to a time budget, merged; resumable at each step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from facegen.config import read_json, write_json
from facegen.errors import Cancelled, InputError
from facegen.jobs import Progress, Run
from facegen.jobs.pipeline import Pipeline
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest, SwapTrainResult
from facegen.swap.tasks import SAEHD

CLEANED = ("other-person", "blurred", "misaligned")
"""What is taken out without asking; doubles stay, for they do no harm."""
FEWEST = 8
MERGE = "mode=mesh-guided, restore=60"
"""How the face is laid over the frame at first: sharp eyes and teeth, which a short training does not draw yet."""
STATE = "flow.json"


class SwapTrainPipeline(Pipeline[SwapTrainRequest, SwapTrainResult]):
    """Puts B's face on the person in a video; a run goes on with the step at which it was cut off."""

    job = SWAP_TRAIN

    def work(self, request: SwapTrainRequest, run: Run | None, progress: Progress) -> SwapTrainResult:
        """Extract, clean, mask, train and merge.

        Raises:
            InputError: an input cannot be used, or shows too few faces.
            Cancelled: somebody stopped the work; what was finished is kept.
        """
        assert run is not None
        output = request.output or str(run.results / "merged.mp4")
        flow = _Flow(run.path, request, self.on_line, progress.report)
        faces_a = flow.people("a", request.person_a, 0.0, 0.1)
        faces_b = flow.people("b", request.person_b, 0.1, 0.2)
        steps = flow.training(0.2, 0.9)
        frames = flow.merging(request.target, output, 0.9, 1.0)
        return SwapTrainResult(
            output=output, faces_a=faces_a, faces_b=faces_b, steps=steps, frames=frames, resumed=tuple(flow.resumed)
        )


class _Flow:
    """The work in one run folder."""

    def __init__(
        self, run: Path, options: SwapTrainRequest, say: Callable[[str], None], report: Callable[[float, str], None]
    ) -> None:
        self.run, self.options, self.say, self.report = run, options, say, report
        run.mkdir(parents=True, exist_ok=True)
        path = run / STATE
        self.done: list[str] = read_json(path)["done"] if path.exists() else []
        self.resumed: list[str] = []

    def _within(self, low: float, high: float) -> Callable[[float, str], None]:
        return lambda share, text: self.report(low + (high - low) * share, text)

    def _is_done(self, step: str) -> bool:
        if step in self.done:
            self.resumed.append(step)
        return step in self.done

    def _finish(self, step: str) -> None:
        self.done.append(step)
        write_json(self.run / STATE, {"done": self.done})

    def people(self, name: str, inputs: Sequence[str], low: float, high: float) -> int:
        """Cuts out, cleans and masks the faces of one person; returns how many."""
        from facegen.facesets import ExtractOptions, Faceset, extract, mask, trash
        from facegen.facesets.choices import CleanOptions
        from facegen.facesets.clean import propose

        folder = self.run / "people" / name
        if self._is_done(f"faces {name}"):
            return len(Faceset.open(folder))
        middle = low + (high - low) * 0.6
        chosen = ExtractOptions(every=self.options.every, size=256, min_face_px=64)
        extract(list(inputs), folder, chosen, on_progress=self._within(low, middle))
        faceset = Faceset.open(folder)
        if len(faceset):
            found = propose(faceset, CleanOptions(reasons=CLEANED))
            faceset = trash.move(faceset, [r.record for r in found], [r.reason for r in found])
            faceset = mask.apply(faceset, "parser", self._within(middle, high))
        if len(faceset) < FEWEST:
            raise InputError(
                f"Expected at least {FEWEST} good faces of person {name.upper()}, found {len(faceset)}; give a longer or "
                "sharper video."
            )
        self.say(f"Person {name.upper()}: {len(faceset)} faces.")
        self._finish(f"faces {name}")
        return len(faceset)

    def training(self, low: float, high: float) -> int:
        """Trains to the budget; returns the steps done in all."""
        from facegen.training.checkpoint import list_checkpoints
        from facegen.training.launch import train_in
        from facegen.training.request import make_request

        checkpoints = self.run / "checkpoints"
        if self._is_done("training"):
            return list_checkpoints(checkpoints)[-1].step
        asked = self.options
        changes = [
            *([f"minutes={asked.minutes}"] if asked.minutes else []),
            *(["task.start_from="] if asked.fresh else []),
        ]
        changes += asked.changes
        people = str(self.run / "people")
        request = make_request(SAEHD, preset=self.options.preset, data=people, changes=changes)
        is_begun = checkpoints.is_dir() and bool(list_checkpoints(checkpoints))
        within = self._within(low, high)
        result = train_in(self.run, SAEHD, request, resume=is_begun, say=self.say, on_progress=within)
        if not result.is_complete:
            raise Cancelled("Stopped while training; the same command goes on.")
        self._finish("training")
        return result.step

    def merging(self, target: str, output: str, low: float, high: float) -> int:
        """Puts the face into the target; returns the frames."""
        from facegen.swap.merge.options import OPTIONS_FILE, parse_merge_options, save_merge_options
        from facegen.swap.options import SwapOptions
        from facegen.swap.pipeline import SwapPipeline
        from facegen.swap.request import SwapRequest

        if not (self.run / OPTIONS_FILE).is_file():
            save_merge_options(parse_merge_options(MERGE), self.run)
        options = SwapOptions(engine=f"autoencoder:{self.run.absolute()}", merge=self.options.merge, faces="largest")
        request = SwapRequest(target=target, output=output, options=options)
        return SwapPipeline()(request, on_progress=self._within(low, high)).frames
