"""Frames a second of a whole swap, process start included, and of the frame pipeline alone."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import swap_clips
from benchmarks.report import repeated, report
from facegen import media

MEASURES = ("facegen/faces", "facegen/media", "facegen/provenance", "facegen/swap")
_REPEATS = 5
_RATE = "end to end (frames/s)"
SOURCE = "portraits/synthetic/female_00_1024.jpg"


def main(arguments: list[str]) -> None:
    """Measure five times, in turn; with --quick the 512x512 clip alone, once."""
    repeats = 1 if "--quick" in arguments else _REPEATS
    clips = {"512x512": swap_clips.square_clip()}
    if "--quick" not in arguments:
        clips["1280x720"] = swap_clips.wide_clip()
    rows, stages, alone = [], {}, []
    for _ in range(repeats):
        for name, clip in clips.items():
            row, summary = measure(clip)
            rows.append({"clip": name, **row})
            stages[name] = {"seconds": summary["seconds"], **summary["stages"]}
        alone.append(frame_pipeline_alone(clips["512x512"]))
    rates = {name: repeated([float(str(row[_RATE])) for row in rows if row["clip"] == name]) for name in clips}
    report(
        "swap_speed",
        rows,
        figures={
            **{f"{name}, {_RATE}": rate for name, rate in rates.items()},
            "frame pipeline alone, 512x512 (frames/s)": repeated(alone),
            "seconds by stage": stages,
        },
        notes=(
            "End to end: `facegen swap` as its own process: start, imports, both passes, sound, x264 crf 18 veryfast.",
            "Plain: decode and encode the same clip with its sound, nothing in between.",
            f"Medians of {repeats} runs; the stages are those of the last.",
            "Stages overlap and predict, composite and paste run in two threads, so they add up to more than the whole.",
        ),
        measures=MEASURES,
    )


def measure(clip: Path) -> tuple[dict[str, object], dict[str, object]]:
    """One swap from the command line, in a home folder of its own; returns the row and the command's summary."""
    with tempfile.TemporaryDirectory() as folder:
        source, output = swap_clips.material(SOURCE), Path(folder) / "swapped.mp4"
        command = [sys.executable, "-m", "facegen", "swap", "--source", source, "--target", clip, "--output", output]
        started = time.perf_counter()
        done = subprocess.run(
            [*map(str, command), "--json", "--consent"],
            check=True,
            capture_output=True,
            env=swap_clips.user_environment(folder),
        )
        seconds = time.perf_counter() - started
        summary = json.loads(done.stdout)
        started = time.perf_counter()
        info = media.probe(clip)
        media.write_video(Path(folder) / "plain.mp4", media.read_frames(clip), info, sound_from=clip)
        plain = time.perf_counter() - started
    row = {
        "frames": summary["frames"],
        _RATE: round(summary["frames"] / seconds, 1),
        "analyse (frames/s)": summary["rates"]["analyse"],
        "render (frames/s)": summary["rates"]["render"],
        "start and rest (s)": round(seconds - summary["seconds"], 2),
        "plain (frames/s)": round(summary["frames"] / plain, 1),
        "times plain": round(seconds / plain, 1),
    }
    return row, summary


def frame_pipeline_alone(clip: Path) -> float:
    """Frames a second of decode, crop, paste, encode and sound, without analysis and engine."""
    info = media.probe(clip)
    count = 0

    def paste_squares() -> Iterator[media.Frame]:
        nonlocal count
        side = min(info.size_hw) // 2
        alpha = np.pad(np.ones((side - 32, side - 32), np.float32), 16, mode="linear_ramp")
        for frame in media.read_frames(clip):
            crop = frame.image_rgb[side // 2 :, side // 2 :][:side, :side]
            yield frame.paste([media.Patch(x=side // 2, y=side // 2, image_rgb=crop[:, ::-1], alpha=alpha)])
            count += 1

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        media.write_video(Path(folder) / "paste_squares.mp4", paste_squares(), info, sound_from=clip)
        return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1:])
