"""Measure the mouth rig on clips of people who speak, and how much of a mouth its numbers say."""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.report import report
from facegen.media import atomic_output
from facegen.talk.clips import list_clips, read_clip
from facegen.talk.rig import RIG_SIZE, MouthRig, MouthTrack, lip_gap

_FRAMES = 500


def main(arguments: list[str]) -> None:
    """Run the benchmark; `--output` writes the rig as weights/talk/rig.safetensors is."""
    parser = argparse.ArgumentParser(prog="benchmarks talk_rig", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/talking"))
    parser.add_argument("--without", default="", help="names of clips that are measured on only, separated by commas")
    parser.add_argument("--output", type=Path, help="where the rig goes")
    asked = parser.parse_args(arguments)
    apart = asked.without.split(",") if asked.without else []
    clips = [read_clip(path) for path in list_clips(asked.data)]
    tracks = {clip.name: clip.track for clip in clips}
    learned = [track for name, track in tracks.items() if name not in apart]
    offsets = [track.offsets[:: max(1, len(track.offsets) // _FRAMES)] for track in learned]
    rig = MouthRig.of(np.concatenate(offsets), RIG_SIZE)
    rows = [_row(rig, name, track, name in apart) for name, track in tracks.items()]
    held = [row["explained"] for row in rows if row["held back"]] or [row["explained"] for row in rows]
    report("talk_rig", rows=rows, figures={"explained of clips held back, median": float(np.median(held))}, notes=[])
    if asked.output:
        from safetensors.numpy import save_file

        with atomic_output(asked.output) as temporary:
            save_file({"shapes": rig.shapes.astype(np.float16)}, temporary)


def _row(rig: MouthRig, name: str, track: MouthTrack, is_apart: bool) -> dict[str, object]:
    said = rig.offsets(rig.coefficients(track.offsets))
    explained = 1 - np.square(track.offsets - said).sum() / np.square(track.offsets).sum()
    error = np.abs(lip_gap(said) - lip_gap(track.offsets)).mean() * 10
    return {
        "clip": name,
        "held back": is_apart,
        "explained": round(float(explained), 3),
        "gap error mm": round(float(error), 2),
        "opens by": round(track.opening_scale, 2),
    }
