"""How a swapped face stands in its frame's light: tone, light, contrast and fine detail of plain skin, before and after.

    python -m benchmarks.swap_tone [--quick] [--part PART] [--finish STRENGTH] [--sheets FOLDER]

Two frames of each of `swap_clips.pairs`, of both parts unless one is named. Skin is compared where original and result both
show it, in CIE Lab; widths are shares of the face's.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import swap_clips
from benchmarks.division import PARTS
from benchmarks.report import estimate, report
from facegen import media
from facegen.faces import ClipAnalysis, Face, distance, light, mesh
from facegen.swap import SwapOptions, SwapPipeline
from facegen.swap.engines.occlusion import OcclusionDetector
from facegen.swap.preview import lay_out
from facegen.swap.sources import load_sources

MEASURES = swap_clips.SWAP_CODE
SLOW, FINE = 0.06, 0.015
"""Standard deviations of the blurs beyond which light is slow, and below which detail is fine."""
BOUNDS: dict[str, tuple[str, Any]] = {
    "light correlation": ("median", 0.90),
    "light correlation, worst tenth": ("p10", 0.75),
    "contrast": ("median", (0.8, 1.25)),
    "fine detail": ("median", (0.8, 1.4)),
    "fine detail, nine of ten": ("p90", 1.7),
    "tone": ("median", 4.0),
}


def main(arguments: list[str]) -> None:
    """Measure every pair; with --quick four pairs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swap_tone")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--finish", type=float, default=SwapOptions().finish)
    parser.add_argument("--part", choices=PARTS, help="one part alone")
    parser.add_argument("--sheets", type=Path, default=swap_clips.WORK / "swap_tone")
    arguments_parsed = parser.parse_args(arguments)
    arguments_parsed.sheets.mkdir(parents=True, exist_ok=True)
    options = SwapOptions(faces="largest", finish=arguments_parsed.finish)
    pipeline = SwapPipeline()
    detector = OcclusionDetector()
    rows: list[dict[str, Any]] = []
    for part in PARTS if arguments_parsed.part is None else (arguments_parsed.part,):
        selected = swap_clips.pairs(part)
        for clip, source in selected[:: len(selected) // 4] if arguments_parsed.quick else selected:
            row, pictures = measure(pipeline, detector, clip, source, options)
            rows.append({"part": part, **row})
            print(rows[-1], flush=True)
            sheet = arguments_parsed.sheets / f"{Path(clip).stem}__{Path(source).stem}.jpg"
            media.write_picture(sheet, lay_out([(*pair, "") for pair in pictures]))
    name = "_".join(filter(None, ("swap_tone", arguments_parsed.part, "quick" * arguments_parsed.quick)))
    if options.finish != SwapOptions().finish:
        name += f"_finish{options.finish:g}"
    parts = dict.fromkeys(row["part"] for row in rows)
    report(
        name,
        rows,
        figures={part: summary([row for row in rows if row["part"] == part]) for part in parts},
        notes=(
            f"finish {arguments_parsed.finish:g}; plain skin that both show, CIE Lab; sheets in {arguments_parsed.sheets}.",
            f"Light: L blurred by {SLOW:g} of the face's width; its correlation and its spread by the original's.",
            f"Fine detail: mean absolute difference of L and L blurred by {FINE:g} of the width, by the original's.",
            "Tone: distance of the means in Lab. Distance: dlib's, result to source.",
        ),
        measures=MEASURES,
    )


def measure(
    pipeline: SwapPipeline, detector: OcclusionDetector, clip: str, source: str, options: SwapOptions
) -> tuple[dict[str, Any], list[tuple[np.ndarray, np.ndarray]]]:
    """One line of the table and (original, result) of two frames."""
    target = str(swap_clips.material(clip))
    engine, analyser = pipeline.engine(options), pipeline.analyser
    pictures = load_sources([str(swap_clips.material(source))], analyser).pictures
    identity = engine.prepare(pictures)
    (known,) = analyser.embed(pictures[0][0], [pictures[0][1]])
    analysis = pipeline.find_people(target)
    measured, shown = [], []
    for index in frame_indices(analysis):
        frame = next(iter(media.read_frames(target, start_index=index)))
        face = largest(analysis, index)
        assert face is not None
        prediction = engine.predict(frame.image_rgb, face, identity, options)
        patch = engine.composite(prediction, engine.smooth([prediction.statistics], 0, options), options, seed=index)
        result = media.paste_picture(frame.image_rgb, [patch])
        mask = detector.detect(frame.image_rgb, face, is_target=False)
        figures = compare(frame.image_rgb, result, face, mask)
        swapped = min(
            analyser.detect(result),
            key=lambda item: float(np.linalg.norm(item.points5[2] - face.points5[2])),
            default=None,
        )
        if swapped is not None:
            (swapped,) = analyser.embed(result, [swapped])
            figures["distance"] = distance(swapped.embedding, known.embedding)
        measured.append(figures)
        shown.append((frame.image_rgb, result))
    means = {name: round(float(np.mean([one[name] for one in measured if name in one])), 3) for name in measured[0]}
    return {"clip": Path(clip).stem, "source": Path(source).stem, **means}, shown


def frame_indices(analysis: ClipAnalysis) -> list[int]:
    """Two frames that show a face, a third and two thirds through those that do."""
    known = [index for index in range(analysis.frame_count) if largest(analysis, index) is not None]
    return [known[len(known) // 3], known[2 * len(known) // 3]]


def largest(analysis: ClipAnalysis, index: int) -> Face | None:
    """The largest face of a frame."""
    return max(analysis.faces(index), key=lambda face: face.size_px, default=None)


def compare(original: np.ndarray, result: np.ndarray, face: Face, mask: Any) -> dict[str, float]:
    """The figures of one frame.

    Args:
        original: (H, W, 3) uint8 RGB.
        result: the same size.
        face: in the original.
        mask: its visibility.
    """
    matrix = _crop_matrix(face)
    size = (256, 256)
    before, after = (cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA) for image in (original, result))
    points = np.column_stack(
        [face.points478[: mesh.VERTEX_COUNT, :2] @ matrix[:, :2].T + matrix[:, 2], np.zeros(mesh.VERTEX_COUNT)]
    )
    skin, _ = mesh.rasterise(points.astype(np.float32), np.repeat(light.skin_vertices()[:, None], 3, 1), size)
    visible = np.ones(size, np.float32)
    if mask is not None:
        to_crop = matrix @ np.vstack([cv2.invertAffineTransform(mask.matrix), [0, 0, 1]])
        visible = cv2.warpAffine(mask.visibility, to_crop, size).astype(np.float32) / 255
    width = float(np.ptp(points[:, 0]))
    plain = cv2.erode(((skin[..., 0] > 0.9) & (visible > 0.9)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    labs = [cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for image in (before, after)]
    weight = plain.astype(np.float32)
    slow, fine = [], []
    for lab in labs:
        sums = cv2.GaussianBlur(lab[..., 0] * weight, (0, 0), SLOW * width)
        slow.append((sums / (cv2.GaussianBlur(weight, (0, 0), SLOW * width) + 1e-3))[plain])
        fine.append(np.abs(lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), FINE * width))[plain].mean())
    return {
        "light correlation": float(np.corrcoef(slow[0], slow[1])[0, 1]),
        "contrast": float(slow[1].std() / (slow[0].std() + 1e-6)),
        "fine detail": float(fine[1] / (fine[0] + 1e-6)),
        "tone": float(np.linalg.norm(labs[0][plain].mean(0) - labs[1][plain].mean(0))),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the bounds speak of, and the distance to the source, with intervals over clips."""
    functions = {"median": np.median, "p10": lambda v: np.percentile(v, 10), "p90": lambda v: np.percentile(v, 90)}
    figures: dict[str, Any] = {}
    for name, (function, bound) in {**BOUNDS, "distance": ("median", None)}.items():
        clips: dict[str, list[float]] = {}
        for row in rows:
            clips.setdefault(row["clip"], []).extend(row[key] for key in [name.split(",")[0]] if key in row)
        figures[name] = {**estimate(list(clips.values()), functions[function]), "bound": bound}
    return figures


def _crop_matrix(face: Face) -> np.ndarray:
    """(2, 3) to 256 pixels whose middle is the face's, upright in the frame."""
    low, high = face.points478[:, :2].min(0), face.points478[:, :2].max(0)
    side = float((high - low).max()) * 1.1
    scale = 256 / side
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], np.float32)
    matrix[:, 2] = 128 - scale * (low + high) / 2
    return matrix


if __name__ == "__main__":
    main(sys.argv[1:])
