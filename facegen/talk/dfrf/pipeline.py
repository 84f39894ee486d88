"""From a video to the field of the person in it: prepare, train to a time budget, keep the result; resumable."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from facegen import config
from facegen.errors import Cancelled
from facegen.jobs import Progress, Run
from facegen.jobs.pipeline import Pipeline
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.preparation import prepare
from facegen.talk.jobs import TALK_TRAIN
from facegen.talk.request import TalkTrainRequest, TalkTrainResult
from facegen.talk.tasks import DFRF
from facegen.training.launch import train_in_folder
from facegen.training.request import change_request, make_request, read_request

_PREPARATION_SHARE = 0.15


class TalkTrainPipeline(Pipeline[TalkTrainRequest, TalkTrainResult]):
    """Prepares a video and trains the field of the person in it; a run goes on where it was cut off."""

    job = TALK_TRAIN

    def work(self, request: TalkTrainRequest, run: Run | None, progress: Progress) -> TalkTrainResult:
        """Prepare and train.

        Raises:
            InputError: the video cannot be used.
            Cancelled: somebody stopped the work; what was finished is kept.
        """
        assert run is not None
        video = Path(request.video)
        if video.is_dir():
            folder = PreparedFolder(video)
        else:
            progress.enter(0.0, _PREPARATION_SHARE)
            folder = prepare(
                video,
                run.path / "prepared",
                train_share=request.train_share,
                seconds=request.seconds,
                on_progress=progress.report,
            )
        progress.enter(_PREPARATION_SHARE, 1.0)
        training_run = run.path / "training"
        is_known = (training_run / "train.json").exists()
        training = (
            read_request(training_run) if is_known else make_request(DFRF, preset=request.preset, data=str(folder.path))
        )
        changes = [*([f"minutes={request.minutes}"] if request.minutes else []), *request.changes]
        training = replace(change_request(DFRF, training, changes), data=str(folder.path.absolute()))
        result = train_in_folder(
            training_run, DFRF, training, resume=is_known, on_line=self.on_line, on_progress=progress.report
        )
        if not result.is_complete:
            raise Cancelled(f"Stopped after step {result.step}; the same command goes on.")
        (run.path / "field").mkdir(exist_ok=True)
        for path in result.files.values():
            shutil.copyfile(path, run.path / "field" / path.name)
        config.write_json(run.path / "field" / "person.json", {"prepared": str(folder.path.absolute())})
        return TalkTrainResult(frames=folder.state.frame_count, steps=result.step, measures=result.measures)
