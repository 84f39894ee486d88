"""Writes the new faces of a clip alone, for compositing: 16-bit pictures with alpha, and matrices into the frames.

A folder of 16-bit PNG files, RGB with straight alpha in the pixels of the crop, and `patches.jsonl` with a line a face:
`file_name`, `frame` and `seconds` in the target, `frame_width`, `frame_height`, `track`, and `matrix`, (2, 3) from
pixels of the picture to pixels of the frame, both counted from the centre of the upper left one.
"""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from facegen import media, provenance
from facegen.device import use_one_thread
from facegen.errors import InputError
from facegen.faces import align
from facegen.jobs import Progress
from facegen.swap.clip import ClipPlan
from facegen.swap.engines.protocol import Engine
from facegen.swap.merge.engine import AutoencoderEngine, MergePrediction, MergeStatistics
from facegen.swap.render import WORKERS, PredictedFrame, noise_seed
from facegen.swap.request import SwapRequest, SwapResult

FILE = "patches.jsonl"


def write_patches(plan: ClipPlan, output: str, progress: Progress) -> SwapResult:
    """Write the faces that a trained model predicts for a clip, one picture each, instead of the clip.

    Args:
        plan: the clip, with the engine of a trained model.
        output: the folder, which appears when all is in it.
        progress: reports every frame.

    Raises:
        ResourceError: the folder cannot be written.
        Cancelled: somebody stopped the work; nothing is left of it.
    """
    started = time.perf_counter()
    folder = Path(output)
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        lines = _write(plan, partial, progress)
        (partial / FILE).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    people = len({line["track"] for line in lines})
    seconds = round(time.perf_counter() - started, 3)
    frames = plan.timeline.frame_count
    return SwapResult(output=str(folder), frames=frames, faces=len(lines), people=people, seconds=seconds)


def check_patches(engine: Engine, request: SwapRequest) -> None:
    """Refuse what cannot become patches.

    Raises:
        InputError: the engine is none that was trained, the target is no video, or the folder holds something.
    """
    if not isinstance(engine, AutoencoderEngine):
        raise InputError(
            "Expected a trained model for patches, found the built-in engine; choose --engine autoencoder:RUN or dfm:FILE."
        )
    if media.is_picture(request.target):
        raise InputError("Expected a video for patches, found a picture; choose a video.")
    if engine.merge_options(request.options).mode == "mask":
        raise InputError("Expected another merge mode than mask for patches, which hold their masks as alpha.")
    folder = Path(request.output)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"Expected a new or empty folder at {folder}, found something there; choose another.")


def _write(plan: ClipPlan, folder: Path, progress: Progress) -> list[dict[str, Any]]:
    """Write the patches of all frames; returns a line of `patches.jsonl` for each."""
    timeline = plan.timeline
    lines: list[dict[str, Any]] = []
    with (
        ThreadPoolExecutor(WORKERS, "patches", initializer=use_one_thread) as pool,
        closing(plan.predict(pool)) as predicted,
    ):
        for item in predicted:
            lines += [_write_patch(plan, item, track, folder) for track in item.predictions]
            progress.report_frames("Writing patches,", item.frame.index + 1 - timeline.first, timeline.frame_count)
    return lines


def _write_patch(plan: ClipPlan, item: PredictedFrame, track: int, folder: Path) -> dict[str, Any]:
    """Write one face; returns its line of `patches.jsonl`."""
    engine, frame = plan.engine, item.frame
    prediction, statistics = item.predictions[track], item.statistics[track]
    assert isinstance(engine, AutoencoderEngine)
    assert isinstance(prediction, MergePrediction)
    assert isinstance(statistics, MergeStatistics)
    picture, mask = engine.composite_crop(prediction, statistics, plan.options, seed=noise_seed(frame, track))
    name = f"{frame.index:06d}_{track}.png"
    media.write_deep_picture(folder / name, _to_uint16(picture, mask), metadata={"comment": provenance.NOTICE})
    return {
        "file_name": name,
        "frame": frame.index,
        "seconds": round(frame.pts_seconds, 6),
        "frame_width": prediction.frame_hw[1],
        "frame_height": prediction.frame_hw[0],
        "track": track,
        "matrix": align.invert(prediction.matrix).astype(float).tolist(),
    }


def _to_uint16(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(S, S, 4) uint16 RGBA of a face in [0, 1], watermarked."""
    plain = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    mark = provenance.mark_picture(plain).astype(np.float32) - plain
    whole = np.concatenate([np.clip(picture + mark / 255, 0, 1), mask[..., None]], 2)
    return np.rint(whole * 65535).astype(np.uint16)
