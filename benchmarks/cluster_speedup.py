"""A swap on a cluster of one worker and of two on this machine, without one, and with a worker that is killed in the middle."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import swap_clips
from benchmarks.report import report
from benchmarks.swap_speed import SOURCE
from facegen.jobs.cluster import Cluster
from facegen.swap import SwapPipeline, SwapRequest
from tests.ray_nodes import busy_workers


def main(arguments: list[str]) -> None:
    """Measure each way three times, by turns; with --quick once."""
    rounds = 1 if "--quick" in arguments else 3
    clip = str(swap_clips.square_clip())
    ways = {
        "one process": (0, False),
        "1 worker": (1, False),
        "2 workers": (2, False),
        "2 workers, one killed": (2, True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACEGEN_HOME"] = folder
        for _ in range(rounds):
            for name, (workers, is_killed) in ways.items():
                seconds[name].append(swap(clip, Path(folder) / "swapped.mp4", workers, is_killed=is_killed))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    frames = 375
    rows = [
        {
            "way": name,
            "render, median s": round(median, 1),
            "frames/s": round(frames / median, 1),
            "times 1 worker": round(medians["1 worker"] / median, 2),
        }
        for name, median in medians.items()
    ]
    report(
        "cluster_speedup",
        rows,
        figures={
            "seconds of each round": seconds,
            "s lost by a kill": round(medians["2 workers, one killed"] - medians["2 workers"], 1),
            "load of the machine, one minute": round(os.getloadavg()[0], 1),
        },
        notes=[
            f"{rounds} rounds by turns; 15 s of 512x512; from the first segment that is begun to the joined result. Workers start, "
            "load their models and are then used; one process uses both cores by threads.",
            "The frames of all are equal: tests/swap/test_distributed.py.",
        ],
    )


def swap(clip: str, output: Path, workers: int, *, is_killed: bool) -> float:
    """Seconds of the second pass and of joining."""
    request = SwapRequest(sources=(str(swap_clips.material(SOURCE)),), target=clip, output=str(output))
    begun: list[float] = []
    killed: list[int] = []

    def watch(_fraction: float, text: str) -> None:
        if "Swapping faces" in text:
            begun.append(time.perf_counter())
            if is_killed and not killed and len(begun) > 4:
                for process in busy_workers()[:1]:
                    process.kill()
                    killed.append(process.pid)

    if not workers:
        SwapPipeline()(request, on_progress=watch)
        return time.perf_counter() - begun[0]
    with Cluster("local", cores=workers) as cluster:
        pipeline = SwapPipeline(cluster=cluster)
        # starts the workers and lets each load its models
        pipeline(SwapRequest(sources=request.sources, target=clip, output=str(output.with_name("warm.mp4"))))
        pipeline(request, on_progress=watch)
        assert bool(killed) == is_killed
        return time.perf_counter() - begun[0]
