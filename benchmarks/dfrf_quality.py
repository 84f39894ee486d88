"""A person's field on frames that were held back: signal to noise, likeness, lips, against training time."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.report import report
from facegen import media
from facegen.faces import FaceAnalyser, mesh
from facegen.talk.dfrf.reference_field import ReferenceField
from facegen.talk.dfrf.rendering import masked_mse, read_head_mask, split_head
from facegen.talk.renderers.field import load_frame_renderer
from facegen.talk.rig import lip_gap, mouth_width
from facegen.training.logger import read_losses
from facegen.training.losses import gmsd, ssim
from facegen.training.request import read_request

MEASURES = ("facegen/talk/dfrf", "facegen/training")
_LIPS = [*mesh.LIPS_OUTER, *mesh.LIPS_INNER]
_SHEET = 8


def main(arguments: list[str]) -> None:
    """Run the benchmark on finished runs of «facegen talk train»."""
    parser = argparse.ArgumentParser(prog="benchmarks dfrf_quality", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, such as one of each field at equal minutes")
    parser.add_argument("--frames", type=int, default=100, help="held-out frames, in one stretch from their middle")
    parser.add_argument("--sheet", type=Path, help="where a sheet of real and drawn frames goes (.png)")
    parser.add_argument(
        "--every",
        type=int,
        default=0,
        help="only every so many pixels, across and down, which «reference» can draw too",
    )
    asked = parser.parse_args(arguments)
    if asked.every:
        _compare([_sample_row(run, asked.frames, asked.every) for run in asked.runs], asked.every)
        return
    analyser = FaceAnalyser()
    rows = [_row(run, asked.frames, analyser, asked.sheet) for run in asked.runs]
    best = rows[0]
    figures = {name: best[name] for name in ("head PSNR, dB", "head SSIM", "lip distance", "lip correlation")}
    notes = [
        "Held-out frames, drawn from their own sound and from what was tracked in them: camera and eyes; with «surface» "
        "as «conditioning» also brows and how the skin lies above the cheeks, by optical flow in the preparation. Nothing of the "
        "mouth is tracked into them, and the tracker knows no field. Head: skin, features, hair and ears as the parser "
        "sees them; frame: all of the picture before the still background. Lip distance: mean over lip points, in widths "
        "of the mouth, pose taken out; «still»: the person's resting mouth all along.",
        "Error in a part: its share of the head's squared error, on its share of the pixels.",
        "Minutes are those of the training process; other work on the machine is in them.",
    ]
    report("dfrf_quality", rows=rows, figures=figures, notes=notes, measures=MEASURES)


def _compare(rows: list[dict[str, object]], every: int) -> None:
    figures = {f"{row['run']}, head PSNR, dB": row["head PSNR, dB"] for row in rows}
    notes = [
        f"Every {every}th pixel of the head, across and down, in held-out frames spread over all of them; drawn from their "
        "own sound, camera and eyes. Whole frames of «reference», which SSIM and lips would need, take too long.",
        "Minutes are those of the training process; other work on the machine is in them.",
    ]
    report("dfrf_fields", rows=rows, figures=figures, notes=notes, measures=MEASURES)


def _sample_row(run: Path, count: int, every: int) -> dict[str, object]:
    renderer = load_frame_renderer(run, torch.device("cpu"))
    scene = renderer.scene
    figures, total = [], 0
    for index in np.linspace(scene.state.train_frames, scene.state.frame_count - 1, count).astype(int).tolist():
        drawn, pixels = renderer.render_pixels(index, every)
        at = (pixels[..., 1], pixels[..., 0])
        mask = read_head_mask(scene, index)[at]
        figures.append(_decibels(masked_mse(drawn, scene.folder.read_picture("com_imgs", index)[at], mask)))
        total += int(mask.sum())
    steps, minutes = _training_time(run)
    return {
        "run": run.name,
        "field": "reference" if isinstance(renderer.model.field, ReferenceField) else "fast",
        "from": Path(read_request(_training_folder(run)).task_settings.get("start", "")).name or "nothing",
        "conditioning": _conditioning(run),
        "frames": count,
        "pixels": total,
        "steps": steps,
        "minutes": minutes,
        "head PSNR, dB": round(float(np.mean(figures)), 2),
    }


def _training_time(run: Path) -> tuple[int, float]:
    """Steps and minutes of a run's training."""
    lines = [line for line in read_losses(_training_folder(run)) if "steps_per_second" in line]
    return (lines[-1]["step"], round((lines[-1]["time"] - lines[0]["time"]) / 60, 1)) if lines else (0, 0.0)


