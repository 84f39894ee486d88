"""Seconds a 512x512 frame and a training step of both fields; the reference's frame from a chunk of its rays."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import report
from facegen.device import usable_cores
from facegen.talk.dfrf.choices import ReferenceConfig
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.paint import Painter
from facegen.talk.dfrf.scene import Scene, SceneData
from facegen.talk.dfrf.task import DfrfTask
from facegen.training.precision import is_bfloat16_quick
from facegen.training.task import Draw

_PEER_FRAME, _PEER_STEP = 2028.0, 66.0
"""Seconds that the authors' own code takes on such a machine."""
_ROWS, _RAYS = 1, 85
"""What of the reference field is timed: rows of its box, and rays of a step, a tenth of DFRF's."""


def main(arguments: list[str]) -> None:
    """Run the benchmark on a prepared folder; weights do not matter for the time."""
    parser = argparse.ArgumentParser(prog="benchmarks dfrf_speed", description=__doc__)
    parser.add_argument("prepared", type=Path, help="a folder prepared by «facegen talk train» from 512x512 frames")
    parser.add_argument("--frames", type=int, default=20)
    asked = parser.parse_args(arguments)
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
        f"Reference here: 64 + 128 samples, {_ROWS} row of the head's box and {_RAYS} rays of a step timed, the others reckoned from them.",
        "A frame is drawn whole: plate, box, feather; a step is one head (fast) or 850 rays (reference), forwards and back.",
    ]
    report("dfrf_speed", rows=rows, figures=figures, notes=notes)


def _row(kind: str, folder: Path, count: int) -> dict[str, object]:
    slow = DfrfTask(kind="reference", references=4, faithful=ReferenceConfig(rays=_RAYS))
    task = DfrfTask(kind="fast") if kind == "fast" else slow
    share = 1 if kind == "fast" else ReferenceConfig().rays / _RAYS
    scene = Scene(folder, task.references, torch.device("cpu"))
    model = task.build_model()
    assert isinstance(model, RadianceField)
    painter = Painter(model, scene)
    sounds = scene.sound_windows(scene.sounds, np.array([0]))
    if kind == "fast":
        a_frame = _seconds(lambda: painter.held_back(0), count)
    else:
        view = scene.view([scene.pose(0)], sounds)
        middle = scene.box_hw[0] // 2
        a_chunk = _seconds(lambda: model.draw(view, slice(middle, middle + _ROWS)), 0)
        a_frame = a_chunk * scene.box_hw[0] / _ROWS
    return {
        "field": kind,
        "frame": f"{scene.frame_hw[1]}x{scene.frame_hw[0]}",
        "box": f"{scene.box_hw[1]}x{scene.box_hw[0]}",
        "s a frame": round(a_frame, 3),
        "s a step": round(_step_seconds(task, model, SceneData(scene), 10 if kind == "fast" else 0) * share, 3),
        "weights, million": round(sum(weight.numel() for weight in model.parameters()) / 1e6, 2),
        "threads": torch.get_num_threads(),
    }


def _step_seconds(task: DfrfTask, model: RadianceField, data: SceneData, count: int) -> float:
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)
    draw = Draw(indices=torch.tensor([3]), generator=torch.Generator(), step=0, progress=0.0)
    batch = data.batch(draw)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16_quick(torch.device("cpu"))):
            losses = task.losses(model, batch, progress=0.0, player=0)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()

    return _seconds(step, count)


def _seconds(work: Callable[[], object], count: int) -> float:
    """Median of several after one that is not counted; of a single one where none are asked for."""
    taken = []
    if count:
        work()
    for _ in range(max(count, 1)):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))
