"""How good a swap trained for two people is after a time budget: identity, expression, pose; beside the mesh engine.

    python -m benchmarks train_swap [--minutes 45] [--fresh] [--set KEY=VALUE] [--run FOLDER] [--sheets FOLDER]

Two proving clips of talking/synthetic, A's beginning and all of B to train on, A's end to merge: frames that no training saw.
What was cut off goes on. Every third frame is measured in the finished videos, by the same detector as in the original.
"""

import argparse
import itertools
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import swap_clips
from benchmarks.report import report
from facegen import media
from facegen.faces import Face, FaceAnalyser, distance
from facegen.facesets import Faceset
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from facegen.swap.autoencoder.training import SwapTrainPipeline
from facegen.swap.jobs import SWAP_TRAIN
from facegen.swap.request import SwapTrainRequest
from facegen.training.logger import read_losses

MEASURES = ("facegen/swap/autoencoder", "facegen/swap/merge", "facegen/training", "weights/autoencoder")
ASKED_NEARER = 0.95
EVERY = 3
SHOWN = 6
CELL = 256
CURVE_MINUTES = (1, 3, 10, 20, 30, 45)


def main(arguments: list[str]) -> None:
    """Train, merge, measure; with --fresh without the pretrained start."""
    options = argparse.ArgumentParser(prog="train_swap")
    options.add_argument("--minutes", type=float, default=45.0)
    options.add_argument("--fresh", action="store_true")
    options.add_argument("--person-a", default="vasa_l3")
    options.add_argument("--person-b", default="vasa_13")
    options.add_argument("--seen-seconds", type=float, default=10.0, help="of A's clip; what follows is merged")
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    options.add_argument("--merge-settings", default="")
    options.add_argument("--run", type=Path)
    options.add_argument("--sheets", type=Path, default=swap_clips.WORK / "train_swap")
    asked = options.parse_args(arguments)
    name = "train_swap_fresh" if asked.fresh else "train_swap"
    run = asked.run or swap_clips.WORK / name / "run"
    seen, target, person_b = cut(asked.person_a, asked.person_b, asked.seen_seconds)
    trained, meshed = asked.sheets / f"{name}.mp4", asked.sheets / "train_swap_mesh.mp4"
    asked.sheets.mkdir(parents=True, exist_ok=True)
    request = SwapTrainRequest(
        person_a=(seen,),
        person_b=(person_b,),
        target=target,
        output=str(trained),
        minutes=asked.minutes,
        fresh=asked.fresh,
        changes=tuple(asked.set),
        merge=asked.merge_settings,
    )
    result = SwapTrainPipeline()(request, SWAP_TRAIN.open_run(request, run))
    pipeline = SwapPipeline()
    pipeline(SwapRequest(sources=(person_b,), target=target, output=str(meshed), options=SwapOptions(faces="largest")))
    known = [centre(run / "people" / who) for who in ("a", "b")]
    originals = pictures(target)
    faces = [largest_face(pipeline.analyser, image) for image in originals]
    rows, shown = [], [originals]
    for engine, path in (("trained", trained), ("mesh", meshed)):
        swapped = pictures(str(path))
        shown.append(swapped)
        rows.append({"engine": engine, **measure_swaps(pipeline.analyser, faces, swapped, *known)})
    media.write_picture(asked.sheets / f"{name}.jpg", sheet(shown, pictures(person_b)))
    report(
        name,
        rows,
        figures={
            "nearer to B": {"found": rows[0]["nearer to B"], "asked": ASKED_NEARER},
            "steps": result.steps,
            "minutes": asked.minutes,
            "settings": asked.set,
            "faces of A and B": [result.faces_a, result.faces_b],
            "loss by minute": curve(run),
        },
        notes=(
            f"{asked.person_a} up to second {asked.seen_seconds:g} and {asked.person_b} to train on, the rest of "
            f"{asked.person_a} merged; every {EVERY}rd frame measured in the finished videos.",
            f"Sheet: {asked.sheets / name}.jpg: the original, the trained engine, the mesh engine; below them B.",
        ),
        measures=MEASURES,
    )


