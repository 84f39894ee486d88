"""What the invisible watermark survives: 200 pictures and 40 clips after what people do to them, and unmarked ones."""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.report import report
from facegen.encoding import EncodeOptions
from facegen.media import Frame, probe, read_frames, read_picture, write_video
from facegen.media.info import VideoInfo
from facegen.provenance import THRESHOLD, MarkKey, MarkScore, Watermark, detect_mark, mark_picture, to_luma
from facegen.provenance.detection import search_video

MEASURES = (
    "facegen/media/frame.py",
    "facegen/provenance/detection.py",
    "facegen/provenance/spectrum.py",
    "facegen/provenance/watermark.py",
)
PARTS = ("pictures", "unmarked", "clips")
KEY = MarkKey(installation_id=0xFACE01, secret=b"benchmark")
PICTURES = (
    ("faces/generated512/*/*.webp", 60),
    ("portraits/synthetic/*.*", 80),
    ("portraits/london/*.jpg", 16),
    ("faces/celebamask/images/*.jpg", 44),
)
"""Where pictures come from, and how many of each: 512, 1024, 1350 and 256 pixels."""
CLIPS, FRAMES = 40, 48
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main(arguments: list[str]) -> None:
    """Print three tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks mark_survival", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of clips and photographs")
    parser.add_argument("--share", type=float, default=1.0, help="share of the pictures and clips to take")
    parser.add_argument("--sheet", type=Path, help="a picture to write: before, after and their difference")
    parser.add_argument("--only", choices=PARTS, help="one of the three tables (all take hours on two cores)")
    parser.add_argument("--keep", type=Path, help="folder of what is measured, so that the same command goes on")
    known = parser.parse_args(arguments)
    data, parts = known.data.absolute(), (known.only,) if known.only else PARTS
    files = list(_choose_pictures(data, known.share))
    if known.sheet:
        _write_sheet(files, known.sheet)
    with tempfile.TemporaryDirectory() as folder:
        keep = known.keep or Path(folder) / "kept"
        keep.mkdir(parents=True, exist_ok=True)
        if "pictures" in parts:
            notes = [f"Found above {THRESHOLD:g} by the installation that made it."]
            report("mark_survival_pictures", _pictures(files, keep), measures=MEASURES, notes=notes)
        if "unmarked" in parts:
            report("mark_survival_unmarked", _score_unmarked(files, keep), measures=MEASURES)
        if "clips" in parts:
            clips = list(_choose_clips(data))[: max(1, round(CLIPS * known.share))]
            report("mark_survival_clips", _clips(clips, Path(folder), keep), measures=MEASURES)


def _once(file: Path, measure: Callable[[], Any]) -> Any:
    """What was measured, now or by an earlier run of the same command."""
    if not file.is_file():
        file.write_text(json.dumps(measure()), encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def _choose_pictures(data: Path, share: float) -> Iterator[tuple[str, Path]]:
    for pattern, count in PICTURES:
        paths = sorted(data.glob(pattern))
        order = np.random.default_rng(0).permutation(len(paths))
        yield from ((pattern.split("/")[1], paths[index]) for index in order[: max(1, round(count * share))])


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))


def _scale(image: np.ndarray, factor: float) -> np.ndarray:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)


def _crop(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A part of the picture with this share of both of its sides, anywhere in it."""
    height, width = (round(side * share) for side in image.shape[:2])
    top, left = random.integers(image.shape[0] - height + 1), random.integers(image.shape[1] - width + 1)
    return image[top : top + height, left : left + width]


def _turn(image: np.ndarray, degrees: float) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height))


