"""How a swapped face stands in its frame's light: tone, light, contrast and fine detail of plain skin, before and after.

    python -m benchmarks.swap_tone [--quick] [--tuning] [--finish STRENGTH] [--sheets FOLDER]

Pairs: twelve clips with four sources each, two frames of each. No training and no constant of the swap reads these clips nor
these sources; `--tuning` measures those that constants were chosen on. Skin is compared where original and result both show
it, in CIE Lab; widths are shares of the face's.
"""

import argparse
import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import swap_clips
from benchmarks.report import report
from facegen import media
from facegen.faces import ClipAnalysis, Face, distance, light, mesh
from facegen.swap import SwapOptions, SwapPipeline
from facegen.swap.engines.occlusion import OcclusionDetector
from facegen.swap.preview import lay_out
from facegen.swap.sources import load_sources

TUNING_CLIPS = (
    "clips/liveportrait_d9.mp4",
    "clips/liveportrait_d10.mp4",
    "clips/liveportrait_d12.mp4",
    "clips/liveportrait_d20.mp4",
    "clips/liveportrait_d3.mp4",
    "clips/liveportrait_s20.mp4",
    "clips/single_face_640x360.mp4",
    "clips/face_then_noface.mov",
)
TUNING_SOURCES = ("female_00", "female_04", "female_08", "male_12", "male_50")
"""Constants of the harmonization were chosen on these and on hard_pairs.tsv; `--tuning` measures them."""
PROVING_CLIPS = (
    *(f"talking/synthetic/vasa_{name}.mp4" for name in ("3", "5", "7", "10", "11", "12", "13", "17", "l2", "l3", "l8")),
    "talking/cnn2_25fps_512_71s.mp4",
)
PROVING_SOURCES = ("female_12", "female_16", "male_04", "male_16")
"""Nothing was chosen on these. Trainings for swaps leave out every fourth of portraits/synthetic, and all clips."""
SLOW, FINE = 0.06, 0.015
"""Standard deviations of the blurs beyond which light is slow, and below which detail is fine."""
BOUNDS = {
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
    parser.add_argument("--tuning", action="store_true")
    parser.add_argument("--sheets", type=Path, default=swap_clips.WORK / "swap_tone")
    arguments_parsed = parser.parse_args(arguments)
    arguments_parsed.sheets.mkdir(parents=True, exist_ok=True)
    options = SwapOptions(faces="largest", finish=arguments_parsed.finish)
    pipeline = SwapPipeline()
    detector = OcclusionDetector()
    rows = []
    selected = list(tuning_pairs() if arguments_parsed.tuning else proving_pairs())
    selected = selected[:: len(selected) // 4] if arguments_parsed.quick else selected
    for clip, source in selected:
        row, pictures = measure(pipeline, detector, clip, source, options)
        rows.append(row)
        print(row, flush=True)
        sheet = arguments_parsed.sheets / f"{Path(clip).stem}__{Path(source).stem}.jpg"
        media.write_picture(sheet, lay_out([(*pair, "") for pair in pictures]))
    name = "swap_tone_tuning" if arguments_parsed.tuning else "swap_tone"
    report(
        f"{name}_quick" if arguments_parsed.quick else name,
        rows,
        figures=summary(rows),
        notes=(
            f"finish {arguments_parsed.finish:g}; plain skin that both show, CIE Lab; sheets in {arguments_parsed.sheets}.",
            f"Light: L blurred by {SLOW:g} of the face's width; its correlation and its spread by the original's.",
            f"Fine detail: mean absolute difference of L and L blurred by {FINE:g} of the width, by the original's.",
            "Tone: distance of the means in Lab. Distance: dlib's, result to source.",
        ),
    )


def proving_pairs() -> Iterator[tuple[str, str]]:
    """(clip, source) below the material's folder that nothing was chosen on."""
    return itertools.product(PROVING_CLIPS, map(portrait, PROVING_SOURCES))


def tuning_pairs() -> Iterator[tuple[str, str]]:
    """(clip, source) that constants were chosen on, with those of hard_pairs.tsv."""
    yield from itertools.product(TUNING_CLIPS, map(portrait, TUNING_SOURCES))
    with swap_clips.material("hard_pairs.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield row["target"], row["source"]


def portrait(name: str) -> str:
    """Where one of portraits/synthetic lies below the material's folder."""
    folder = "portraits/synthetic"
    (path,) = swap_clips.material(folder).glob(f"{name}_1024.*")
    return f"{folder}/{path.name}"


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
    """What the bounds speak of, and the mean distance to the source."""
    functions = {"median": np.median, "p10": lambda v: np.percentile(v, 10), "p90": lambda v: np.percentile(v, 90)}
    figures: dict[str, Any] = {}
    for name, (function, bound) in BOUNDS.items():
        values = [row[name.split(",")[0]] for row in rows]
        figures[name] = {"measured": round(float(functions[function](values)), 3), "bound": bound}
    figures["distance (median)"] = round(float(np.median([row["distance"] for row in rows if "distance" in row])), 3)
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
