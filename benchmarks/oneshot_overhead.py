"""What a one-shot swap costs besides its network: the pipeline with a stand-in that is free, and with one of real size."""

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import swap_clips
from benchmarks.report import report
from facegen import hub, media
from facegen.catalog import find_weight
from facegen.device import usable_cores
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from tests.onnx_graph import Graph, number
from tests.swap.oneshot.stand_ins import EMAP, write_arcface, write_swap_model

SOURCE = "portraits/synthetic/female_00_1024.jpg"
FREE, REAL = "hyperswap-1a-256", "inswapper-128"
REAL_SECONDS = 0.24
"""How much of the clip goes through the network of real size."""


def main(arguments: list[str]) -> None:
    """Measure; with --quick without the network of real size."""
    clip = swap_clips.square_clip()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        place_files(Path(folder), is_real_needed="--quick" not in arguments)
        pipeline = SwapPipeline(on_line=lambda _: None)
        free = SwapOptions(engine=FREE)
        measure(pipeline, clip, Path(folder), replace(free, end_seconds=1.0))  # imports and models
        for words, options in (
            ("free network, without masks", replace(free, occlusion=False)),
            ("free network, embedded parser's masks", free),
            ("free network, 2x pixel boost, without masks", replace(free, occlusion=False, pixel_boost=2)),
        ):
            rows.append({"what": words, **measure(pipeline, clip, Path(folder), options)})
        if "--quick" not in arguments:
            options = SwapOptions(engine=REAL, end_seconds=REAL_SECONDS)
            rows.append({"what": "network of inswapper's size", **measure(pipeline, clip, Path(folder), options)})
    rows.append(plain(clip))
    report(
        "oneshot_overhead",
        rows,
        notes=(
            "The clip was analysed before: second pass, sound and signature. CPU ms: processor time of the whole process by frames, all "
            f"threads; with {usable_cores()} cores to itself a process could do (cores x 1000 / CPU ms) frames/s.",
            "Stages overlap and run in two threads; their ms are wall-clock time of the thread that works.",
            "free network: a graph that gives back its target, 256 pixels. Of inswapper's size: 138 million random weights in "
            "its layers, 128 pixels, on the CPU.",
        ),
    )


def plain(clip: Path) -> dict[str, Any]:
    """Decode and encode the clip with its sound, nothing in between."""
    info = media.probe(clip)
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        media.write_video(Path(folder) / "plain.mp4", media.read_frames(clip), info, sound_from=clip)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"what": "decode and encode alone", **rates(info.frame_count, wall, cpu)}


def rates(frames: int, wall: float, cpu: float) -> dict[str, Any]:
    """Frames a second, and what the processor could do if nothing else ran."""
    return {
        "frames/s": round(frames / wall, 1),
        "CPU ms a frame": round(1000 * cpu / frames, 2),
        "frames/s by CPU": round(frames * usable_cores() / cpu, 1),
    }


def measure(pipeline: SwapPipeline, clip: Path, folder: Path, options: SwapOptions) -> dict[str, Any]:
    """The second pass of one swap."""
    source, output = swap_clips.material(SOURCE), folder / "swapped.mp4"
    request = SwapRequest(sources=(str(source),), target=str(clip), output=str(output), options=options)
    pipeline.find_people(str(clip), options)
    pipeline.preview(request, seconds=0.2)
    cpu = time.process_time()
    result = pipeline(request)
    cpu = time.process_time() - cpu
    stages = {name: seconds for name, seconds in result.stages.items() if name not in ("probe", "sources", "analyse")}
    return {
        **rates(result.frames, result.seconds, cpu),
        **{
            f"{name} ms": round(1000 * seconds / result.frames, 2) for name, seconds in stages.items() if name != "join"
        },
    }


def place_files(folder: Path, *, is_real_needed: bool) -> None:
    """Put stand-ins into a facegen home of the benchmark's own."""
    os.environ["FACEGEN_HOME"] = str(folder / "home")
    files = {
        FREE: write_swap_model(FREE, folder / "free.onnx"),
        "arcface-w600k": write_arcface(folder / "arcface.onnx"),
    }
    if is_real_needed:
        files[REAL] = write_inswapper(folder / "real.onnx")
    for name, path in files.items():
        hub.use_custom(find_weight(name), path)
        path.unlink()


def write_inswapper(path: Path) -> Path:
    """A network of inswapper's layers and size with random weights: 4 convolutions, 6 apply_style blocks, 4 convolutions."""
    graph, random = Graph(), np.random.default_rng(0)

    def convolve(x: str, given: int, made: int, kernel: int = 3, stride: int = 1) -> str:
        weights = (
            random.standard_normal((made, given, kernel, kernel), np.float32) / np.float32(given * kernel**2) ** 0.5
        )
        return graph.node("Conv", x, weights, pads=[kernel // 2] * 4, strides=[stride, stride])

    def apply_style(x: str) -> str:
        style = graph.node("MatMul", "source", random.standard_normal((512, 2048), np.float32) * np.float32(0.01))
        style = graph.node("Reshape", style, np.array([1, 2048, 1, 1]))
        scale, shift = (graph.node("Gather", style, np.arange(1024) + begin, axis=1) for begin in (0, 1024))
        x = convolve(x, 1024, 1024)
        mean = graph.node("ReduceMean", x, np.array([2, 3]))
        offset = graph.node("Sub", x, mean)
        variance = graph.node("ReduceMean", graph.node("Mul", offset, offset), np.array([2, 3]))
        x = graph.node("Div", offset, graph.node("Sqrt", graph.node("Add", variance, number(1e-8))))
        return graph.node("Add", graph.node("Mul", x, scale), shift)

    x = "target"
    for given, made, kernel, stride in ((3, 128, 7, 1), (128, 256, 3, 1), (256, 512, 3, 2), (512, 1024, 3, 2)):
        x = graph.node("LeakyRelu", convolve(x, given, made, kernel, stride), alpha=0.2)
    for _ in range(6):
        x = graph.node("Add", x, apply_style(graph.node("Relu", apply_style(x))))
    for given, made, is_larger in ((1024, 512, True), (512, 256, True), (256, 128, False)):
        if is_larger:
            x = graph.node("Resize", x, "", np.array([1, 1, 2, 2], np.float32), mode="linear")
        x = graph.node("LeakyRelu", convolve(x, given, made), alpha=0.2)
    x = graph.node("Tanh", convolve(x, 128, 3, 7))
    x = graph.node("Mul", graph.node("Add", x, number(1)), number(0.5))
    graph.constant(EMAP)
    return graph.save(path, {"target": (1, 3, 128, 128), "source": (1, 512)}, x, (1, 3, 128, 128))


if __name__ == "__main__":
    main(sys.argv[1:])
