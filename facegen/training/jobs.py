"""What this room does, declared. Imports no torch."""

from __future__ import annotations

from facegen.jobs.job import Job
from facegen.training.request import TrainRequest, TrainResult

TRAIN = Job(
    name="train",
    command="train",
    summary="Train a model; stopped at any moment, it goes on from its last checkpoint.",
    request=TrainRequest,
    result=TrainResult,
    # the catalog knows the tasks of all rooms
    pipeline="facegen.catalog:make_train_pipeline",
    subject="task",
    is_run_kept=True,
    example="facegen train autoencoder --data people/a",
)

JOBS = (TRAIN,)
