"""How surely a freshly trained classifier tells swapped faces from real ones, without and with the harmonization.

    python -m benchmarks.swap_classifier [--frames N]

Real and swapped frames of the proving clips of talking, cropped to the face. The classifier is a logistic regression on
means and deviations of the parser's first feature maps; each clip is judged by one that was trained on the other clips.
"""

import argparse
import sys
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks import swap_clips
from benchmarks.report import estimate, report
from benchmarks.swap_clips import PROVING_SOURCES, portrait
from benchmarks.swap_tone import largest
from facegen import media
from facegen.faces import Face, align
from facegen.restore.losses import parser_encoder
from facegen.swap import SwapOptions, SwapPipeline
from facegen.swap.assignment import FaceAssignment
from facegen.swap.render import swap_image
from facegen.swap.sources import load_sources

MEASURES = swap_clips.SWAP_CODE
_SIDE = 256
_STEPS, _PENALTY = 400, 1e-2


def main(arguments: list[str]) -> None:
    """Measure all clips."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap_classifier")
    parser.add_argument("--frames", type=int, default=8)
    frames = parser.parse_args(arguments).frames
    features: dict[str, list[np.ndarray]] = {"real": [], "finish 0": [], "finish 1": []}
    clips: list[int] = []
    pipeline = SwapPipeline()
    proving = dict.fromkeys(clip for clip, _ in swap_clips.pairs("proving"))
    for number, clip in enumerate(proving):
        for crops in _crops(pipeline, clip, frames):
            clips.append(number)
            for name, crop in crops.items():
                features[name].append(_features(crop))
    groups = np.array(clips)
    rows: list[dict[str, Any]] = []
    for name in ("finish 0", "finish 1"):
        rows.append({"swapped": name, **_judge(np.stack(features["real"]), np.stack(features[name]), groups)})
    report(
        "swap_classifier",
        rows,
        notes=(f"{len(clips)} real and as many swapped faces of {len(proving)} clips.",),
        measures=MEASURES,
    )


def _crops(pipeline: SwapPipeline, clip: str, count: int) -> list[dict[str, np.ndarray]]:
    """A real crop and two swapped ones of so many frames of a clip."""
    path = str(swap_clips.material(clip))
    analysis = pipeline.find_people(path)
    engine, identities = pipeline.engine(SwapOptions()), {}
    for name in PROVING_SOURCES:
        source = str(swap_clips.material(portrait(name)))
        identities[name] = engine.prepare(load_sources([source], pipeline.analyser).pictures)
    known = [index for index in range(analysis.frame_count) if largest(analysis, index) is not None]
    crops = []
    for turn, place in enumerate(np.linspace(0, len(known) - 1, count + 2)[1:-1].astype(int)):
        index = known[place]
        face = largest(analysis, index)
        assert face is not None
        image = next(iter(media.read_frames(path, start_index=index))).image_rgb
        identity = identities[PROVING_SOURCES[turn % len(PROVING_SOURCES)]]
        crop = {"real": _crop(image, face)}
        for finish in (0, 1):
            options = SwapOptions(finish=finish)
            swapped = swap_image(image, [FaceAssignment(track=0, face=face, identity=identity)], engine, options)
            crop[f"finish {finish}"] = _crop(swapped, face)
        crops.append(crop)
    return crops


def _crop(image: np.ndarray, face: Face) -> np.ndarray:
    return align.warp(image, align.parse_matrix(face, _SIDE), _SIDE)


@torch.no_grad()
def _features(crop: np.ndarray) -> np.ndarray:
    picture = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    maps = parser_encoder("cpu", 3)(picture)
    inner = [
        values[..., values.shape[2] // 4 : -values.shape[2] // 4, values.shape[3] // 4 : -values.shape[3] // 4]
        for values in maps
    ]
    return torch.cat([part for m in inner for part in (m.mean((0, 2, 3)), m.std((0, 2, 3)))]).numpy()


def _judge(real: np.ndarray, swapped: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Share told rightly, and the mean probability given to what is true, with intervals over clips."""
    right: list[list[float]] = []
    sure: list[list[float]] = []
    for group in np.unique(groups):
        learned, held = groups != group, groups == group
        inputs = np.concatenate([real[learned], swapped[learned]])
        mean, spread = inputs.mean(0), inputs.std(0) + 1e-6
        x = torch.from_numpy((inputs - mean) / spread).float()
        y = torch.cat([torch.zeros(int(learned.sum())), torch.ones(int(learned.sum()))])
        weight, bias = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
        optimiser = torch.optim.Adam([weight, bias], 0.02)
        for _ in range(_STEPS):
            optimiser.zero_grad()
            loss = F.binary_cross_entropy_with_logits(x @ weight + bias, y) + _PENALTY * weight.square().sum()
            loss.backward()
            optimiser.step()
        right.append([])
        sure.append([])
        with torch.no_grad():
            for values, truth in ((real[held], 0), (swapped[held], 1)):
                p = torch.sigmoid(torch.from_numpy((values - mean) / spread).float() @ weight + bias).numpy()
                p = p if truth else 1 - p
                right[-1] += (p > 0.5).tolist()
                sure[-1] += p.tolist()
    return {"told rightly": estimate(right), "mean certainty": estimate(sure)}


if __name__ == "__main__":
    main(sys.argv[1:])
