"""Does each slider move what it says, and that only? Measured by MediaPipe, the parser and dlib on the results."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.report import estimate, report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.attributes.measure import measure_faces
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import write_picture

MEASURES = ("facegen/generate", "weights/generate")
BOUNDS = {"spearman": 0.90, "span": 0.70, "leak": 0.15, "person": 0.45}


def main(arguments: list[str]) -> None:
    """Sweeps every slider for some seeds and measures all five values and the person at each step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--sliders", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--sheet-seeds", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="without the retouch")
    parser.add_argument("--size", type=int, choices=(256, 512), default=512)
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no further seed after this time; 0: no limit")
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/generate_control.png"))
    asked = parser.parse_args(arguments)
    pipeline, analyser = GeneratePipeline(), FaceAnalyser()
    started, done, lost = time.monotonic(), 0, 0
    found: dict[str, list[Sweep]] = {name: [] for name in asked.sliders}
    strips: dict[str, list[np.ndarray]] = {name: [] for name in asked.sliders}
    for seed in range(asked.seeds):
        if asked.minutes and time.monotonic() - started > 60 * asked.minutes:
            break
        face = pipeline.sample([seed])
        face = face if asked.plain else pipeline.retouch(face)
        for name in asked.sliders:
            base = replace(Sliders(), **({"eyes": 0.8} if name != "eyes" else {}))
            drawn = pipeline.sweep(face, base, name, steps=asked.steps, retouch=not asked.plain)
            pictures = [_resize(picture) for picture in (drawn if asked.plain else pipeline.enlarge(drawn, asked.size))]
            values, faces = measure_faces(analyser, pictures)
            lost += sum(face is None for face in faces)
            if seed < asked.sheet_seeds:
                strips[name].append(np.concatenate(pictures, 1))
            if np.isfinite(values[:, NAMES.index(name)]).sum() >= asked.steps - 1:
                found[name].append(_sweep(name, values, _person(analyser, pictures, faces)))
        done += 1
    rows = [_row(name, found[name]) for name in asked.sliders]
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_picture(asked.sheet, np.concatenate([strip for several in strips.values() for strip in several], 0))
    report(
        "generate_control",
        rows,
        figures={**_worst(found), "pictures without a face": lost, "bounds": BOUNDS},
        notes=[
            f"{done} seeds, {asked.steps} values a slider, {'128 px' if asked.plain else f'retouched, {asked.size} px'}, measured at 256; "
            "span and leak are the range of the measured value over a sweep, in slider units; person is the largest "
            "dlib distance to the middle of the sweep."
        ],
        measures=MEASURES,
    )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What was measured on one face while one slider went from 0 to 1."""

    rank: float
    span: float
    leaks: np.ndarray
    """(4,) ranges of the other sliders."""
    ends: tuple[float, float]
    person: float


def _sweep(name: str, values: np.ndarray, person: float) -> Sweep:
    """Of (steps, 5) measured values."""
    from scipy.stats import spearmanr

    own = values[:, NAMES.index(name)]
    known = np.isfinite(own)
    others = np.delete(values, NAMES.index(name), 1)
    return Sweep(
        rank=float(spearmanr(np.linspace(0, 1, len(values))[known], own[known]).statistic),
        span=float(np.ptp(own[known])),
        leaks=np.array([np.nanmax(o) - np.nanmin(o) if np.isfinite(o).sum() > 1 else np.nan for o in others.T]),
        ends=(float(own[known][0]), float(own[known][-1])),
        person=person,
    )


def _row(name: str, sweeps: list[Sweep]) -> dict[str, object]:
    """One line of the table."""
    leaks = np.nanmean([s.leaks for s in sweeps], 0)
    worst = int(np.nanargmax(leaks))
    at0, at1 = np.mean([s.ends for s in sweeps], 0)
    return {
        "slider": name,
        "spearman": float(np.mean([s.rank for s in sweeps])),
        "span": float(np.mean([s.span for s in sweeps])),
        "measured at 0": float(at0),
        "measured at 1": float(at1),
        "worst leak": float(leaks[worst]),
        "into": [n for n in NAMES if n != name][worst],
        "person (largest distance)": float(np.nanmean([s.person for s in sweeps])),
        "seeds": len(sweeps),
    }


def _worst(sweeps: dict[str, list[Sweep]]) -> dict[str, object]:
    """Least rank correlation and largest leak of all sliders, with their intervals over seeds."""
    ranks = min(([[s.rank] for s in several] for several in sweeps.values()), key=np.mean)
    leaks = [np.stack([s.leaks for s in several]).T for several in sweeps.values()]
    leak = max((column for columns in leaks for column in columns), key=np.nanmean)
    return {"least rank correlation": estimate(ranks), "worst leak": estimate([[v] for v in leak], np.nanmean)}


def _resize(picture: np.ndarray) -> np.ndarray:
    """At the 256 pixels that are measured."""
    import cv2

    way = cv2.INTER_CUBIC if len(picture) < 256 else cv2.INTER_AREA
    return cv2.resize(picture, (256, 256), interpolation=way)


def _person(analyser: FaceAnalyser, pictures: list[np.ndarray], faces: list) -> float:
    """Largest recognition distance of both ends of the sweep to its middle."""
    first, middle, last = (
        analyser.embed(pictures[index], [faces[index]])[0].embedding if faces[index] is not None else None
        for index in (0, len(pictures) // 2, len(pictures) - 1)
    )
    if middle is None or (first is None and last is None):
        return float("nan")
    return max(distance(middle, end) for end in (first, last) if end is not None)
