"""Two processes train to the same weights as one with the same global batch, and end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from facegen.jobs import Run
from facegen.training import checkpoint as files


def train(folder: Path, pictures: Path, *more: str) -> dict[str, torch.Tensor]:
    """`facegen train autoencoder`, four steps; its last weights."""
    arguments = ["--preset", "tiny", "--data", str(pictures), "--run", str(folder), "--steps", "4"]
    settings = ["--set", "device=cpu", "--set", "precision=float32", "--set", "batch=2"]
    command = [sys.executable, "-m", "facegen", "train", "autoencoder", *arguments, *settings, *more]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return files.read_tensors(files.list_checkpoints(folder / "checkpoints")[-1], "model")


@pytest.mark.slow
def test_two_processes_equal_one(pictures: Path, tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", pictures, "--set", "accumulate=2")
    together = train(tmp_path / "together", pictures, "--processes", "2")
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, atol=2e-6, rtol=1e-5)


@pytest.mark.slow
def test_what_stops_a_worker_is_said_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facegen", "train", "autoencoder", "--preset", "tiny", "--processes", "2"]
    done = subprocess.run(
        [*command, "--data", str(tmp_path), "--run", str(tmp_path / "run")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 2
    assert f"Expected pictures in {tmp_path}, found none" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ended with exit code 2" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_stopping_the_command_stops_its_workers_with_a_checkpoint(pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "facegen", "train", "autoencoder", "--preset", "tiny", "--processes", "2"]
    working = subprocess.Popen(
        [*command, "--data", str(pictures), "--run", str(run), "--steps", "100000", "--set", "device=cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    started = time.monotonic()
    while not files.list_checkpoints(run / "checkpoints") and time.monotonic() - started < 120:
        time.sleep(0.2)
    working.send_signal(signal.SIGTERM)
    words = working.communicate(timeout=60)[0]
    assert working.returncode == 130
    assert "Traceback" not in words, words[-6000:]
    assert Run.open(run).status().state == "cancelled"
