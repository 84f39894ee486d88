"""Swaps and talks on the GPU of a ZeroGPU Space: in calls of a minute at most, each of which resumes from the run's journal.

The GPU is allocated to a process that the package `spaces` forks from the studio and keeps for the next call; a run in a
process of its own would not see it. The first pass over a clip runs on the CPU before a GPU is requested. A call whose time is
over puts its run back into the queue, where other runs may come first. Where no GPU is available, or a call is too short to
finish a segment, the run goes on as a process of its own on the CPU.
"""

import contextvars
import os
import threading
import time
import traceback
from collections.abc import Callable

from facegen import media
from facegen.catalog import find_job
from facegen.device import DEVICE_VARIABLE
from facegen.errors import Cancelled, FacegenError
from facegen.jobs import Progress, Run
from facegen.jobs.pipeline import Models
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.talk.jobs import TALK
from facegen.talk.request import TalkRequest
from facegen.ui import zero_gpu

_JOBS = (SWAP.name, TALK.name)
_LOADING_SECONDS = 10.0
"""Time for loading the models in the first call of a process, and for joining and signing."""
_FRAMES_PER_SECOND = 12.0
"""Frames that a call is expected to draw in a second; where it draws fewer, there is one call more."""
_TALK_RATE = 25.0
_SPARE_SECONDS = 3.0
"""How long before its end a call stops drawing."""
_models = Models()
"""Of the process that has the GPU, which keeps them from call to call; the studio's own are on the CPU."""


class GpuRuns:
    """Starts runs: swaps and talks on an allocated GPU, the others as the studio starts them elsewhere."""

    def __init__(self, models: Models, start_on_cpu: Callable[[Run], None]) -> None:
        """Make one at the start of a studio on a ZeroGPU Space: only then does ZeroGPU register functions that request a GPU.

        Args:
            models: the studio's, on the CPU.
            start_on_cpu: starts a run as a process of its own.
        """
        self._models, self._start_on_cpu = models, start_on_cpu
        self._run_on_gpu = zero_gpu.with_gpu(run_on_gpu, estimate_gpu_seconds)
        self._visits: dict[str, contextvars.Context] = {}
        self._cpu_only: set[str] = set()

    def remember_visitor(self, run: Run) -> None:
        """Remember the visitor of a new run, known to this thread: GPU time counts against that visitor's quota."""
        self._visits[run.name] = contextvars.copy_context()

    def start(self, run: Run) -> None:
        """Let a run begin or go on.

        Raises:
            InputError: it cannot be started.
            ResourceError: its folder cannot be written.
        """
        if run.kind not in _JOBS or run.name in self._cpu_only:
            self._visits.pop(run.name, None)
            self._cpu_only.discard(run.name)
            self._start_on_cpu(run)
            return
        run.hold("Waiting for a card.")
        threading.Thread(target=self._work, args=(run,), name=f"card-{run.name}", daemon=True).start()

    def _work(self, run: Run) -> None:
        try:
            job = find_job(run.kind)
            self._models.pipeline(job).prepare(job.read_request(run), Progress(run=run))
        except Cancelled:
            run.end("cancelled", "Cancelled.")
            return
        except FacegenError as error:
            run.fail(str(error))
            return
        except Exception:
            self._fall_back_to_cpu(run, traceback.format_exc())
            return
        before = _finished_segments(run)
        try:
            state = self._visits.get(run.name, contextvars.Context()).copy().run(self._run_on_gpu, str(run.path))
        except Exception as error:  # no GPU, no quota left for this visitor, or the process was ended
            self._fall_back_to_cpu(run, f"No card: {error}")
            return
        if state == "queued" and _finished_segments(run) == before:
            self._cpu_only.add(run.name)
        elif state != "queued":
            self._visits.pop(run.name, None)

    def _fall_back_to_cpu(self, run: Run, reason: str) -> None:
        run.write_log(f"{reason}\nGoing on without a card.")
        self._cpu_only.add(run.name)
        run.requeue("Waiting for its turn on the CPU.")


def run_on_gpu(folder: str) -> str:
    """Work on a run until it has ended or its time is over, in the process that has the GPU; returns the run's state."""
    began = time.monotonic()
    os.environ[DEVICE_VARIABLE] = zero_gpu.DEVICE
    run = Run.open(folder)
    if run.is_stop_requested:
        run.end("cancelled", "Cancelled.")
        return "cancelled"
    run.deadline = began + zero_gpu.limit_seconds(estimate_gpu_seconds(folder)) - _SPARE_SECONDS
    try:
        job = find_job(run.kind)
        _models.pipeline(job)(job.read_request(run), run)
    except FacegenError as error:
        if run.status().state == "running":  # refused before the work began
            run.fail(str(error))
    except Exception:  # the run has it as its end
        run.write_log(traceback.format_exc())
    return run.status().state


def estimate_gpu_seconds(folder: str) -> float:
    """Seconds of GPU time that the rest of a run needs, without the limit of a call."""
    run = Run.open(folder)
    request = find_job(run.kind).read_request(run)
    if isinstance(request, TalkRequest):
        frames = (request.options.seconds or media.stated_seconds(request.audio)) * _TALK_RATE
    else:
        assert isinstance(request, SwapRequest)
        frames = 1.0
        if not media.is_picture(request.target):
            options, info = request.options, media.probe(request.target)
            frames = ((options.end_seconds or info.duration_seconds) - options.start_seconds) * float(info.frame_rate)
    return _LOADING_SECONDS + frames * (1 - run.status().progress) / _FRAMES_PER_SECOND


def _finished_segments(run: Run) -> int:
    return len(media.list_segments(run.path / "segments"))
