"""Does a photograph stay the person when sliders change it? Measured by dlib; a sheet shows the pictures."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.division import PARTS, Part, find
from benchmarks.report import estimate, report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.editing.photograph import EncodedPhoto
from facegen.generate.pipeline import GeneratePipeline
from facegen.media import read_picture, write_picture

MEASURES = ("facegen/generate", "weights/generate")
BOUND = 0.5
"""Distance to the photograph that an edit may have at most."""
EDITS: dict[str, dict[str, float]] = {
    "none": {},
    "eyes 0": {"eyes": 0.0},
    "mouth 0.8": {"mouth": 0.8},
    "hair 0.1": {"hair": 0.1},
    "hair 0.95": {"hair": 0.95},
    "background 0.1": {"background": 0.1},
    "background 0.95": {"background": 0.95},
    "head 0.1": {"head": 0.1},
    "head 0.9": {"head": 0.9},
}
SEEN = frozenset(
    [
        *("female_20", "female_40", "female_52", "female_56", "female_76", "female_84", "female_88"),
        *("male_32", "male_44", "male_56", "male_60", "male_72", "male_80", "male_84", "male_88"),
    ]
)
"""Portraits that proved, until constants of lids, turned heads and mattes were chosen by looking at them; they are left out."""
MORE = {"smile 2": {"smile": 2.0}, "feminine 2": {"feminine": 2.0}}


def main(arguments: list[str]) -> None:
    """Encodes portraits that the generator never saw and moves one slider at a time."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/generate_edit.png"))
    asked = parser.parse_args(arguments)
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    pipeline, rows, figures = GeneratePipeline(), [], {}
    for part in PARTS:
        photographs = _photographs(part)
        gaps, lines = _measure(pipeline, photographs)
        for name, values in gaps.items():
            measured = {**estimate([[value] for value in values]), "largest": max(values), "bound": BOUND}
            rows.append({"part": part, "edit": name, **measured, "no face": len(photographs) - len(values)})
        figures[f"photographs, {part}"] = len(photographs)
        sheet = asked.sheet if part == "proving" else asked.sheet.with_stem(f"{asked.sheet.stem}-{part}")
        write_picture(sheet, np.concatenate(lines, 0))
    report(
        "generate_edit",
        rows,
        figures=figures,
        notes=[
            "dlib distance of the edited picture to the photograph in the generator's frame, 256 px; one edit at a time.",
            "On the sheet: the photograph, then the edits in the order of the table.",
        ],
        measures=MEASURES,
    )


def _photographs(part: Part) -> list[Path]:
    """Some portraits of either kind; of the tuning part, which is larger, fewer."""
    step = 5 if part == "proving" else 15
    synthetic = [path for path in find("portraits/synthetic/*", part) if path.stem.removesuffix("_1024") not in SEEN]
    return [*synthetic[::step], *find("portraits/london/*.jpg", part)[::2]]


def _measure(pipeline: GeneratePipeline, photographs: list[Path]) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Distances to the photographs by edit, and the lines of a sheet."""
    lines, gaps = [], {name: list[float]() for name in (*EDITS, *MORE)}
    for path in photographs:
        encoded = pipeline.encode(read_picture(path), path.name)
        pictures = [encoded.framed.picture_rgb, *_draw_edits(pipeline, encoded)]
        own, *found = (_person(pipeline.analyser, picture) for picture in pictures)
        for name, person in zip(gaps, found, strict=True):
            if own is not None and person is not None:
                gaps[name].append(distance(own, person))
        lines.append(np.concatenate(pictures, 1))
    return gaps, lines


def _draw_edits(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> list[np.ndarray]:
    """The pictures of `EDITS` and `MORE`."""
    sliders = encoded.sliders
    drawn = [pipeline.draw(encoded.latents, replace(sliders, **changed))[0] for changed in EDITS.values()]
    moved = [pipeline.directions.apply(encoded.latents, steps) for steps in MORE.values()]
    return [*drawn, *(pipeline.draw(latents, sliders)[0] for latents in moved)]


def _person(analyser: FaceAnalyser, picture_rgb: np.ndarray) -> np.ndarray | None:
    picture = np.ascontiguousarray(picture_rgb)
    faces = analyser.detect(picture, max_faces=1)
    return analyser.embed(picture, faces)[0].embedding if faces else None
