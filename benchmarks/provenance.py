"""What marking and signing cost, and how high unmarked files score; `mark_survival` says what the mark survives."""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import report
from facegen.media import Frame, is_picture, read_picture
from facegen.provenance import THRESHOLD, Claims, MarkKey, Watermark, detect_mark, mark_picture, sign, to_luma, verify
from facegen.provenance.detection import search_video

MEASURES = ("facegen/media", "facegen/provenance")
PARTS = ("costs", "unmarked")

KEY = MarkKey(installation_id=0xFACE01, secret=b"benchmark")
CLIPS = ("talking/cnn2_25fps_512_71s.mp4", "clips/crowd_multiface_1080p.mp4")


def main(arguments: list[str]) -> None:
    """Print two tables and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks provenance", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of clips and photographs")
    parser.add_argument("--only", choices=PARTS, help="one of the two tables; the costs want a quiet machine")
    known = parser.parse_args(arguments)
    data, parts = known.data.absolute(), (known.only,) if known.only else PARTS
    if "costs" in parts:
        with tempfile.TemporaryDirectory() as folder:
            costs = [*_mark_costs(), *_sign_costs(data, Path(folder))]
        load = {"load of the machine, one minute": round(os.getloadavg()[0], 1)}
        report("provenance_cost", costs, measures=MEASURES, figures=load)
    if "unmarked" in parts:
        report("provenance_false_positives", _false_positives(data), measures=MEASURES)


def _cost(what: str, work: Callable[[], object], rounds: int = 50) -> dict[str, Any]:
    """Medians by the clock and of the processor's time in all threads, which other work on the machine changes less."""
    work()
    times = []
    for _ in range(rounds):
        start, processor = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start, time.process_time() - processor))
    by_clock, of_processor = (round(statistics.median(column) * 1000, 1) for column in zip(*times, strict=True))
    return {"what": what, "ms": by_clock, "processor ms": of_processor}


def _mark_costs() -> Iterator[dict[str, Any]]:
    """The mark added to a frame, and the library invisible-watermark on the same picture, where it is installed."""
    for height, width in ((512, 512), (720, 1280), (1080, 1920)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        frame = Frame.from_picture(image, index=0, pts=0, time_base=Fraction(1, 25))
        mark = Watermark((height, width), KEY)
        size = f"{width}x{height}"
        yield _cost(f"mark a picture, {size}", partial(mark_picture, image, KEY), 5)
        yield _cost(f"mark a frame, {size}", partial(mark.mark_frame, frame))
        yield _cost(f"look for the mark, {size}", partial(_score, image), 10)
        yield _cost(f"search all crops and turns, {size}", partial(detect_mark, to_luma(image), KEY), 1)
    try:
        from imwatermark.maxDct import EmbedMaxDct
    except ImportError:
        return
    bgr = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    other = EmbedMaxDct([0, 1] * 16, wmLen=32)
    yield _cost("invisible-watermark dwtDct, 512x512", partial(other.encode, bgr), 5)


def _sign_costs(data: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    """Signing and verifying whole files."""
    for name in CLIPS:
        path = scratch / f"signed{Path(name).suffix}"
        shutil.copy(data / name, path)
        megabytes = path.stat().st_size / 1e6
        claims = Claims(job="swap", engine="benchmark")
        yield _cost(f"sign {megabytes:.1f} MB", partial(sign, path, claims), 5)
        yield _cost(f"verify {megabytes:.1f} MB", partial(verify, path), 3)


def _false_positives(data: Path) -> list[dict[str, Any]]:
    """The scores of everything unmarked that there is, as it lies: photographs, made-up faces, clips (these searched for crops, too)."""
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
    rows.append(_statistics("clips", [_best_score(path) for path in clips]))
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
    return round(detect_mark(to_luma(image), KEY, thorough=False).score, 1)


def _best_score(path: Path) -> float:
    best = search_video(path, KEY).best
    return round(best.score, 1) if best else 0.0
