"""Do drawn faces look like photographs, and are they new? Against pictures that no training saw."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.report import report
from facegen.faces import FaceAnalyser, distance
from facegen.generate.critic import frozen_features
from facegen.generate.packed import PackedFaces
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.media import write_picture

EXTRACTOR = "mean and deviation of the face parser's maps at 1/2, 1/4 and 1/8 of 128 pixels (304 numbers)"


def main(arguments: list[str]) -> None:
    """Share of faces found, KID against held-back pictures, and nearest neighbours in the training set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="a folder made by «facegen generate dataset»")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/generate_quality.png"))
    asked = parser.parse_args(arguments)
    pack = PackedFaces.read(asked.data)
    held = np.flatnonzero(pack.held_back())
    trained = np.flatnonzero(~pack.held_back())
    pipeline, analyser = GeneratePipeline(), FaceAnalyser()
    count = asked.count
    latents = pipeline.sample(range(count))
    # the five values of the held-back pictures, so that only the faces differ
    sliders = [
        Sliders(**dict(zip(NAMES, map(float, np.clip(pack.drawn[place, 0], 0, 1)), strict=True)))
        for place in held[np.arange(count) % len(held)]
    ]
    plain = pipeline.draw(latents, sliders, retouch=False)
    retouched = pipeline.draw(latents, sliders)
    linear = _linear(pipeline, latents, sliders)
    real = np.asarray(pack.pictures[held, 0])
    found = [bool(analyser.detect(picture, max_faces=1)) for picture in retouched]
    reference = _features(real)
    sets = {
        "real (training) against real (held back)": np.asarray(pack.pictures[trained[: len(held)], 0]),
        "drawn, 128 px": plain,
        "drawn, retouched": np.stack([cv2.resize(p, (128, 128), interpolation=cv2.INTER_AREA) for p in retouched]),
        "linear top of the hierarchy alone": linear,
    }
    rows = [
        {"pictures": name, "KID x 1000": 1000 * kid(_features(p), reference), "count": len(p)}
        for name, p in sets.items()
    ]
    near, sheet = _neighbours(pack, trained, plain, retouched)
    new = _recognised(analyser, pack, near, retouched[: len(near)])
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_picture(asked.sheet, sheet)
    report(
        "generate_quality",
        rows,
        figures={
            "share of faces found": float(np.mean(found)),
            "dlib distance to the nearest training picture, median": float(np.median(new)),
            "smallest": float(np.min(new)),
        },
        notes=[
            f"Features: {EXTRACTOR}. KID: cubic kernel, unbiased (arXiv:1801.01401).",
            "Nearest neighbours by pixels at 32x32 among the training photographs; drawn (top) and nearest (below) in "
            f"{asked.sheet}.",
        ],
    )


def _linear(pipeline: GeneratePipeline, latents, sliders: list[Sliders]) -> np.ndarray:
    """The base alone, moved and repainted: what the trained cells begin with."""
    from facegen.generate.vae import flow_grid, repaint_base

    generator = pipeline.generator
    flows = np.stack([generator.flow(s, v) for s, v in zip(latents.shapes, sliders, strict=True)])
    with torch.inference_mode():
        large = F.interpolate(generator.vae.base(latents.texture), size=128, mode="bicubic", align_corners=False)
        flow = F.interpolate(torch.from_numpy(flows).permute(0, 3, 1, 2), size=128, mode="bilinear")
        placed = F.grid_sample(large, flow_grid(flow), padding_mode="border", align_corners=False)
        drawn = repaint_base(placed, torch.tensor([v.values() for v in sliders]))
    return drawn.clamp(0, 1).mul(255).byte().permute(0, 2, 3, 1).numpy()


@torch.inference_mode()
def _features(pictures: np.ndarray) -> np.ndarray:
    frozen, found = frozen_features("cpu"), []
    for part in np.array_split(pictures, max(1, len(pictures) // 32)):
        maps = frozen(torch.from_numpy(np.ascontiguousarray(part)).permute(0, 3, 1, 2).float() / 255)
        found.append(torch.cat([s for m in maps for s in (m.mean((2, 3)), m.std((2, 3)))], 1))
    return torch.cat(found).double().numpy()


def kid(a: np.ndarray, b: np.ndarray) -> float:
    """Squared maximum mean discrepancy of two sets of features, standardised by the second's mean and spread."""
    middle, spread = b.mean(0), b.std(0) + 1e-6
    a, b = (a - middle) / spread, (b - middle) / spread

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: np.ndarray) -> float:
        k = kernel(x, x)
        return float((k.sum() - np.trace(k)) / (len(x) * (len(x) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def _neighbours(
    pack: PackedFaces, trained: np.ndarray, plain: np.ndarray, retouched: np.ndarray, shown: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    def small(pictures: np.ndarray) -> np.ndarray:
        return np.stack([cv2.resize(p, (32, 32), interpolation=cv2.INTER_AREA) for p in pictures]).reshape(
            len(pictures), -1
        )

    photographs = small(np.asarray(pack.pictures[trained, 0])).astype(np.float32)
    near = np.array(
        [trained[np.square(photographs - one).sum(1).argmin()] for one in small(plain[:64]).astype(np.float32)]
    )
    rows = [retouched[:shown], [cv2.resize(pack.pictures[place, 0], (256, 256)) for place in near[:shown]]]
    return near, np.concatenate([np.concatenate(list(row), 1) for row in rows], 0)


def _recognised(analyser: FaceAnalyser, pack: PackedFaces, near: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Recognition distances of drawn faces to their nearest training pictures."""
    distances = []
    for place, picture in zip(near, drawn, strict=True):
        pair = []
        for image in (picture, cv2.resize(pack.pictures[place, 0], (256, 256), interpolation=cv2.INTER_CUBIC)):
            faces = analyser.detect(np.ascontiguousarray(image), max_faces=1)
            if faces:
                pair.append(analyser.embed(np.ascontiguousarray(image), faces)[0].embedding)
        if len(pair) == 2:
            distances.append(distance(*pair))
    return np.array(distances)
