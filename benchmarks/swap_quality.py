"""How good the swaps are: identity, expression, pose, the untouched surroundings, flicker; with contact sheets.

    python -m benchmarks.swap_quality [--quick] [--part PART] [--sheets FOLDER]

For each of `swap_clips.pairs` (of those to tune on every other one) a few windows of consecutive frames are swapped without marking and encoding. What is measured on a result
is found in it anew, by the same detector on the result as on the original.
"""

import argparse
import itertools
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import swap_clips
from benchmarks.division import PARTS
from benchmarks.report import estimate, report
from facegen import media
from facegen.faces import ClipAnalysis, Face, distance
from facegen.faces.align import similarity
from facegen.swap import SwapOptions, SwapPipeline
from facegen.swap.assignment import SourceAssignment
from facegen.swap.preview import lay_out
from facegen.swap.render import StageClock, swap_frames
from facegen.swap.sources import load_sources

MEASURES = swap_clips.SWAP_CODE
BOUNDS = {
    "distance to source": 0.38,
    "nearer to source": 0.98,
    "jawOpen error": 0.05,
    "eyeBlink error": 0.05,
    "pose error (deg)": 3.0,
    "PSNR outside (dB)": 45.0,
    "flicker ratio": 1.3,
}

_WINDOWS = 3
_WINDOW_FRAMES = 16
_EVERY = 5
_CALM_SIZE = 128
_OVAL = np.array([[0.31, 0.46], [0.69, 0.46], [0.50, 0.61], [0.35, 0.75], [0.65, 0.75]], np.float32)


@dataclass(kw_only=True)
class Measured:
    """What was seen of one pair of clip and source."""

    clip: str

    to_source: list[float] = field(default_factory=list)
    to_original: list[float] = field(default_factory=list)
    jaw: list[float] = field(default_factory=list)
    blink: list[float] = field(default_factory=list)
    pose: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    flicker: list[float] = field(default_factory=list)
    lost: int = 0
    pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def row(self, source: str) -> dict[str, Any]:
        """One line of the table."""
        nearer = [a < b for a, b in zip(self.to_source, self.to_original, strict=True)]
        values = (
            statistics.median(self.to_source),
            statistics.mean(nearer),
            statistics.mean(self.jaw),
            statistics.mean(self.blink),
            statistics.mean(self.pose),
            min(self.psnr),
            statistics.mean(self.flicker),
        )
        figures = {name: round(float(value), 3) for name, value in zip(BOUNDS, values, strict=True)}
        return {"clip": Path(self.clip).stem, "source": Path(source).stem, **figures, "faces lost": self.lost}


