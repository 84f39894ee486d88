"""Speed of the first pass over clips, all included, and jitter before and after smoothing."""

import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.report import report
from facegen import media
from facegen.faces import FaceAnalyser, analyse_clip
from facegen.faces.smoothing import jitter_px

MEASURES = ("facegen/faces", "facegen/media")
CLIPS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "clips"
NAMES = (
    "liveportrait_d9.mp4",
    "liveportrait_d10.mp4",
    "pexels_woman_handocclusion_turn.mp4",
    "crowd_multiface_1080p.mp4",
)
SECONDS = 6.0


def main(arguments: list[str]) -> None:
    """Analyse a few seconds of each clip, with and without smoothing, and report."""
    if arguments:
        sys.exit("benchmarks faces takes no arguments")
    analyser = FaceAnalyser()
    analyser.detect(np.zeros((256, 256, 3), np.uint8))
    rows = []
    for name in NAMES:
        if not (CLIPS / name).is_file():
            continue
        results, taken = {}, {}
        for smoothing in (0.0, 1.0):
            start = time.perf_counter()
            frames = media.read_frames(CLIPS / name, end_seconds=SECONDS)
            results[smoothing] = analyse_clip(frames, analyser=analyser, smoothing=smoothing)
            taken[smoothing] = time.perf_counter() - start
        jitter = {}
        for smoothing, analysis in results.items():
            number = int(np.argmax([len(track.indices) for track in analysis.tracks]))
            track = analysis.tracks[number]
            jitter[smoothing] = jitter_px(
                np.stack([track.face(r, number).points478 for r in range(len(track.indices))])
            )
        rows.append(
            {
                "clip": name,
                "frames": results[1.0].frame_count,
                "people": len(results[1.0].people),
                "ms_per_frame": round(1000 * taken[1.0] / results[1.0].frame_count, 2),
                "jitter_px_raw": round(jitter[0.0], 3),
                "jitter_px": round(jitter[1.0], 3),
            }
        )
    figures = {"one_face_ms_per_frame": max((row["ms_per_frame"] for row in rows[:2]), default=float("nan"))}
    report(
        "faces",
        rows=rows,
        figures=figures,
        notes=["wanted: 14 ms or less per 512x512 one-face frame on 2 cores"],
        measures=MEASURES,
    )