def _conditioning(run: Path) -> str:
    """What the field of a run is conditioned on besides audio and camera."""
    return "surface" if read_request(_training_folder(run)).task_settings.get("surface", False) else "eyes"


def _training_folder(run: Path) -> Path:
    return run / "training" if (run / "training").is_dir() else run


def _row(run: Path, count: int, analyser: FaceAnalyser, sheet: Path | None) -> dict[str, object]:
    renderer = load_frame_renderer(run, torch.device("cpu"))
    scene = renderer.scene
    held = range(scene.state.train_frames, scene.state.frame_count)
    first = held[0] + max(0, (len(held) - count) // 2)
    frames = range(first, min(first + count, held[-1] + 1))
    figures: dict[str, list[float]] = {"head": [], "frame": [], "ssim": [], "gmsd": []}
    lips: dict[str, list[np.ndarray]] = {"real": [], "drawn": []}
    shown: list[np.ndarray] = []
    parts: dict[str, list[tuple[float, float]]] = {}
    for index in frames:
        drawn, real = renderer.render_video_frame(index), scene.folder.read_picture("com_imgs", index)
        mask = read_head_mask(scene, index)
        figures["head"].append(_decibels(masked_mse(drawn, real, mask)))
        figures["frame"].append(_decibels(masked_mse(drawn, real, np.ones_like(mask))))
        for name, part in split_head(scene, index).items():
            size = float(part.sum() / mask.sum())
            error = size * masked_mse(drawn, real, part) if size else 0.0
            parts.setdefault(name, []).append((size, error))
        pair = [_crop_to_mask(picture, mask) for picture in (drawn, real)]
        figures["ssim"].append(float(ssim(pair[0], pair[1])))
        figures["gmsd"].append(float(gmsd(pair[0], pair[1])))
        for name, picture in (("real", real), ("drawn", drawn)):
            lips[name].append(_lips(picture, analyser))
        if index in frames[:: max(1, len(frames) // _SHEET)]:
            shown.append(cv2.resize(np.concatenate([real, drawn]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    if sheet is not None:
        media.write_picture(sheet.with_stem(f"{sheet.stem}-{run.name}"), np.concatenate(shown[:_SHEET], 1))
    real, drawn = np.stack(lips["real"]), np.stack(lips["drawn"])
    rest = np.repeat(real[np.argsort(_gaps(real))[: max(1, len(real) // 8)]].mean(0)[None], len(real), 0)
    steps, minutes = _training_time(run)
    return {
        "run": run.name,
        "conditioning": _conditioning(run),
        "frames": len(frames),
        "steps": steps,
        "minutes": minutes,
        "head PSNR, dB": round(float(np.mean(figures["head"])), 2),
        "frame PSNR, dB": round(float(np.mean(figures["frame"])), 2),
        "head SSIM": round(float(np.mean(figures["ssim"])), 3),
        "head GMSD": round(float(np.mean(figures["gmsd"])), 4),
        **_shares(parts),
        "lip distance": round(_distance(drawn, real), 4),
        "still": round(_distance(rest, real), 4),
        "lip correlation": round(float(np.corrcoef(_gaps(drawn), _gaps(real))[0, 1]), 3),
    }


def _shares(parts: dict[str, list[tuple[float, float]]]) -> dict[str, str]:
    """Of each part of the head, its share of the squared error and of the pixels."""
    means = {name: np.mean(rows, 0) for name, rows in parts.items()}
    total = sum(error for _, error in means.values())
    return {f"error in {name}": f"{error / total:.0%} on {size:.0%}" for name, (size, error) in means.items()}


def _decibels(error: float) -> float:
    return float(-10 * np.log10(error))


def _crop_to_mask(picture: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """(1, 3, h, w) in [0, 1]: the rectangle round the head, everything else black."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    cut = (picture * mask[..., None])[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return torch.from_numpy(np.ascontiguousarray(cut)).permute(2, 0, 1)[None].float() / 255


def _lips(picture: np.ndarray, analyser: FaceAnalyser) -> np.ndarray:
    """(468, 3) canonical points in widths of the mouth."""
    points = analyser.detect(picture, max_faces=1)[0].points478[: mesh.VERTEX_COUNT]
    canonical = mesh.Pose.of(points).to_canonical(points)
    return canonical / mouth_width(canonical)


def _gaps(points: np.ndarray) -> np.ndarray:
    return lip_gap(points)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    lips = [points[:, _LIPS] - points[:, _LIPS].mean(1, keepdims=True) for points in (a, b)]
    return float(np.linalg.norm((lips[0] - lips[1])[..., :2], axis=-1).mean())
