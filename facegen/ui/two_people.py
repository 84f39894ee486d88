"""`facegen swap train` as the browser asks for it: two people's videos, the video that gets the face, and the time."""

from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest
from facegen.swap.tasks import SAEHD
from facegen.training.jobs import TRAIN
from facegen.ui.services import Services, Visitor
from facegen.ui.trainings import SHARED_MINUTES, is_limited

PRESETS = tuple(name for name in SAEHD.presets if not name.endswith("-pretrain") and name != "tiny")
"""What is offered; the first one is the flow's default."""
DEFAULT = SwapTrainRequest.preset


def start(services: Services, visitor: Visitor, request: SwapTrainRequest) -> Run:
    """Put the training and the merge into the queue as a run.

    Raises:
        InputError: the time does not fit a limited studio, or a file is missing.
    """
    if is_limited(services):
        if not 0 < request.minutes <= SHARED_MINUTES:
            raise InputError(
                f"Expected 1 to {SHARED_MINUTES:g} minutes on this shared machine without a GPU, found "
                f"{request.minutes:g}; set a limit."
            )
        busy = [
            run
            for run in services.runs(visitor)
            if run.kind in (SWAP_TRAIN.name, TRAIN.name) and run.status().is_active
        ]
        if busy:
            raise InputError(f"Expected your last training to have ended, found {busy[0].name} at work; stop it first.")
    return services.start(visitor, SWAP_TRAIN, request)
