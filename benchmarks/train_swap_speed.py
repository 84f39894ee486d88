"""Training speed of swaps for two people: steps a second, memory and falling loss of the reference's default."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import report
from facegen.config import from_dict, override
from facegen.device import keep_malloc_memory
from facegen.media import write_picture
from facegen.swap.autoencoder.data import PersonFaces, SaehdData
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.tasks import SAEHD
from facegen.training.loader import BatchLoader
from facegen.training.request import make_request
from facegen.training.stepper import Stepper

MEASURES = ("facegen/swap/autoencoder", "facegen/training")
PEERS = {"default": 0.366, "original": 0.352, "dfaker": 0.152, "villain": 0.036}
"""Steps a second of DeepFaceLab (SAEHD liae-ud 128, batch 4) and faceswap (batch 8) on 2 cores (facts/peers_speed.md)."""
PEER_YARDSTICK = 17.2
"""Convolution steps a second of the machine then, middle of what was measured round it."""
WARM_UP = 2
MOST_SECONDS = 60.0
"""After so long no further step of a model is begun, once three have been timed."""


def main(arguments: list[str]) -> None:
    """Swap training: steps/s of SAEHD liae-ud 128 (82.4 M parameters, batch 4) and of faceswap's models (batch 8)."""
    options = argparse.ArgumentParser(prog="train_swap_speed")
    options.add_argument("--presets", default=",".join(PEERS), help="what is trained, separated by commas")
    options.add_argument("--steps", type=int, default=8, help="steps that are timed")
    options.add_argument("--data", type=Path, help="facesets a and b; random pictures without")
    options.add_argument("--previews", type=Path, help="folder for a picture of what each has learnt (with --data)")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    asked = options.parse_args(arguments)
    keep_malloc_memory()  # as every training does
    rows = [_row(preset, asked) for preset in asked.presets.split(",")]
    figures = {f"{row['model']}_steps_per_s": row["steps/s"] for row in rows}
    path = report("train_swap_speed", rows=rows, figures=figures, measures=MEASURES)
    _compare(path)


def _row(preset: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Trains a moment and says how quick that was."""
    request = make_request(SAEHD, preset=preset, changes=asked.set)
    settings = override(request.settings, ["device=cpu"])
    task = from_dict(SaehdTask, request.task_settings)
    device = torch.device("cpu")
    if asked.data is not None:
        data = SaehdData.load(asked.data, task, device)
    else:
        data = SaehdData(_random_people(task.resolution, 0), _random_people(task.resolution, 1), task, device)
    stepper = Stepper(task, settings, print)
    loader = BatchLoader(
        data, seed=0, batch_size=settings.batch_size, slots=1, local_slots=range(1), progress=lambda _: 0.0
    )
    losses: list[float] = []
    times: list[float] = []
    begun = time.perf_counter()
    for step in range(WARM_UP + asked.steps):
        started = time.perf_counter()
        if len(times) >= WARM_UP + 3 and started - begun > MOST_SECONDS:
            break
        losses.append(sum(stepper.step(loader.batches(step), step, 0.0, 1.0).values()))
        times.append(time.perf_counter() - started)
    loader.close()
    if asked.previews is not None and asked.data is not None:
        asked.previews.mkdir(parents=True, exist_ok=True)
        preview = task.preview(stepper.averaged_model, data)
        if preview is not None:
            write_picture(asked.previews / f"{preset}.png", preview)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    return {
        "model": preset,
        "batch": settings.batch_size,
        "parameters": f"{sum(p.numel() for p in stepper.model.parameters()) / 1e6:.1f} M",
        "steps/s": round(len(times[WARM_UP:]) / sum(times[WARM_UP:]), 3),
        "best step": f"{min(times):.2f} s",
        "peak memory so far": f"{peak:.0f} MB",
        "loss": f"{losses[0]:.2f} to {sum(losses[-3:]) / len(losses[-3:]):.2f}",
    }


def _random_people(resolution: int, seed: int) -> PersonFaces:
    random = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (16, 3, resolution, resolution), generator=random, dtype=torch.uint8)
    masks = torch.full((16, 1, resolution, resolution), 255, dtype=torch.uint8)
    bins = torch.zeros(16, dtype=torch.int64)
    return PersonFaces(pictures=pictures, masks=masks, features=masks, yaw_bins=bins, names=(), skipped=())


def _compare(path: Path) -> None:
    """Says how many times the peers' speed this is, each divided by its machine's yardstick of that hour."""
    from facegen.config import write_json
    from facegen.json_file import read_json

    content = read_json(path)
    yardstick = content["machine"]["yardstick"]["conv_steps_per_s"] / PEER_YARDSTICK
    for row in content["rows"]:
        if row["model"] in PEERS:
            times = row["steps/s"] / PEERS[row["model"]] / yardstick
            content["figures"][f"{row['model']}_times_the_peer"] = round(times, 2)
            print(f"{row['model']}: {times:.2f} times its peer's speed, by the yardstick of the hour")
    write_json(path, content)
