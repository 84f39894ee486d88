"""Seconds a 512x512 frame and a training step of both fields; the reference's frame from a chunk of its rays."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import report
from facegen.device import is_bfloat16_fast, keep_malloc_memory, usable_cores
from facegen.talk.dfrf.audio import select_windows
from facegen.talk.dfrf.dataset import Scene, SceneDataset
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.rendering import FrameRenderer
from facegen.talk.dfrf.task import DfrfTask
from facegen.training.task import BatchSpec

MEASURES = ("facegen/talk/dfrf", "facegen/training")
_PEER_FRAME, _PEER_STEP = 2028.0, 66.0
"""Seconds that the authors' own code takes on such a machine."""
_ROWS = 4
"""Rows of the reference field's box that are timed beside a single one: what each costs, and what is done once a frame."""


def main(arguments: list[str]) -> None:
    """Run the benchmark on a prepared folder; weights do not matter for the time."""
    parser = argparse.ArgumentParser(prog="benchmarks dfrf_speed", description=__doc__)
    parser.add_argument("prepared", type=Path, help="a folder prepared by «facegen talk train» from 512x512 frames")
    parser.add_argument("--frames", type=int, default=20)
    asked = parser.parse_args(arguments)
    keep_malloc_memory()
    torch.set_num_threads(usable_cores())
    rows = [_row(kind, asked.prepared, asked.frames) for kind in ("fast", "reference")]
    fast, slow = rows
    figures = {
        "fast, s a frame": fast["s a frame"],
        "quicker than the authors' frame": round(_PEER_FRAME / float(str(fast["s a frame"]))),
        "fast, s a step": fast["s a step"],
        "quicker than the authors' step": round(_PEER_STEP / float(str(fast["s a step"]))),
        "reference, s a frame": slow["s a frame"],
        "reference, s a step": slow["s a step"],
    }
    notes = [
        f"The authors' code: {_PEER_FRAME:g} s a frame (32 + 64 samples), {_PEER_STEP:g} s a step, on such a machine. "
        f"Reference here: 64 + 128 samples; a whole step, and a frame reckoned from one row and {1 + _ROWS} rows of its box.",
        "A frame is drawn whole: plate, box, feather; a step is one head (fast) or 850 rays (reference), forwards and back.",
        "Core s: the process's own time on all cores, in which other work on the machine is not counted.",
    ]
    report("dfrf_speed", rows=rows, figures=figures, notes=notes, measures=MEASURES)


def _row(kind: str, folder: Path, count: int) -> dict[str, object]:
    task = DfrfTask(kind="fast", surface=True) if kind == "fast" else DfrfTask(kind="reference", references=4)
    scene = Scene(folder, task.references, torch.device("cpu"), has_surface=task.surface)
    model = task.build_model()
    assert isinstance(model, RadianceField)
    renderer = FrameRenderer(model, scene)
    if kind == "fast":
        a_frame = _seconds(lambda: renderer.render_video_frame(0), count)
    else:
        batch = scene.build_batch([scene.frame_view(0)], select_windows(scene.audio_features, np.array([0])))
        middle, height = scene.box_hw[0] // 2, scene.box_hw[0]
        one = _seconds(lambda: _render(model, batch, middle, 1), 0)
        more = _seconds(lambda: _render(model, batch, middle, 1 + _ROWS), 0)
        a_frame = one + (height - 1) * np.maximum(more - one, 0) / _ROWS
    a_step = _step_seconds(task, model, SceneDataset(scene), 10 if kind == "fast" else 0)
    return {
        "field": kind,
        "frame": f"{scene.frame_hw[1]}x{scene.frame_hw[0]}",
        "box": f"{scene.box_hw[1]}x{scene.box_hw[0]}",
        "s a frame": round(float(a_frame[0]), 3),
        "s a step": round(float(a_step[0]), 3),
        "core s a frame": round(float(a_frame[1]), 3),
        "core s a step": round(float(a_step[1]), 3),
        "weights, million": round(sum(weight.numel() for weight in model.parameters()) / 1e6, 2),
        "threads": torch.get_num_threads(),
    }


def _render(model: RadianceField, batch: dict[str, torch.Tensor], first: int, count: int) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16_fast(torch.device("cpu"))):
        model.eval().render(batch, slice(first, first + count))


def _step_seconds(task: DfrfTask, model: RadianceField, data: SceneDataset, count: int) -> np.ndarray:
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    spec = BatchSpec(indices=torch.tensor([3]), generator=torch.Generator(), step=0, progress=0.0)
    batch = data.batch(spec)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16_fast(torch.device("cpu"))):
            losses = task.losses(model, batch, progress=0.0, group=0)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()

    return _seconds(step, count)


def _seconds(work: Callable[[], object], count: int) -> np.ndarray:
    """(2,) by the clock and of the cores: medians of several after one that is not counted, or a single one."""
    taken = []
    if count:
        work()
    for _ in range(max(count, 1)):
        started, used = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - started, time.process_time() - used))
    return np.median(taken, 0)
