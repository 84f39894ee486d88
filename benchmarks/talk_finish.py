"""What the finishing network brings: drawn faces of people held back, without it and with it, against the clips."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.division import PARTS, find
from benchmarks.report import estimate, report
from facegen import media
from facegen.faces import FaceAnalyser
from facegen.restore.losses import feature_distance, parser_encoder
from facegen.talk.finish.data import FinishData, load_pairs
from facegen.talk.finish.finisher import Finisher, relight
from facegen.talk.finish.inputs import SIDE
from facegen.talk.motion import MotionFrame, MotionModel
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.rig import load_rig
from facegen.talk.speech import load_speech

MEASURES = ("facegen/talk/finish", "facegen/talk/portrait", "weights/talk/finish.safetensors")
_EVERY = 5
_MOUTH = (slice(120, 216), slice(72, 184))
"""Rows and columns of the square in which a mouth opens."""
_EYES = 0.015
"""Share of the square round lids from which on they count as moved."""
_AT_ONCE = 4
_FRAMES = 50
"""Of a talk in which flicker is measured."""


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks talk_finish", description=__doc__)
    parser.add_argument("--weights", type=Path, help="those of a training; the bundled ones")
    asked = parser.parse_args(arguments)
    finisher, analyser = Finisher(asked.weights) if asked.weights else Finisher.load(), FaceAnalyser()
    rows = []
    for part in PARTS:
        # of the clips that were trained on a third is enough to compare with
        for path in find("talking/synthetic/*", part)[:: 3 if part == "tuning" else 1]:
            kept = load_pairs(path, analyser, _EVERY)
            data = FinishData(kept, kept, torch.device("cpu"))
            measured = {**_errors(data, finisher), **_eye_errors(data, finisher), **_flicker(path, finisher, analyser)}
            rows.append({"part": part, "clip": path.stem, **measured})
    names = [name for name in rows[0] if name not in {"part", "clip"}]
    figures = {
        part: {f"{name}, mean": estimate([[row[name]] for row in rows if row["part"] == part]) for name in names}
        for part in PARTS
    }
    notes = [
        "Grey levels of 255 on 256x256 squares; each: as geometry draws it, then with the network. Skin: where its light "
        "may change below the eyes. Edges: first differences. Features: distance in three maps of the parser, mouth.",
        "Eyes: round lids that have moved, in frames in which they have.",
        "Flicker: mean second difference in time of the face, two seconds of the clip's sound.",
    ]
    report("talk_finish", rows=rows, figures=figures, notes=notes, measures=MEASURES)


@torch.inference_mode()
def _errors(data: FinishData, finisher: Finisher) -> dict[str, float]:
    count = len(data)
    sums: dict[str, float] = {}
    for start in range(0, count, _AT_ONCE):
        batch = data.held_back_batch(list(range(start, min(start + _AT_ONCE, count))))
        made = _apply_finisher(batch, finisher)
        skin = F.interpolate(batch["light"], size=SIDE) * (1 - F.max_pool2d(batch["region"], 5, 1, 2))
        skin[:, :, : SIDE // 3] = 0
        maps = parser_encoder("cpu", 3)
        truth = maps(batch["truth"][..., *_MOUTH])
        for name, picture in (("", batch["drawn"]), (" with", made)):
            figures = {
                f"skin{name}": _mean(picture - batch["truth"], skin),
                f"skin edges{name}": _mean(_edges(picture) - _edges(batch["truth"]), skin),
                f"mouth{name}": _mean(picture - batch["truth"], batch["region"]),
                f"mouth edges{name}": _mean(_edges(picture) - _edges(batch["truth"]), batch["region"]),
                f"features{name}": float(feature_distance(maps(picture[..., *_MOUTH]), truth)),
            }
            for key, figure in figures.items():
                sums[key] = sums.get(key, 0.0) + figure * len(picture) / count
    return {key: round(figure, 3) for key, figure in sums.items()}


@torch.inference_mode()
def _eye_errors(data: FinishData, finisher: Finisher) -> dict[str, float]:
    shares = data.learned["eyes"].float().mean((1, 2, 3)) / 255
    chosen = torch.nonzero(shares > _EYES)[:, 0].tolist()
    sums = dict.fromkeys(("eyes", "eyes with", "eyes edges", "eyes edges with"), 0.0)
    for index in chosen:
        batch = data.held_back_batch([index])
        around = F.interpolate(batch["eyes"], size=SIDE, mode="bilinear", align_corners=False)
        for name, picture in (("", batch["drawn"]), (" with", _apply_finisher(batch, finisher))):
            sums[f"eyes{name}"] += _mean(picture - batch["truth"], around) / len(chosen)
            sums[f"eyes edges{name}"] += _mean(_edges(picture) - _edges(batch["truth"]), around) / len(chosen)
    return {"frames with moved lids": len(chosen)} | {key: round(figure, 3) for key, figure in sums.items()}


def _apply_finisher(batch: dict[str, Tensor], finisher: Finisher) -> Tensor:
    change = finisher.network(batch["drawn"], batch["maps"])
    return relight(batch["drawn"], change, batch["light"], batch["region"], batch["eyes"]).clamp(0, 1)


def _mean(error: Tensor, weight: Tensor) -> float:
    """Mean size of (B, C, S, S) errors in 0..1 where (B, 1, S, S) weights are, 0..255."""
    return float((error.abs() * weight).sum() / (error.shape[1] * weight.sum() + 1) * 255)


def _edges(pictures: Tensor) -> Tensor:
    """(B, 2 C, S, S) first differences down and to the right."""
    return torch.cat([F.pad(pictures, (0, 0, 0, 1)).diff(dim=2), F.pad(pictures, (0, 1)).diff(dim=3)], 1)


def _flicker(path: Path, finisher: Finisher, analyser: FaceAnalyser) -> dict[str, float]:
    image = media.read_frame_at(path, index=0).image_rgb
    portrait = PortraitModel.of(image, analyser.detect(image)[0], load_rig())
    speech = load_speech(path, seconds=_FRAMES / 25)
    mouth = MotionModel.load().animate_mouth(speech, np.arange(_FRAMES) / 25, 1.0)
    found = {}
    for name, touches in (("flicker", []), ("flicker with", [finisher.post_process(portrait)])):
        renderer = MeshRenderer(portrait, touches)
        box = renderer.box.region
        frames = np.stack([renderer.draw(MotionFrame.of_mouth(row))[box] for row in mouth]).astype(np.float32)
        found[name] = round(float(np.abs(np.diff(frames, 2, axis=0)).mean()), 3)
    return found
