"""Training speed of swaps for two people: steps a second, memory and falling loss of the reference's default."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from benchmarks.report import report
from facegen.config import from_dict, override
from facegen.swap.autoencoder.people import People
from facegen.swap.autoencoder.samples import TwoPeople
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.tasks import SAEHD
from facegen.training.feed import Feed
from facegen.training.request import make_request
from facegen.training.stepper import Stepper

PEER_STEPS = 0.366
"""DeepFaceLab's SAEHD liae-ud 128, batch 4, on 2 cores (facts/peers_speed.md)."""
PEER_YARDSTICK = 17.2
"""Convolution steps a second of the machine then, middle of what was measured round it."""
WARM_UP = 2


def main(arguments: list[str]) -> None:
    """Swap training: steps/s of SAEHD liae-ud 128 (82.4 M parameters, batch 4) on random pictures."""
    options = argparse.ArgumentParser(prog="train_swap_speed")
    options.add_argument("--steps", type=int, default=8, help="steps that are timed")
    options.add_argument("--optimiser", default="adabelief")
    asked = options.parse_args(arguments)
    request = make_request(SAEHD, preset="default", changes=[f"optimiser.name={asked.optimiser}"])
    settings = override(request.settings, ["device=cpu"])
    task = from_dict(SaehdTask, request.task_settings)
    data = TwoPeople(_random_people(task.resolution, 0), _random_people(task.resolution, 1), task, torch.device("cpu"))
    stepper = Stepper(task, settings, print)
    feed = Feed(data, seed=0, batch_size=settings.batch_size, slots=1, own_slots=range(1), progress=lambda _: 0.0)
    losses = []
    started = time.perf_counter()
    for step in range(WARM_UP + asked.steps):
        if step == WARM_UP:
            started = time.perf_counter()
        found = stepper.step(feed.batches(step), step, 0.0, 1.0)
        losses.append(sum(found.values()))
    rate = asked.steps / (time.perf_counter() - started)
    feed.close()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    parameters = sum(p.numel() for p in stepper.model.parameters()) / 1e6
    row = {
        "model": "saehd liae-ud 128, batch 4",
        "parameters": f"{parameters:.1f} M",
        "steps/s": round(rate, 3),
        "peak memory": f"{peak:.0f} MB",
        "loss": f"{losses[0]:.3f} to {losses[-1]:.3f}",
    }
    path = report(
        "train_swap_speed", rows=[row], figures={"steps_per_s": rate, "peak_mb": peak, "peer_steps_per_s": PEER_STEPS}
    )
    _compare(path, rate)


def _random_people(resolution: int, seed: int) -> People:
    random = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (16, 3, resolution, resolution), generator=random, dtype=torch.uint8)
    masks = torch.full((16, 1, resolution, resolution), 255, dtype=torch.uint8)
    return People(
        pictures=pictures, masks=masks, features=masks, yaw_bins=torch.zeros(16, dtype=torch.int64), skipped=()
    )


def _compare(path: Path, rate: float) -> None:
    """Says how many times the peer's speed this is, each divided by its machine's yardstick of that hour."""
    from facegen.config import read_json, write_json

    content = read_json(path)
    own = rate / content["machine"]["yardstick"]["conv_steps_per_s"]
    times = own / (PEER_STEPS / PEER_YARDSTICK)
    content["figures"]["times_the_peer"] = times
    write_json(path, content)
    print(f"{times:.2f} times DeepFaceLab's speed, by the yardstick of the hour")
