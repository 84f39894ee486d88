"""The face parser on held-back pictures: IoU by class, how much of a held-up thing is cut out, time a crop."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import division, swap_clips
from benchmarks.report import estimate, report
from facegen.device import usable_cores
from facegen.errors import InputError
from facegen.faces.parse import BACKGROUND, CLASSES, FACE
from facegen.faces.parse.data import LabelledPictures, read_labelled
from facegen.faces.parse.occluders import add_occluders
from facegen.faces.parse.parser import FaceParser
from facegen.faces.parse.task import PALETTE_RGB

MEASURES = ("facegen/faces/parse", "weights/parser")
DATA = division.DATA / "faces" / "celebamask"
AIMS = {
    "background": 0.90,
    "skin": 0.90,
    "hair": 0.85,
    "left_eye": 0.70,
    "right_eye": 0.70,
    "upper_lip": 0.70,
    "lower_lip": 0.70,
}


def main(arguments: list[str]) -> None:
    """Measure; --quality leaves out times, for a machine that others load; --sheet PATH also writes a contact sheet of the held-back pictures."""
    if not DATA.is_dir():
        raise InputError(f"Expected the local material in {DATA}, found none; this benchmark needs it.")
    pictures = read_labelled(DATA)[0]
    is_proving = np.array(
        [division.part_of(f"faces/celebamask/images/{name}.jpg") == "proving" for name in pictures.names]
    )
    held_back = pictures.take(np.flatnonzero(is_proving).tolist())
    # of the pictures that were trained on as many are enough to compare with
    learned = pictures.take(np.flatnonzero(~is_proving)[:: round(np.mean(~is_proving) / np.mean(is_proving))].tolist())
    parser = FaceParser()
    found = _parse(parser, held_back)
    truth = held_back.labels.numpy()
    by_part = [(truth, found), (learned.labels.numpy(), _parse(parser, learned))]
    rows = []
    for number, name in enumerate(CLASSES):
        if np.any(truth == number):
            proving, tuning = (_overlap(*each, number) for each in by_part)
            rows.append({"class": name, "IoU": proving, "tuning": tuning, "aim": AIMS.get(name, "")})
    report(
        "parser",
        rows,
        figures={
            "held-back pictures": len(held_back),
            "mean IoU": _mean([row["IoU"]["measured"] for row in rows]),
            "mean IoU, tuning": _mean([row["tuning"]["measured"] for row in rows]),
            **_face_outline(found, truth),
            **_measure_occlusion(parser, held_back),
            **({} if "--quality" in arguments else {**_milliseconds(), **_in_a_swap()}),
        },
        notes=(
            "IoU over all pixels of all held-back pictures, through FaceParser.parse, which users run.",
            "In a swap, where it is measured: 4 seconds of a talking face at 512x512; each frame is drawn by one thread, the cores side by side.",
            "Things held up: drawn hands, microphones and cards on the held-back pictures, with a seed of their own.",
        ),
        measures=MEASURES,
    )
    if "--sheet" in arguments:
        _write_sheet(held_back, found, Path(arguments[arguments.index("--sheet") + 1]))


def _parse(parser: FaceParser, data: LabelledPictures) -> np.ndarray:
    """(N, 256, 256) classes."""
    crops = data.pictures.permute(0, 2, 3, 1).numpy()
    return np.concatenate([parser.parse(crops[i : i + 20]).argmax(1) for i in range(0, len(crops), 20)])


def _mean(values: list[float | None]) -> float:
    """Of the classes that a part shows."""
    return round(statistics.mean(value for value in values if value is not None), 4)


def _overlap(truth: np.ndarray, found: np.ndarray, number: int) -> dict[str, Any]:
    """IoU of a class over all pixels, with its interval over pictures."""
    both = ((found == number) & (truth == number)).sum((1, 2))
    either = ((found == number) | (truth == number)).sum((1, 2))
    if not either.any():
        return {"measured": None, "interval": None}

    def ratio(counts: np.ndarray) -> float:
        joint, union = counts.sum(0)
        return float(joint / union) if union else np.nan

    return estimate(list(np.stack([both, either], 1)[:, None]), ratio)


def _face_outline(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """IoU of everything that a swap replaces, as one region."""
    a, b = np.isin(found, FACE), np.isin(truth, FACE)
    return {"IoU of the face as one region": round(float(np.sum(a & b) / np.sum(a | b)), 4)}


def _measure_occlusion(parser: FaceParser, data: LabelledPictures) -> dict[str, float]:
    """How much of the things drawn over faces is seen as «not face», and how much of the face left free stays face."""
    pictures, labels = add_occluders(
        data.pictures.float() / 255, data.labels.long(), torch.Generator().manual_seed(12345)
    )
    drawn = LabelledPictures(pictures=(pictures * 255).byte(), labels=labels, names=data.names)
    found = np.isin(_parse(parser, drawn), FACE)
    before, after = np.isin(data.labels.numpy(), FACE), labels.numpy()
    covered = before & (after == BACKGROUND)
    free = np.isin(after, FACE) & covered.any((1, 2))[:, None, None]
    return {
        "share of the things over faces that is cut out": round(float(np.mean(~found[covered])), 4),
        "share of the face beside them that stays": round(float(np.mean(found[free])), 4),
    }


def _milliseconds() -> dict[str, float]:
    """Median time a crop, alone and in batches of eight: processor time of one core, and by the clock on all cores."""
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (8, 256, 256, 3), dtype=np.uint8)
    times = {}
    for label, threads, clock in (("of one core", 1, time.process_time), ("on all cores", 0, time.perf_counter)):
        parser = FaceParser("cpu", threads)
        for count in (1, 8):
            seconds = []
            for _ in range(20 if count == 1 else 6):
                started = clock()
                parser.parse(crops[:count])
                seconds.append(clock() - started)
            times[f"ms {label} a crop, {count} at once"] = round(1000 * statistics.median(seconds) / count, 2)
    return times


def _in_a_swap() -> dict[str, float]:
    """What the parser takes of a swap: processor time of all its calls, shared among frames and cores."""
    from facegen.swap import SwapOptions, SwapPipeline, SwapRequest

    seconds: list[float] = []
    shares = FaceParser.group_probabilities

    def timed_shares(parser: FaceParser, crops_rgb: np.ndarray, *groups: Sequence[int]) -> np.ndarray:
        started = time.thread_time()
        found = shares(parser, crops_rgb, *groups)
        seconds.append(time.thread_time() - started)
        return found

    with tempfile.TemporaryDirectory() as folder:
        request = SwapRequest(
            sources=(str(swap_clips.material("portraits/synthetic/female_00_1024.jpg")),),
            target=str(swap_clips.square_clip()),
            output=str(Path(folder) / "swapped.mp4"),
            options=SwapOptions(end_seconds=4.0),
        )
        FaceParser.group_probabilities = timed_shares  # type: ignore[method-assign]
        try:
            frames = SwapPipeline()(request).frames
        finally:
            FaceParser.group_probabilities = shares  # type: ignore[method-assign]
    spent = 1000 * sum(seconds) / frames
    return {
        "crops parsed a frame of a swap": round(len(seconds) / frames, 3),
        "ms of one core a frame of a swap": round(spent, 2),
        "ms a frame of a swap, amortised over the cores": round(spent / usable_cores(), 2),
    }


def _write_sheet(data: LabelledPictures, found: np.ndarray, path: Path) -> None:
    from PIL import Image

    rows = []
    for start in range(0, min(32, len(data)), 8):
        pictures = data.pictures[start : start + 8].permute(0, 2, 3, 1).numpy()
        for images in (pictures, PALETTE_RGB[found[start : start + 8]], PALETTE_RGB[data.labels[start : start + 8]]):
            rows.append(np.concatenate(list(images), 1))
    Image.fromarray(np.concatenate(rows)).resize((1024, 1536)).save(path)
