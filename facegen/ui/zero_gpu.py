"""The GPU of a ZeroGPU Space, which is allocated for one call at a time to the process that serves the page.

There, everything runs on the CPU but what is passed through `with_gpu`: the faces of the Generate tab, and swaps and talks
(`facegen/ui/gpu_runs.py`). Elsewhere nothing is imported and nothing changes. It was never tried on a Space; `tests/ui/test_zero_gpu.py` tests the calls.
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


def is_zero_gpu() -> bool:
    """Whether this is a Space with ZeroGPU."""
    return "SPACE_ID" in os.environ and os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "true")


def default_to_cpu() -> None:
    """Let all that is not passed through `with_gpu` run on the CPU, on a ZeroGPU Space."""
    if is_zero_gpu():
        os.environ.setdefault(DEVICE_VARIABLE, "cpu")
        _disable_thread_pools()


def _disable_thread_pools() -> None:
    """Let libraries compute on the calling thread: the process that is forked for a GPU has no thread pools, and would wait for them."""
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def with_gpu(work: Callable[[Q], R], seconds: Callable[[Q], float]) -> Callable[[Q], R]:
    """The function, with a GPU allocated for each call on a ZeroGPU Space.

    Args:
        work: takes and returns what can be pickled.
        seconds: estimates the duration of a call; more than `MOST_SECONDS` is not requested.
    """
    if not is_zero_gpu():
        return work
    import spaces

    decorated: Callable[[Q], R] = spaces.GPU(duration=lambda request: limit_seconds(seconds(request)))(work)
    return decorated


def limit_seconds(seconds: float) -> int:
    """Whole seconds for which a GPU is requested, of an estimated duration."""
    return max(_LEAST_SECONDS, min(MOST_SECONDS, math.ceil(seconds)))


def face_drawer(models: Models) -> Callable[[GenerateRequest], GenerateResult]:
    """What draws the faces of a request: the studio's pipeline, or on a ZeroGPU Space one whose networks are on the GPU."""
    if not is_zero_gpu():
        return lambda request: models.pipeline(GENERATE)(request)

    def make() -> Callable[[GenerateRequest], GenerateResult]:
        from facegen.generate.pipeline import GeneratePipeline

        pipeline = GeneratePipeline(device=DEVICE)
        # ZeroGPU wants them on the GPU before the first call
        pipeline.warm_up(GenerateRequest(output=""))

        def draw(request: GenerateRequest) -> GenerateResult:
            return pipeline(request)

        return with_gpu(draw, lambda request: 3 + 0.5 * request.options.count * request.options.best_of)

    return models.get(make, face_drawer)
