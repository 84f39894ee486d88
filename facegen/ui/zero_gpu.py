"""The card of a ZeroGPU Space, which is lent for one call at a time to the process that serves the page.

There, everything runs on the CPU but what is passed through `on_card`: the faces of the Generate tab, and swaps and talks
(`facegen/ui/card_runs.py`). Elsewhere nothing is imported and nothing changes. It was never tried on a Space; `tests/ui/test_zero_gpu.py` holds the calls.
"""

import math
import os
from collections.abc import Callable
from typing import TypeVar

from facegen.device import DEVICE_VARIABLE
from facegen.generate.jobs import GENERATE
from facegen.generate.request import GenerateRequest, GenerateResult
from facegen.jobs.pipeline import Models

Q = TypeVar("Q")
R = TypeVar("R")
DEVICE = "cuda"
MOST_SECONDS = 60
"""The longest call that a visitor without an account of the Hub is likely to be given."""
_LEAST_SECONDS = 5


def is_here() -> bool:
    """Whether this is a Space with ZeroGPU."""
    return "SPACE_ID" in os.environ and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")


def keep_to_cpu() -> None:
    """Let all that is not passed through `on_card` run on the CPU, where this is such a Space."""
    if is_here():
        os.environ.setdefault(DEVICE_VARIABLE, "cpu")
        _have_no_thread_teams()


def _have_no_thread_teams() -> None:
    """Let libraries compute on the calling thread: a process that is forked for a card has no other, and would wait for them."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def on_card(work: Callable[[Q], R], seconds: Callable[[Q], float]) -> Callable[[Q], R]:
    """The work, with a card lent for each call where this is such a Space.

    Args:
        work: takes and gives what can be sent to another process.
        seconds: how long a call takes; more than `MOST_SECONDS` is not asked for.
    """
    if not is_here():
        return work
    import spaces

    lent: Callable[[Q], R] = spaces.GPU(duration=lambda request: bounded(seconds(request)))(work)
    return lent


def bounded(seconds: float) -> int:
    """For how many whole seconds a card is asked that is wanted for these."""
    return max(_LEAST_SECONDS, min(MOST_SECONDS, math.ceil(seconds)))


def face_drawer(models: Models) -> Callable[[GenerateRequest], GenerateResult]:
    """What draws the faces of a request: the studio's pipeline, or on such a Space one whose networks lie on the card."""
    if not is_here():
        return lambda request: models.pipeline(GENERATE)(request)

    def make() -> Callable[[GenerateRequest], GenerateResult]:
        from facegen.generate.pipeline import GeneratePipeline

        pipeline = GeneratePipeline(device=DEVICE)
        # ZeroGPU wants them on the card before the first call
        pipeline.warm_up(GenerateRequest(output=""))

        def draw(request: GenerateRequest) -> GenerateResult:
            return pipeline(request)

        return on_card(draw, lambda request: 3 + 0.5 * request.options.count * request.options.best_of)

    return models.get(make, face_drawer)
