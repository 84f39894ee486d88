"""What marking and signing cost, what the watermark survives, and how often it is seen where it is not."""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.report import report
from facegen.media import Frame, is_picture, probe, read_frames, read_picture, write_video
from facegen.provenance import THRESHOLD, Claims, Watermark, detect_mark, mark_picture, sign, verify
from facegen.provenance.detection import search_video, to_canonical_grid

PAYLOAD = 0xFACE01
FRAMES = 50
CLIPS = (
    "talking/cnn2_25fps_512_71s.mp4",
    "clips/liveportrait_d9.mp4",
    "talking/synthetic/vasa_10.mp4",
    "clips/pexels_woman_handocclusion_turn.mp4",
    "clips/single_face_640x360.mp4",
    "clips/painting_henry8_5fps.mp4",
    "clips/crowd_multiface_1080p.mp4",
)
VIDEO_CHANGES = ((18, 1.0), (23, 1.0), (28, 1.0), (23, 0.75), (23, 0.5))
PICTURE_CHANGES = ((90, 1.0), (75, 1.0), (60, 1.0), (85, 0.75), (85, 0.5))

_SCORES = (
    f"Scores of the watermark, found above {THRESHOLD:g}, as its own installation sees them; videos of {FRAMES} frames."
)


def main(arguments: list[str]) -> None:
    """Print four tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks provenance", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of clips and photographs")
    data = parser.parse_args(arguments).data.absolute()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        costs = [*_mark_costs(), *_sign_costs(data, scratch)]
        videos = list(_video_survival(data, scratch))
    report("provenance_cost", costs)
    report("provenance_videos", videos, notes=[_SCORES])
    report("provenance_pictures", list(_picture_survival(data)), notes=[_SCORES])
    report("provenance_false_positives", _false_positives(data))


def _milliseconds(work: Callable[[], object], rounds: int = 50) -> float:
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 3)


def _mark_costs() -> Iterator[dict[str, Any]]:
    """The mark added to a frame, and the library invisible-watermark on the same picture, where it is installed."""
    for height, width in ((512, 512), (720, 1280), (1080, 1920)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        frame = Frame.from_picture(image, index=0, pts=0, time_base=Fraction(1, 25))
        delta = Watermark((height, width), PAYLOAD).luma_delta
        size = f"{width}x{height}"
        yield {"what": f"mark a frame, {size}", "ms": _milliseconds(lambda f=frame, d=delta: f.add_luma(d))}
        yield {"what": f"look for the mark, {size}", "ms": _milliseconds(lambda i=image: _score(i), 10)}
    try:
        from imwatermark.maxDct import EmbedMaxDct
    except ImportError:
        return
    bgr = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    other = EmbedMaxDct([0, 1] * 16, wmLen=32)
    yield {"what": "invisible-watermark dwtDct, 512x512", "ms": _milliseconds(lambda: other.encode(bgr), 5)}


def _sign_costs(data: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    """Signing and verifying whole files."""
    for name in CLIPS[:1] + CLIPS[-1:]:
        path = scratch / f"signed{Path(name).suffix}"
        shutil.copy(data / name, path)
        megabytes = path.stat().st_size / 1e6
        claims = Claims(job="swap", engine="benchmark")
        yield {"what": f"sign {megabytes:.1f} MB", "ms": _milliseconds(lambda p=path, c=claims: sign(p, c), 5)}
        yield {"what": f"verify {megabytes:.1f} MB", "ms": _milliseconds(lambda p=path: verify(p), 3)}


def _video_survival(data: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    for name in CLIPS:
        source, marked = data / name, scratch / "marked.mp4"
        info = probe(source)
        delta = Watermark(info.size_hw, PAYLOAD).luma_delta
        clean = list(islice(read_frames(source), FRAMES))
        write_video(marked, (frame.add_luma(delta) for frame in clean), info, crf=18)
        psnr = statistics.mean(cv2.PSNR(f.planes[0], f.add_luma(delta).planes[0]) for f in clean[:5])
        row = {"file": Path(name).stem, "size": f"{info.width}x{info.height}", "psnr_db": round(psnr, 1)}
        row["as written"] = _found(marked)
        for crf, scale in VIDEO_CHANGES:
            row[f"again crf {crf}" + ("" if scale == 1 else f", x{scale}")] = _found(_again(marked, crf, scale))
        yield row


def _picture_survival(data: Path) -> Iterator[dict[str, Any]]:
    for pattern in (
        "portraits/synthetic/*_00_1024.jpg",
        "portraits/london/0*9_03*.jpg",
        "faces/celebamask/images/00*.jpg",
    ):
        for path in sorted(data.glob(pattern))[:2]:
            image = read_picture(path)
            marked = mark_picture(image, PAYLOAD)
            row = {"file": path.stem[:20], "size": f"{image.shape[1]}x{image.shape[0]}"}
            row |= {
                "psnr_db": round(cv2.PSNR(image, marked), 1),
                "unmarked": _score(image),
                "as written": _score(marked),
            }
            for quality, scale in PICTURE_CHANGES:
                small = cv2.resize(marked, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
                key = f"JPEG {quality}" + ("" if scale == 1 else f", x{scale}")
                row[key] = _score(cv2.imdecode(content, cv2.IMREAD_COLOR))
            yield row


def _false_positives(data: Path) -> list[dict[str, Any]]:
    """The scores of everything unmarked that there is: photographs, made-up faces, clips."""
    rows = []
    for name, pattern, limit in (
        ("photographs 256x256", "faces/celebamask/images/*.jpg", 1000),
        ("photographs 250x250", "identities/**/*.*", 300),
        ("generated faces 256x256", "faces/generated/**/*.*", 3500),
        ("portraits", "portraits/**/*.jpg", 100),
    ):
        paths = [path for path in sorted(data.glob(pattern)) if path.is_file() and is_picture(path)][:limit]
        rows.append(_statistics(name, [_score(read_picture(path)) for path in paths]))
    clips = [path for pattern in ("clips/*.m*", "talking/**/*.m*") for path in sorted(data.glob(pattern))]
    rows.append(_statistics("clips", [_found(path) for path in clips]))
    return rows


def _statistics(name: str, scores: list[float]) -> dict[str, Any]:
    return {
        "unmarked": name,
        "count": len(scores),
        "median": round(statistics.median(scores), 2),
        "highest": round(max(scores), 2),
        "threshold": THRESHOLD,
        "false_positives": sum(score > THRESHOLD for score in scores),
    }


def _score(image: np.ndarray) -> float:
    return round(detect_mark(to_canonical_grid(image), PAYLOAD).score, 1)


def _found(path: Path) -> float:
    best = search_video(path, PAYLOAD).best
    return round(best.score, 1) if best else 0.0


def _again(path: Path, crf: int, scale: float) -> Path:
    """The video after another encoder has had it, as a messenger does."""
    to = path.with_name("again.mkv")
    with av.open(str(to), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for frame in read_frames(path):
            if frame.index == 0:
                stream.height, stream.width = (round(side * scale / 2) * 2 for side in frame.size_hw)
            container.mux(stream.encode(frame.native.reformat(stream.width, stream.height, "yuv420p")))
        container.mux(stream.encode(None))
    return to