def cut(person_a: str, person_b: str, seconds: float) -> tuple[str, str, str]:
    """The clips of A to train on and to merge, and B's."""
    origin, folder = swap_clips.material(f"talking/synthetic/{person_a}.mp4"), swap_clips.WORK / "train_swap"
    folder.mkdir(parents=True, exist_ok=True)
    length = media.probe(origin).duration_seconds
    made = []
    for part, start, end in (("seen", 0.0, seconds), ("target", seconds + 0.5, length)):
        path = folder / f"{person_a}_{part}_{seconds:g}.mp4"
        if not path.exists():
            media.trim(origin, path, start_seconds=start, end_seconds=end)
        made.append(str(path))
    return made[0], made[1], str(swap_clips.material(f"talking/synthetic/{person_b}.mp4"))


def centre(folder: Path) -> np.ndarray:
    """(128,) the middle of a person's embeddings."""
    known = [record.embedding for record in Faceset.open(folder).records if record.embedding is not None]
    return np.mean(known, axis=0)


def pictures(path: str) -> list[np.ndarray]:
    """Every third frame of a clip."""
    return [frame.image_rgb for frame in media.read_frames(path, every=EVERY)]


def largest_face(analyser: FaceAnalyser, image_rgb: np.ndarray) -> Face | None:
    """The largest face, with its embedding."""
    faces = analyser.detect(image_rgb, max_faces=1)
    return analyser.embed(image_rgb, faces)[0] if faces else None


def measure_swaps(
    analyser: FaceAnalyser,
    originals: Sequence[Face | None],
    swapped: Sequence[np.ndarray],
    known_a: np.ndarray,
    known_b: np.ndarray,
) -> dict[str, Any]:
    """One line of the table."""
    to_a, to_b, jaw, blink, pose = [], [], [], [], []
    lost = 0
    for original, image in zip(originals, swapped, strict=True):
        face = largest_face(analyser, image)
        if original is None or face is None or face.embedding is None:
            lost += 1
            continue
        to_a.append(distance(face.embedding, known_a))
        to_b.append(distance(face.embedding, known_b))
        jaw.append(_gap(face, original, "jawOpen"))
        blink.append((_gap(face, original, "eyeBlinkLeft") + _gap(face, original, "eyeBlinkRight")) / 2)
        pose.append(angle_deg(face.matrix, original.matrix))
    return {
        "nearer to B": round(statistics.mean(b < a for a, b in zip(to_a, to_b, strict=True)), 3),
        "distance to B": round(statistics.median(to_b), 3),
        "distance to A": round(statistics.median(to_a), 3),
        "jawOpen error": round(statistics.mean(jaw), 3),
        "eyeBlink error": round(statistics.mean(blink), 3),
        "pose error (deg)": round(statistics.mean(pose), 2),
        "frames": len(to_b),
        "faces lost": lost,
    }


def _gap(face: Face, original: Face, name: str) -> float:
    return abs(face.blendshape(name) - original.blendshape(name))


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Angle between two head poses; their matrices may be scaled."""
    first, second = (u @ vt for u, _, vt in (np.linalg.svd(m[:3, :3].astype(np.float64)) for m in (a, b)))
    return float(np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))))


def curve(run: Path) -> dict[str, list[float]]:
    """Losses of A and B by minutes of training, each the mean of the ten lines before."""
    made, elapsed, near = {}, 0.0, []
    wanted = iter([*CURVE_MINUTES, np.inf])
    following = next(wanted)
    before = 0
    for line in read_losses(run):
        if "losses" not in line:
            continue
        elapsed += (line["step"] - before) / line["steps_per_second"] / 60
        before = line["step"]
        near = [*near, line["losses"]][-10:]
        if elapsed >= following:
            made[f"{following} min, step {before}"] = [
                round(statistics.mean(losses[who] for losses in near), 3) for who in "AB"
            ]
            following = next(wanted)
    if near:
        made[f"end, step {before}"] = [round(statistics.mean(losses[who] for losses in near), 3) for who in "AB"]
    return made


def sheet(columns: Sequence[Sequence[np.ndarray]], person_b: Sequence[np.ndarray]) -> np.ndarray:
    """(H, W, 3) RGB uint8: a row a kind of picture, moments spread over the clip; B's own face last."""

    def row(images: Sequence[np.ndarray]) -> np.ndarray:
        places = np.linspace(0, len(images) - 1, SHOWN).round().astype(int)
        return np.hstack([cv2.resize(images[n], (CELL, CELL), interpolation=cv2.INTER_AREA) for n in places])

    return np.vstack([row(images) for images in itertools.chain(columns, [person_b])])
