"""Starts trainings: in this process, or in several with Accelerate."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from facegen.config import from_dict, save
from facegen.device import keep_malloc_memory
from facegen.errors import Cancelled, InputError, TrainingError
from facegen.training.info import TaskInfo
from facegen.training.request import TrainRequest

if TYPE_CHECKING:
    from facegen.training.loop import TrainSummary

WORKER = "FACEGEN_TRAINING_WORKER"
STOPPED = 130
"""Exit code of a worker that was stopped from outside."""


def process_rank() -> int:
    """Rank of this process among those of a training; 0 where it is the only one."""
    return int(os.environ.get("RANK", "0"))


def is_worker() -> bool:
    """Whether this process was started by `launch_processes`."""
    return WORKER in os.environ


def launch_processes(count: int, arguments: Sequence[str]) -> None:
    """Runs `facegen ARGUMENTS` in several processes with `accelerate launch`.

    On a CPU they talk through gloo. Accelerate's own `--cpu` would ask for MPI, so the kind is «multi_gpu» there too:
    it means torchrun, and each process then takes the device that its settings name.

    Args:
        count: how many.
        arguments: of the command line, without the program.

    Raises:
        TrainingError: they did not all end well.
        Cancelled: they were stopped.
    """
    command = [
        *(sys.executable, "-m", "facegen.training.launch", "--multi_gpu", "--num_processes", str(count)),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
        *("-m", "facegen", *arguments),
    ]
    threads = max(1, (os.cpu_count() or 1) // count)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ, WORKER: "1"}
    with subprocess.Popen(command, env=environment) as workers:
        try:
            code = workers.wait()
        except KeyboardInterrupt:
            # not killed, as subprocess.run would: each saves a checkpoint before it ends
            workers.terminate()
            raise
    if code == STOPPED:
        raise Cancelled("Stopped; go on with --resume.")
    if code:
        raise TrainingError(f"The training processes ended with exit code {code}; see the lines above.")


def train_in_folder(
    folder: Path,
    info: TaskInfo,
    request: TrainRequest,
    *,
    resume: bool = False,
    on_line: Callable[[str], None] = print,
    on_progress: Callable[[float, str], None] | None = None,
) -> TrainSummary:
    """Runs one training in a run folder, in this process (or this process's part of it).

    Raises:
        InputError: data or settings cannot be used, or the folder holds a training and `resume` is False.
        TrainingError: the losses stay infinite.
        ResourceError: disk or memory ran out.
    """
    from facegen.training.loop import Trainer

    keep_malloc_memory()
    task = from_dict(info.load(), request.task_settings)
    data = Path(request.data) if request.data else None
    if data is not None and not data.exists():
        raise InputError(f"Expected a data folder at {data}, found nothing there; check the path.")
    trainer = Trainer(task, request.settings, folder, data=data, on_line=on_line, on_progress=on_progress)
    with _write_request(folder / "train.json", request):
        return trainer.train(resume=resume)


@contextmanager
def _write_request(path: Path, request: TrainRequest) -> Iterator[None]:
    """Writes the request into the run folder; if the training refuses it, the previous request is restored."""
    if process_rank():
        yield
        return
    previous = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, request)
    try:
        yield
    except InputError:
        if previous is not None:
            path.write_bytes(previous)
        raise


def export_checkpoint(
    folder: Path, info: TaskInfo, request: TrainRequest, output: Path, *, use_best: bool
) -> dict[str, Path]:
    """Exports the model of a checkpoint, the best or the last, without training on.

    Raises:
        InputError: the folder has no checkpoint.
    """
    from facegen.training import checkpoint as files

    checkpoints = files.list_checkpoints(folder / "checkpoints")
    if not checkpoints:
        raise InputError(f"Expected checkpoints in {folder}, found none; train first.")
    selected = (files.best(checkpoints) if use_best else None) or checkpoints[-1]
    task = from_dict(info.load(), request.task_settings)
    model = task.build_model()
    weights = files.read_tensors(selected, "ema") or files.read_tensors(selected, "model")
    files.load_weights(model, weights, selected.folder)
    output.mkdir(parents=True, exist_ok=True)
    return dict(task.export(model.eval(), output))


def _launch_workers() -> int:
    """`accelerate launch` without its own traceback where a worker fails: the worker has reported its error.

    Returns:
        0, or the exit code of the worker that failed first; 130 where a signal stopped them.
    """
    from accelerate.commands import launch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # the launcher logs a worker's end again, with nothing that the worker has not reported
    logging.disable()
    try:
        launch.main()
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return max(failure.exitcode, 1)
    except SignalException:
        return STOPPED
    return 0


if __name__ == "__main__":
    raise SystemExit(_launch_workers())
