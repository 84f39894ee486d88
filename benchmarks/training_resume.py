"""A training killed with SIGKILL at 20 random moments: does each resume, is a checkpoint lost, are the curves equal?"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import report
from facegen.faces.autoencoder import AutoencoderTask
from facegen.training import checkpoint as files
from facegen.training.logger import read_losses
from facegen.training.loop import Trainer
from facegen.training.settings import OptimiserSettings, TrainSettings

MEASURES = ("facegen/training",)
KILLS = 20
STEPS = 6000
SETTINGS = TrainSettings(
    steps=STEPS,
    batch_size=4,
    save_every=2,
    log_every=1,
    keep=3,
    ema_decay=0.9,
    precision="float32",
    device="cpu",
    optimiser=OptimiserSettings(name="adabelief", rate=1e-3, schedule="cosine", warmup_steps=10, lr_dropout=0.5),
)
TASK = AutoencoderTask(size=32, width=8, code=32)


def main(arguments: list[str]) -> None:
    """Measure; a number sets how many kills."""
    kills = int(arguments[0]) if arguments else KILLS
    torch.set_num_threads(1)
    choose = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        data = _pictures(root / "data")
        rows, in_writes = [], 0
        reached = 0
        for number in range(kills):
            process = _start(root / "run", data, STEPS)
            _wait_until_at_work(root / "run", process)
            wait = choose.uniform(0.0, 1.0)
            time.sleep(wait)
            assert process.is_alive(), "the training ended by itself"
            was_writing = any((root / "run" / "checkpoints").glob(".partial-*"))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            was_writing = was_writing or any((root / "run" / "checkpoints").glob(".partial-*"))
            in_writes += was_writing
            last = _last_step(root / "run")
            rows.append(
                {
                    "kill": number + 1,
                    "after the first step (s)": round(wait, 2),
                    "while writing": was_writing,
                    "last checkpoint": last,
                }
            )
            assert last >= reached, "a checkpoint was lost"
            reached = last
        steps = reached + 10
        _finish(root / "run", data, steps)
        _finish(root / "whole", data, steps)
        curves = [
            {line["step"]: line["losses"] for line in read_losses(root / which) if "losses" in line}
            for which in ("run", "whole")
        ]
        weights = [
            files.read_tensors(files.list_checkpoints(root / which / "checkpoints")[-1], "model")
            for which in ("run", "whole")
        ]
    report(
        "training_resume",
        rows,
        figures={
            "kills": kills,
            "kills that hit a checkpoint being written": in_writes,
            "checkpoints lost": 0,
            "steps compared": len(curves[1]),
            "loss curves equal": curves[0] == curves[1],
            "final weights equal": all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1]),
        },
        notes=(
            "Each life starts from the last checkpoint of the one before; the uninterrupted one has the same seed.",
            "AdaBelief, cosine, lr dropout, running average; a checkpoint every second step, so that kills hit writes.",
        ),
        measures=MEASURES,
    )


def _pictures(folder: Path) -> Path:
    from PIL import Image

    folder.mkdir()
    y, x = np.mgrid[0:32, 0:32] / 8
    for number in range(40):
        planes = [np.sin(x + number + k) * np.cos(y - number * 0.7 + k) for k in range(3)]
        Image.fromarray((127.5 + 120 * np.stack(planes, -1)).astype(np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def _train(folder: Path, data: Path, steps: int) -> None:
    # the schedule spans STEPS in every life; a shorter run is ended by its own last step
    settings = replace(SETTINGS, steps=STEPS)

    def stop(share: float, words: str) -> None:
        if share * STEPS >= steps:
            trainer.stop_requested.set()

    trainer = Trainer(TASK, settings, folder, data=data, on_line=lambda line: None, on_progress=stop)
    trainer.train(resume=True)


def _start(folder: Path, data: Path, steps: int) -> multiprocessing.Process:
    """The training in a forked process: torch is loaded already, so that kills hit the work and not the imports."""
    process = multiprocessing.get_context("fork").Process(target=_train, args=(folder, data, steps))
    process.start()
    return process  # type: ignore[return-value]


def _wait_until_at_work(folder: Path, process: multiprocessing.Process) -> None:
    """Returns once this life has written its first line of losses; its start alone would teach nothing."""
    path = folder / "losses.jsonl"
    began = time.time()
    while process.is_alive() and not (path.exists() and path.stat().st_size and path.stat().st_mtime > began + 0.3):
        time.sleep(0.02)


def _finish(folder: Path, data: Path, steps: int) -> None:
    process = _start(folder, data, steps)
    process.join()
    assert process.exitcode == 0, f"the training of {steps} steps did not end well"


def _last_step(folder: Path) -> int:
    """The last checkpoint, every file of which can be read."""
    found = files.list_checkpoints(folder / "checkpoints")
    for each in found:
        for name in ("model", "ema", "optimiser0"):
            files.read_tensors(each, name)
    return found[-1].step if found else 0
