"""Does each slider move what it says, and that only? Measured by MediaPipe, the parser and dlib on the results."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report import report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.measure import measure_faces
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import write_picture

BOUNDS = {"spearman": 0.90, "span": 0.70, "leak": 0.15, "person": 0.45}


def main(arguments: list[str]) -> None:
    """Sweeps every slider for some seeds and measures all five values and the person at each step."""
    from scipy.stats import spearmanr

    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--sliders", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--sheet-seeds", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="without the retouch")
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/generate_control.png"))
    asked = parser.parse_args(arguments)
    pipeline, analyser = GeneratePipeline(), FaceAnalyser()
    rows, strips, lost = [], [], 0
    for name in asked.sliders:
        ranks, spans, leaks, people, ends = [], [], [], [], []
        for seed in range(asked.seeds):
            face = pipeline.sample([seed])
            base = replace(Sliders(), **({"eyes": 0.8} if name != "eyes" else {}))
            drawn = pipeline.sweep(face, base, name, steps=asked.steps, retouch=not asked.plain)
            pictures = [_large(picture) for picture in drawn]
            values, faces = measure_faces(analyser, pictures)
            lost += sum(found is None for found in faces)
            own = values[:, NAMES.index(name)]
            known = np.isfinite(own)
            if known.sum() < asked.steps - 1:
                continue
            ranks.append(spearmanr(np.linspace(0, 1, asked.steps)[known], own[known]).statistic)
            spans.append(np.ptp(own[known]))
            others = np.delete(values, NAMES.index(name), 1)
            leaks.append([np.nanmax(o) - np.nanmin(o) if np.isfinite(o).sum() > 1 else np.nan for o in others.T])
            ends.append([own[known][0], own[known][-1]])
            people.append(_person(analyser, pictures, faces))
            if seed < asked.sheet_seeds:
                strips.append(np.concatenate(pictures, 1))
        worst = int(np.nanargmax(np.nanmean(leaks, 0)))
        at0, at1 = np.mean(ends, 0)
        rows.append(
            {
                "slider": name,
                "spearman": float(np.mean(ranks)),
                "span": float(np.mean(spans)),
                "measured at 0": float(at0),
                "measured at 1": float(at1),
                "worst leak": float(np.nanmean(leaks, 0)[worst]),
                "into": [n for n in NAMES if n != name][worst],
                "person (largest distance)": float(np.nanmean(people)),
                "seeds": len(ranks),
            }
        )
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_picture(asked.sheet, np.concatenate(strips, 0))
    report(
        "generate_control",
        rows,
        figures={"pictures without a face": lost, "bounds": BOUNDS},
        notes=[
            f"{asked.seeds} seeds, {asked.steps} values a slider, {'128 px' if asked.plain else 'retouched, 256 px'}; "
            "span and leak are the range of the measured value over a sweep, in slider units; person is the largest "
            "dlib distance to the middle of the sweep."
        ],
    )


def _large(picture: np.ndarray) -> np.ndarray:
    import cv2

    return picture if len(picture) == 256 else cv2.resize(picture, (256, 256), interpolation=cv2.INTER_CUBIC)


def _person(analyser: FaceAnalyser, pictures: list[np.ndarray], faces: list) -> float:
    """Largest recognition distance of three places of the sweep to its middle."""
    places = [0, len(pictures) // 2, len(pictures) - 1]
    found = [
        analyser.embed(pictures[place], [faces[place]])[0].embedding if faces[place] is not None else None
        for place in places
    ]
    if found[1] is None or all(found[place] is None for place in (0, 2)):
        return float("nan")
    return max(distance(found[1], one) for one in (found[0], found[2]) if one is not None)