def _window(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A screenshot: the picture at 50 to 88 % of a screen's height, with a dark bar and lines of text beside it."""
    height, width = (800, 1280) if min(image.shape[:2]) <= 512 else (1080, 1920)
    screen = np.full((height, width, 3), 245, np.uint8)
    screen[:40] = 60
    for line in range(30):
        cv2.putText(screen, f"Item {line}", (12, 80 + 24 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1)
    image = _scale(image, height * random.uniform(0.5, 0.88) / image.shape[0])
    top = random.integers(50, height - image.shape[0] - 20)
    left = random.integers(150, width - image.shape[1] - 20)
    screen[top : top + image.shape[0], left : left + image.shape[1]] = image
    return screen


_SUBTRACTED = "another file's pattern subtracted"
CHANGES: dict[str, Change] = {
    "as written": lambda image, _: image,
    "JPEG 50": lambda image, _: _jpeg(image, 50),
    "half size, JPEG 50": lambda image, _: _jpeg(_scale(image, 0.5), 50),
    "double size": lambda image, _: _scale(image, 2),
    "crop to 70 % of the sides, JPEG 85": lambda image, random: _jpeg(_crop(image, 0.7, random), 85),
    "turn up to 5 degrees, JPEG 85": lambda image, random: _jpeg(_turn(image, random.uniform(-5, 5)), 85),
    "screenshot, JPEG 85": lambda image, random: _jpeg(_window(image, random), 85),
}


def _pictures(files: list[tuple[str, Path]], keep: Path) -> list[dict[str, Any]]:
    """For each change, how many were found, by size of the pictures, and the weakest and median score."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {name: [] for name in (*CHANGES, _SUBTRACTED)}
    decibels = []
    for index, (group, path) in enumerate(files):
        before = files[index - 1][1] if index else None
        measured = _once(keep / f"picture-{index}.json", partial(_measure, index, path, before))
        decibels.append(measured["psnr"])
        for name, score in measured["scores"].items():
            found[name].append((group, score))
        print(f"{index + 1} of {len(files)} pictures", flush=True)
    rows = []
    for name, scores in found.items():
        row: dict[str, Any] = {"change": name, "pictures": len(scores), "found": sum(s["found"] for _, s in scores)}
        row["secret"] = sum(s["secret"] for _, s in scores)
        for group in dict(files):
            some = [score for own, score in scores if own == group]
            row[group] = f"{sum(s['found'] for s in some)}/{len(some)}"
        row |= {"least": round(min(s["score"] for _, s in scores), 1)}
        row |= {"median": round(statistics.median(s["score"] for _, s in scores), 1)}
        row |= {"psnr_least": round(min(decibels), 1), "psnr_median": round(statistics.median(decibels), 1)}
        rows.append(row)
    return rows


def _measure(index: int, path: Path, before: Path | None) -> dict[str, Any]:
    """One picture after each change; the pattern of the one before it is subtracted where both have one size."""
    image, random = read_picture(path), np.random.default_rng(index)
    marked = mark_picture(image, KEY)
    scores = {name: _detect(change(marked, random)) for name, change in CHANGES.items()}
    other = read_picture(before) if before else None
    if other is not None and other.shape == image.shape:
        pattern = mark_picture(other, KEY).astype(np.int16) - other
        scores[_SUBTRACTED] = _detect(np.clip(marked - pattern, 0, 255).astype(np.uint8))
    kept = {name: {"score": s.score, "found": s.is_found, "secret": s.is_secret} for name, s in scores.items()}
    return {"psnr": cv2.PSNR(image, marked), "scores": kept}


def _detect(image: np.ndarray) -> MarkScore:
    return detect_mark(to_luma(np.ascontiguousarray(image)), KEY)


def _measure_unmarked(path: Path) -> float:
    return _detect(read_picture(path)).score


def _score_unmarked(files: list[tuple[str, Path]], keep: Path) -> list[dict[str, Any]]:
    """The highest scores of unmarked pictures, all geometries tried."""
    scores = [
        _once(keep / f"unmarked-{index}.json", partial(_measure_unmarked, path))
        for index, (_, path) in enumerate(files)
        if index % 2 == 0
    ]
    median, highest = round(statistics.median(scores), 2), round(max(scores), 2)
    return [{"pictures": len(scores), "median": median, "highest": highest, "threshold": THRESHOLD}]


def _choose_clips(data: Path) -> Iterator[tuple[Path, int]]:
    """Clips and the frame to begin with: all that there are, then later parts of the longest."""
    paths = [
        path
        for pattern in ("clips/*.m*", "talking/**/*.m*g", "talking/**/*.mp4")
        for path in sorted(data.glob(pattern))
    ]
    paths = [path for path in paths if path.suffix in (".mp4", ".mov", ".mpg")]
    yield from ((path, 0) for path in paths)
    yield from ((path, 150) for path in paths if probe(path).frame_count > 300)


def _clips(clips: list[tuple[Path, int]], scratch: Path, keep: Path) -> list[dict[str, Any]]:
    rows = []
    for index, (path, start) in enumerate(clips):
        row = _once(keep / f"clip-{index}.json", partial(_measure_clip, path, start, scratch))
        rows.append(row)
        print(row, flush=True)
    names = ("crf 28", "crop to 80 %, crf 23", "720p to 360p")
    total = {"clip": "all", "from": "", "psnr": min(row["psnr"] for row in rows), "size": ""}
    total |= {name: f"{sum(row[name] > THRESHOLD for row in rows)}/{len(rows)}" for name in names}
    total["psnr 720p"] = min(row["psnr 720p"] for row in rows)
    return [*rows, total]


def _measure_clip(path: Path, start: int, scratch: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"clip": path.stem[:24], "from": start}
    marked, row["psnr"] = _write_marked(path, start, scratch / "marked.mp4", None)
    row["size"] = "x".join(map(str, probe(marked).size_hw[::-1]))
    row["crf 28"] = _search(_again(marked, 28, 1.0))
    row["crop to 80 %, crf 23"] = _search(_again(marked, 23, 1.0, crop=0.8))
    hd, row["psnr 720p"] = _write_marked(path, start, scratch / "hd.mp4", 720)
    row["720p to 360p"] = _search(_again(hd, 23, 0.5))
    return row


def _write_marked(path: Path, start: int, to: Path, shorter: int | None) -> tuple[Path, float]:
    """The clip marked and written as swaps are, at its own size or at another; with its distance from the unmarked."""
    info, frames = probe(path), islice(read_frames(path, start_index=start), FRAMES)
    pictures = [frame.image_rgb for frame in frames]
    if shorter is not None:
        factor = shorter / min(pictures[0].shape[:2])
        size_wh = tuple(round(side * factor / 2) * 2 for side in pictures[0].shape[1::-1])
        pictures = [cv2.resize(picture, size_wh, interpolation=cv2.INTER_CUBIC) for picture in pictures]
    height, width = pictures[0].shape[0] // 2 * 2, pictures[0].shape[1] // 2 * 2
    like = VideoInfo(
        path="", width=width, height=height, frame_rate=info.frame_rate, time_base=1 / info.frame_rate,
        duration_seconds=len(pictures) / float(info.frame_rate), frame_count=len(pictures), codec="h264", pix_fmt="yuv420p",
    )  # fmt: skip
    mark = Watermark((height, width), KEY, salt=repr((path.stem, start)).encode())
    plain = [
        Frame.from_picture(np.ascontiguousarray(one[:height, :width]), index=i, pts=i, time_base=like.time_base)
        for i, one in enumerate(pictures)
    ]
    write_video(to, map(mark.mark_frame, plain), like, encode=EncodeOptions(crf=18))
    return to, round(float(cv2.PSNR(plain[0].planes[0], mark.mark_frame(plain[0]).planes[0])), 1)


def _again(path: Path, crf: int, scale: float, crop: float = 1.0) -> Path:
    """The video after another encoder has had it, as a messenger does."""
    to = path.with_name("again.mkv")
    with av.open(str(to), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for frame in read_frames(path):
            height, width = frame.size_hw
            top, left = round(height * (1 - crop) * 0.3), round(width * (1 - crop) * 0.7)
            image = frame.image_rgb[top : top + round(height * crop), left : left + round(width * crop)]
            size_wh = tuple(round(side * scale / 2) * 2 for side in image.shape[1::-1])
            image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
            if frame.index == 0:
                stream.width, stream.height = size_wh
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return to


def _search(path: Path) -> float:
    best = search_video(path, KEY).best
    return round(best.score, 1) if best else 0.0


def _write_sheet(files: list[tuple[str, Path]], to: Path) -> None:
    """Before, after, and eight times the difference, of one picture of each size."""
    rows = []
    for group in dict(files):
        image = read_picture(next(path for own, path in files if own == group))[..., ::-1]
        marked = mark_picture(np.ascontiguousarray(image), KEY)
        difference = np.clip(128 + 8 * (marked.astype(np.int16) - image), 0, 255).astype(np.uint8)
        rows.append(np.hstack([cv2.resize(one, (512, 512)) for one in (image, marked, difference)]))
    cv2.imwrite(str(to), np.vstack(rows))
