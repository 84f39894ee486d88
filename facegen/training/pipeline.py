"""`TrainPipeline`: from a request to a trained model in a run folder, or to the settings that train best."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from facegen.errors import Cancelled
from facegen.jobs import OnProgress, Progress, Run
from facegen.jobs.pipeline import Models, Pipeline
from facegen.training.info import TaskInfo
from facegen.training.jobs import TRAIN
from facegen.training.launch import train_in_folder
from facegen.training.request import TrainRequest, TrainResult

RATE_STEPS = 50
"""Steps over which the rate is counted."""


class TrainPipeline(Pipeline[TrainRequest, TrainResult]):
    """Trains; a run that has a checkpoint goes on from it.

    Args:
        find_task: the task of a name.
        models: as every pipeline takes them.
        on_line: gets what the training prints.
    """

    job = TRAIN

    def __init__(
        self,
        *,
        find_task: Callable[[str], TaskInfo],
        models: Models | None = None,
        on_line: Callable[[str], None] = print,
    ) -> None:
        super().__init__(models=models, on_line=on_line)
        self._find_task = find_task

    def work(self, request: TrainRequest, run: Run | None, progress: Progress) -> TrainResult:
        """Train, or search for the best settings.

        Raises:
            InputError: data or settings cannot be used.
            TrainingError: the losses stay infinite.
            Cancelled: it was stopped; the same run goes on from the last checkpoint.
        """
        assert run is not None
        info = self._find_task(request.task)
        if request.search:
            return self._search(info, request, run, progress)

        def print_line(line: str) -> None:
            self.on_line(line)
            run.write_log(line)

        trained = train_in_folder(
            run.path, info, request, resume=True, on_line=print_line, on_progress=_with_rate(progress)
        )
        if not trained.is_complete:
            raise Cancelled(f"Stopped after step {trained.step}; go on with --resume.")
        files = {name: str(path) for name, path in trained.files.items()}
        return TrainResult(step=trained.step, measures=trained.measures, files=files)

    def _search(self, info: TaskInfo, request: TrainRequest, run: Run, progress: Progress) -> TrainResult:
        from facegen.training.search import parse_choices, search

        plain = replace(request, search=())

        def train(changed: TrainRequest, folder: Path) -> None:
            trained = train_in_folder(folder, info, changed, on_line=lambda _line: None, on_progress=progress.report)
            if not trained.is_complete:
                raise Cancelled("The search was stopped.")

        trials = search(
            info,
            plain,
            parse_choices(request.search),
            run.path,
            trials=request.trials,
            train=train,
            on_line=self.on_line,
        )
        return TrainResult(step=0, trials=tuple(trials), files={"table": str(run.path / "search.csv")})


def _with_rate(progress: Progress) -> OnProgress:
    """Reports progress with the rate of the last steps."""
    times: deque[float] = deque(maxlen=RATE_STEPS)

    def report(share: float, text: str) -> None:
        times.append(time.monotonic())
        seconds = times[-1] - times[0]
        progress.report(share, text, f"{(len(times) - 1) / seconds:.2f} steps/s" if seconds > 0 else None)

    return report