def main(arguments: list[str]) -> None:
    """Measure both parts; with --quick three pairs of each, and one window."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap_quality")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=PARTS, help="one part alone")
    parser.add_argument("--sheets", type=Path, default=swap_clips.WORK / "swap_quality")
    asked = parser.parse_args(arguments)
    asked.sheets.mkdir(parents=True, exist_ok=True)
    pipeline = SwapPipeline()
    rows, figures = [], {}
    for part in PARTS if asked.part is None else (asked.part,):
        pairs = swap_clips.pairs(part)[:: 2 if part == "tuning" else 1]
        seen = []
        for clip, source in pairs[:: len(pairs) // 3] if asked.quick else pairs:
            seen.append(measure(pipeline, clip, source, windows=1 if asked.quick else _WINDOWS))
            rows.append({"part": part, **seen[-1].row(source)})
            print(rows[-1], flush=True)
            sheet = asked.sheets / f"{Path(clip).stem}__{Path(source).stem}.jpg"
            media.write_picture(sheet, lay_out([(*pair, "") for pair in seen[-1].pairs]))
            seen[-1].pairs.clear()
        figures[part] = {name: {**overall(seen, name), "bound": bound} for name, bound in BOUNDS.items()}
    report(
        "_".join(filter(None, ("swap_quality", asked.part, "quick" * asked.quick))),
        rows,
        figures=figures,
        notes=(
            f"Windows of {_WINDOW_FRAMES} consecutive frames; every {_EVERY}th is measured; sheets in {asked.sheets}.",
            "Flicker: mean absolute second difference over time of luma in a crop that follows the face, as a ratio.",
            "PSNR outside: the worst frame, outside the mesh's hull grown by a twentieth of the face, up to 99 dB.",
        ),
        measures=MEASURES,
    )


def overall(seen: list[Measured], name: str) -> dict[str, Any]:
    """One figure over all pairs, as the bound means it, with its interval over clips."""
    lists = {
        "distance to source": lambda one: one.to_source,
        "nearer to source": lambda one: [a < b for a, b in zip(one.to_source, one.to_original, strict=True)],
        "jawOpen error": lambda one: one.jaw,
        "eyeBlink error": lambda one: one.blink,
        "pose error (deg)": lambda one: one.pose,
        "PSNR outside (dB)": lambda one: one.psnr,
        "flicker ratio": lambda one: one.flicker,
    }
    clips: dict[str, list[float]] = {}
    for one in seen:
        clips.setdefault(one.clip, []).extend(lists[name](one))
    return estimate(
        list(clips.values()), {"distance to source": np.median, "PSNR outside (dB)": np.min}.get(name, np.mean)
    )


def measure(pipeline: SwapPipeline, clip: str, source: str, *, windows: int) -> Measured:
    """Swap windows of one clip and measure the largest face in them."""
    target = str(swap_clips.material(clip))
    options = SwapOptions(faces="largest")
    engine, analyser = pipeline.engine(options), pipeline.analyser
    pictures = load_sources([str(swap_clips.material(source))], analyser).pictures
    (known,) = analyser.embed(pictures[0][0], [pictures[0][1]])
    analysis = pipeline.find_people(target)
    assignment = SourceAssignment(faces="largest", person=0, identity=engine.prepare(pictures), people={})
    measured = Measured(clip=clip)
    for start in np.linspace(0, max(0, analysis.frame_count - _WINDOW_FRAMES - 8), windows + 2)[1:-1].astype(int):
        frames = list(itertools.islice(media.read_frames(target, start_index=int(start)), _WINDOW_FRAMES))
        with ThreadPoolExecutor(2) as pool:
            swapped = list(
                swap_frames(
                    frames,
                    lambda frame: assignment.assign(analysis.faces(frame.index)),
                    engine=engine,
                    options=options,
                    pool=pool,
                    clock=StageClock(),
                )
            )
        before, after = [frame.image_rgb for frame in frames], [item.frame.image_rgb for item in swapped]
        _measure_stills(measured, analyser, analysis, frames, after, known)
        measured.flicker += _flicker(before, after, [_largest(analysis, frame.index) for frame in frames])
    return measured


def _measure_stills(
    measured: Measured,
    analyser: Any,
    analysis: ClipAnalysis,
    frames: list[media.Frame],
    after: list[np.ndarray],
    known: Face,
) -> None:
    for frame, result in list(zip(frames, after, strict=True))[::_EVERY]:
        expected = _largest(analysis, frame.index)
        if expected is None:
            continue
        original, swapped = (_near(analyser.detect(image), expected) for image in (frame.image_rgb, result))
        if original is None:
            continue
        measured.pairs.append((frame.image_rgb, result))
        if swapped is None:
            measured.lost += 1
            continue
        (original,), (swapped,) = analyser.embed(frame.image_rgb, [original]), analyser.embed(result, [swapped])
        measured.to_source.append(distance(swapped.embedding, known.embedding))
        measured.to_original.append(distance(swapped.embedding, original.embedding))
        measured.jaw.append(abs(swapped.blendshape("jawOpen") - original.blendshape("jawOpen")))
        blinks = (
            abs(swapped.blendshape(name) - original.blendshape(name)) for name in ("eyeBlinkLeft", "eyeBlinkRight")
        )
        measured.blink.append(statistics.mean(blinks))
        measured.pose.append(_angle_deg(swapped.matrix, original.matrix))
        measured.psnr.append(_psnr_outside(frame.image_rgb, result, expected))


def _largest(analysis: ClipAnalysis, index: int) -> Face | None:
    return max(analysis.faces(index), key=lambda face: face.size_px, default=None)


def _near(faces: list[Face], expected: Face) -> Face | None:
    """The face whose nose is nearest to the expected one, if it is within half a face of it."""
    gaps = [(float(np.linalg.norm(face.points5[2] - expected.points5[2])), face) for face in faces]
    gap, face = min(gaps, key=lambda item: item[0], default=(np.inf, None))
    return face if gap < expected.size_px / 2 else None


def _angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    """Angle of the rotation between two poses."""
    rotations = [np.linalg.svd(matrix[:3, :3].astype(np.float64)) for matrix in (a, b)]
    first, second = (u @ vt for u, _, vt in rotations)
    return float(np.degrees(np.arccos(np.clip((np.trace(first.T @ second) - 1) / 2, -1, 1))))


def _psnr_outside(before: np.ndarray, after: np.ndarray, face: Face) -> float:
    mask = np.zeros(before.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(face.points478[:, :2].astype(np.int32)), 255)
    grown = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=max(1, round(face.size_px / 20)))
    error = np.square(before.astype(np.float32) - after)[grown == 0].mean()
    return min(99.0, 10 * float(np.log10(255**2 / max(error, 1e-9))))


def _flicker(before: list[np.ndarray], after: list[np.ndarray], faces: list[Face | None]) -> Iterator[float]:
    """How much the inside of the face jumps in time, over how much the original does; one value a window."""
    if any(face is None for face in faces):
        return
    crops = [[_calm(image, face) for image, face in zip(images, faces, strict=True)] for images in (before, after)]
    jumps = [np.abs(np.diff(np.stack(stack), n=2, axis=0)).mean() for stack in crops]
    yield float(jumps[1] / max(jumps[0], 1e-6))


def _calm(image: np.ndarray, face: Face | None) -> np.ndarray:
    """Luma of the inner face in a crop that follows it."""
    assert face is not None
    matrix = similarity(face.points5, (_OVAL - 0.5) * 1.4 + 0.5, _CALM_SIZE)
    crop = cv2.warpAffine(image, matrix, (_CALM_SIZE, _CALM_SIZE), flags=cv2.INTER_LINEAR)
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1:])
