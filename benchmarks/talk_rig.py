"""Measure the mouth rig on clips of people who speak, and how much of a mouth its numbers say."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.division import PARTS, find, part_of
from benchmarks.report import estimate, report
from facegen.media import atomic_output
from facegen.talk.clips import read_clip
from facegen.talk.rig import RIG_SIZE, MouthRig, MouthTrack, lip_gap

MEASURES = ("facegen/talk/clips.py", "facegen/talk/rig.py")
_FRAMES = 500


def main(arguments: list[str]) -> None:
    """Run the benchmark; `--output` writes the rig as weights/talk/rig.safetensors is."""
    parser = argparse.ArgumentParser(prog="benchmarks talk_rig", description=__doc__)
    parser.add_argument("--output", type=Path, help="where the rig goes")
    asked = parser.parse_args(arguments)
    rig = fit()
    paths = [path for part in PARTS for path in find("talking/**/*.m*", part)]
    rows = [{"part": part_of(path), **_row(rig, path.stem, read_clip(path).track)} for path in paths]
    figures = {
        part: {"explained, median": estimate([[row["explained"]] for row in rows if row["part"] == part], np.median)}
        for part in PARTS
    }
    report(
        "talk_rig",
        rows=rows,
        figures=figures,
        notes=[],
        measures=MEASURES,
    )
    if asked.output:
        from safetensors.numpy import save_file

        with atomic_output(asked.output) as temporary:
            save_file({"shapes": rig.shapes.astype(np.float16)}, temporary)


def fit() -> MouthRig:
    """The rig of the tuning clips."""
    tracks = [read_clip(path).track for path in find("talking/**/*.m*", "tuning")]
    offsets = [track.offsets[:: max(1, len(track.offsets) // _FRAMES)] for track in tracks]
    return MouthRig.of(np.concatenate(offsets), RIG_SIZE)


def _row(rig: MouthRig, name: str, track: MouthTrack) -> dict[str, Any]:
    said = rig.offsets(rig.coefficients(track.offsets))
    explained = 1 - np.square(track.offsets - said).sum() / np.square(track.offsets).sum()
    error = np.abs(lip_gap(said) - lip_gap(track.offsets)).mean() * 10
    return {
        "clip": name,
        "explained": round(float(explained), 3),
        "gap error mm": round(float(error), 2),
        "opens by": round(track.opening_scale, 2),
    }
