"""How long a slider takes to become a picture."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report import repeated, report
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import Sliders

MEASURES = ("facegen/generate", "weights/generate")
BOUNDS = {"slider, 128 px": 0.050, "slider, retouched": 0.250}


def main(arguments: list[str]) -> None:
    """Times one picture with and without retouch, and batches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args(arguments)
    pipeline = GeneratePipeline()
    face, faces = (pipeline.retouch(pipeline.sample(seeds)) for seeds in ([7], range(16)))
    values = iter(np.tile(np.linspace(0, 1, 50), 20))

    def slider(retouch: bool) -> Callable[[], object]:
        return lambda: pipeline.draw(face, replace(Sliders(), mouth=float(next(values))), retouch=retouch)

    rows, times = [], {}
    for name, work, count in (
        ("slider, 128 px", slider(False), 1),
        ("slider, retouched", slider(True), 1),
        ("16 at once, 128 px", lambda: pipeline.draw(faces, Sliders(), retouch=False), 16),
        ("16 at once, retouched", lambda: pipeline.draw(faces, Sliders(), retouch=True), 16),
        ("another face, 128 px", lambda: pipeline.draw(pipeline.sample([11]), Sliders(), retouch=False), 1),
        ("another face, retouched", lambda: pipeline.draw(pipeline.sample([11]), Sliders()), 1),
    ):
        times[name] = _time(work, asked.repeats if count == 1 else 5)
        seconds = statistics.median(times[name])
        rows.append({"work": name, "ms": 1000 * seconds, "pictures/s": count / seconds})
    peak, reached = _peak(), _arithmetic(pipeline) / (rows[2]["ms"] / 1000 / 16)
    report(
        "generate_speed",
        rows,
        figures={
            **{f"{name} (ms)": repeated([1000 * seconds for seconds in found]) for name, found in times.items()},
            "GFLOP of one picture (128 px)": _arithmetic(pipeline) / 1e9,
            "share of the machine's peak bfloat16 arithmetic, 16 at once": reached / peak,
            "peak GFLOP/s (matrix product)": peak / 1e9,
            "bounds (s)": BOUNDS,
        },
        notes=[f"Median of {asked.repeats} pictures."],
        measures=MEASURES,
    )


def _time(work: Callable[[], object], repeats: int) -> list[float]:
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def _arithmetic(pipeline: GeneratePipeline) -> float:
    """Floating-point operations of one picture."""
    with FlopCounterMode(display=False) as counter:
        pipeline.draw(pipeline.sample([1]), Sliders(), retouch=False)
    return float(counter.get_total_flops())


def _peak() -> float:
    """Operations a second of a large bfloat16 matrix product."""
    a = torch.randn(2048, 2048, dtype=torch.bfloat16)
    seconds = statistics.median(_time(lambda: a @ a, 5))
    return 2 * 2048**3 / seconds
