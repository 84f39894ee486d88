"""Fit the further sliders' directions on a prepared dataset, and how well each says its score on faces held back."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.report import estimate, report
from facegen.errors import InputError
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.editing.directions import NAMES, Directions, fit_directions, measure_scores
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.prior import canonical_vectors
from facegen.media import atomic_output

MEASURES = ("facegen/generate/editing/directions.py", "weights/generate/vae")
_AT_ONCE = 64


def main(arguments: list[str]) -> None:
    """Run the benchmark; `--output` writes the directions as weights/generate/directions.safetensors is."""
    parser = argparse.ArgumentParser(prog="benchmarks generate_directions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="made by «facegen generate dataset … --large»")
    parser.add_argument("--others", type=Path, help="a dataset of other people to measure on; the faces held back")
    parser.add_argument("--output", type=Path, help="where the directions go")
    asked = parser.parse_args(arguments)
    generator = FaceGenerator.load()
    pack = PackedFaces.read(asked.data)
    texture, shape = encode(pack, generator)
    axes = generator.vae.shape_axes.cpu().numpy()
    fitted = fit_directions(pack, texture, shape, axes)
    if asked.others:
        others = PackedFaces.read(asked.others)
        codes, scores = np.concatenate(encode(others, generator), 1), measure_scores(others)
    else:
        held = pack.is_held_out()
        codes, scores = np.concatenate([texture, shape], 1)[held], measure_scores(pack)[held]
    rows: list[dict[str, Any]] = [
        {"direction": name, "fitted": new, "bundled": old}
        for name, new, old in zip(
            NAMES,
            correlations(fitted, axes, codes, scores),
            correlations(Directions.load(), axes, codes, scores),
            strict=True,
        )
    ]
    report(
        "generate_directions",
        rows,
        figures={f"{kind}, mean": estimate([[row[kind]] for row in rows]) for kind in ("fitted", "bundled")},
        notes=[
            f"Correlation of a face's place along a gradient with the score that was measured, {len(codes)} faces of "
            f"{(asked.others or asked.data).name}."
        ],
        measures=MEASURES,
    )
    if asked.output:
        with atomic_output(asked.output) as temporary:
            fitted.save(temporary)


def encode(pack: PackedFaces, generator: FaceGenerator) -> tuple[np.ndarray, np.ndarray]:
    """(N, K) texture and (N, L) shape codes of a dataset's photographs.

    Raises:
        InputError: it was drawn in another canonical frame than the generator's.
    """
    if not np.allclose(pack.mean_shape, generator.mean_shape, atol=0.1):
        raise InputError("Expected a dataset in the generator's canonical frame, found another; make it with --large.")
    texture = []
    for start in range(0, len(pack), _AT_ONCE):
        vectors = canonical_vectors(np.asarray(pack.canonical[start : start + _AT_ONCE]))
        texture.append(generator.vae.encode_texture(torch.from_numpy(vectors)).numpy())
    shape = generator.vae.encode_shapes(torch.from_numpy(np.asarray(pack.shapes, np.float32))).numpy()
    return np.concatenate(texture), shape


def correlations(directions: Directions, axes: np.ndarray, codes: np.ndarray, scores: np.ndarray) -> list[float]:
    """Of the codes' places along each gradient with the score.

    Args:
        directions: steps, the dual basis of the gradients.
        axes: (L, 1404) the generator's principal axes of shapes.
        codes: (N, K + L).
        scores: (N, 6), NaN where unknown.
    """
    shape = np.linalg.lstsq(axes.T, directions.shape.T, rcond=None)[0].T
    gradients = np.linalg.pinv(np.concatenate([directions.texture, shape], 1)).T
    found = []
    for gradient, values in zip(gradients, scores.T, strict=True):
        known = np.isfinite(values)
        found.append(round(float(np.corrcoef(codes[known] @ gradient, values[known])[0, 1]), 3))
    return found
