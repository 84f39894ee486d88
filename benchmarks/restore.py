"""Does the restorer keep the person? Faces that no training saw are damaged and restored, and recognised against themselves.

    python -m benchmarks restore [--sheet FILE]

`portraits/london` at 512 pixels and `faces/celebamask` at 256: real people, whom the restorer's training never reads.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.division import Part, find
from benchmarks.report import estimate, report
from facegen.faces import FaceAnalyser, align, distance
from facegen.generate.frame.alignment import TEMPLATE5
from facegen.media import read_frames, read_picture, write_picture
from facegen.restore.losses import texture_distance
from facegen.restore.restorer import Restorer

MEASURES = ("facegen/restore", "weights/restore")
BOUND = 0.15
"""Largest distance of a restored face to the original, in dlib's numbers."""
CLIP, FRAMES = "vasa_3", 16
_SHARES: tuple[tuple[Part, int], ...] = (("proving", 1), ("tuning", 9))
"""Of how many photographs of `celebamask` one is measured: about a hundred of either part."""


def main(arguments: list[str]) -> None:
    """Measure every damage on both collections, and the flicker of a restored clip."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks restore")
    parser.add_argument("--sheet", type=Path, default=Path("/tmp/facegen-benchmarks/restore.png"))
    asked = parser.parse_args(arguments)
    analyser, restorer = FaceAnalyser(), Restorer()
    collections = [
        (part, name, size, {path.stem: path for path in find(pattern, part)[::step]})
        for part, faces in _SHARES
        for name, size, pattern, step in (
            ("london", 512, "portraits/london/*.jpg", 1),
            ("celebamask", 256, "faces/celebamask/images/*.jpg", faces),
        )
    ]
    rows, strips = [], []
    for part, name, size, paths in collections:
        faces = {stem: face for stem, path in paths.items() if (face := _crop(analyser, path, size)) is not None}
        originals = np.stack([*faces.values()])
        people = [stem.split("_")[0] for stem in faces]
        known = [_embed(analyser, picture) for picture in originals]
        for title, damage in _damages().items():
            damaged = np.stack([damage(picture) for picture in originals])
            restored = restorer.restore(damaged, size=size)
            rows.append(
                {
                    "part": part,
                    "faces": name,
                    "size": size,
                    "damage": title,
                    **_compare(analyser, originals, damaged, restored, known, people),
                    "count": len(originals),
                }
            )
            strips.append(_strip(originals[0], damaged[0], restored[0]))
    asked.sheet.parent.mkdir(parents=True, exist_ok=True)
    write_picture(asked.sheet, np.concatenate(strips))
    report(
        "restore",
        rows,
        figures={"flicker of a restored clip by the original's": _flicker(analyser, restorer), "bound": BOUND},
        notes=(
            "Distance: dlib's numbers, to the undamaged face, median over faces with its interval over people.",
            "Texture: difference of local gradient energy x 1000; error: mean absolute difference x 1000.",
            f"Flicker: second difference over {FRAMES} frames of {CLIP}, shrunk to a half, 512 pixels. Sheet: {asked.sheet}.",
        ),
        measures=MEASURES,
    )


def _damages() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Damages of a square picture, each to the same size."""

    def shrink(share: float) -> Callable[[np.ndarray], np.ndarray]:
        def apply(picture: np.ndarray) -> np.ndarray:
            side = round(share * len(picture))
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)

        return apply

    def compress(picture: np.ndarray) -> np.ndarray:
        _, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 30))
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))

    def blur(picture: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, 4, picture.shape)
        return np.clip(cv2.GaussianBlur(picture, (0, 0), len(picture) / 200) + noise, 0, 255).astype(np.uint8)

    return {
        "none": lambda picture: picture,
        "half": shrink(1 / 2),
        "a third": shrink(1 / 3),
        "a quarter": shrink(1 / 4),
        "JPEG 30": compress,
        "blur and noise": blur,
    }


def _crop(analyser: FaceAnalyser, path: Path, size: int) -> np.ndarray | None:
    """(size, size, 3) uint8 RGB: the face of a photograph in the frame of generated faces; None if none is found."""
    picture = read_picture(path)
    faces = analyser.detect(picture, max_faces=1)
    return _align(picture, faces[0], size) if faces else None


def _align(picture: np.ndarray, face: Any, size: int) -> np.ndarray:
    return align.warp(picture, align.similarity(face.points5, TEMPLATE5, size), size)


def _embed(analyser: FaceAnalyser, picture: np.ndarray) -> np.ndarray | None:
    faces = analyser.detect(picture, max_faces=1)
    return analyser.embed(picture, faces)[0].embedding if faces else None


def _compare(
    analyser: FaceAnalyser,
    originals: np.ndarray,
    damaged: np.ndarray,
    restored: np.ndarray,
    known: list[np.ndarray | None],
    people: list[str],
) -> dict[str, Any]:
    """Distances, texture and error of damaged and restored pictures to their originals."""
    figures: dict[str, Any] = {}
    for title, pictures in (("damaged", damaged), ("restored", restored)):
        distances: dict[str, list[float]] = {}
        for picture, person, reference in zip(pictures, people, known, strict=True):
            found = _embed(analyser, picture)
            if found is not None and reference is not None:
                distances.setdefault(person, []).append(distance(found, reference))
        measured = estimate(list(distances.values()), np.median)
        figures[f"distance, {title}"] = measured["measured"]
        figures[f"interval, {title}"] = measured["interval"]
        figures[f"texture, {title}"] = 1000 * float(texture_distance(_tensor(pictures), _tensor(originals)))
        figures[f"error, {title}"] = 1000 * float(np.abs(pictures / 255.0 - originals / 255.0).mean())
    return figures


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    """(N, 3, H, W) in [0, 1] of (N, H, W, 3) uint8."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)


def _flicker(analyser: FaceAnalyser, restorer: Restorer) -> float:
    """Mean absolute second difference over time of a restored clip, by that of the clip."""
    (path,) = (path for path in find("talking/synthetic/*.mp4", "proving") if path.stem == CLIP)
    frames = [frame.image_rgb for _, frame in zip(range(FRAMES), read_frames(path), strict=False)]
    # one alignment for all: the person moves in it as in the clip
    face = analyser.detect(frames[0], max_faces=1)[0]
    originals = np.stack([_align(frame, face, 512) for frame in frames])
    restored = restorer.restore(np.stack([_damages()["half"](picture) for picture in originals]), size=512)
    jumps = [np.abs(np.diff(pictures.astype(np.float32), 2, 0)).mean() for pictures in (originals, restored)]
    return float(jumps[1] / jumps[0])


def _strip(original: np.ndarray, damaged: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """Original, damaged and restored beside each other, 512 pixels high."""
    return np.concatenate(
        [cv2.resize(p, (512, 512), interpolation=cv2.INTER_CUBIC) for p in (original, damaged, restored)], 1
    )


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
