"""Peak memory of a long swap against that of a short one."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import swap_clips
from benchmarks.report import report

MEASURES = ("facegen/faces", "facegen/media", "facegen/provenance", "facegen/swap")
_SAMPLE_SECONDS = 0.05


def main(arguments: list[str]) -> None:
    """Measure 10 seconds and 3 minutes of 1280x720; with --quick 5 and 20 seconds."""
    short, long = (5, 20) if "--quick" in arguments else (10, 180)
    rows = []
    for seconds in (short, long):
        clip = swap_clips.wide_clip(seconds)
        started = time.perf_counter()
        peak = peak_bytes(clip)
        rows.append(
            {
                "clip (s)": seconds,
                "frames": seconds * 25,
                "peak (MB)": round(peak / 1e6, 1),
                "seconds": round(time.perf_counter() - started, 1),
            }
        )
    growth = float(rows[1]["peak (MB)"]) / float(rows[0]["peak (MB)"]) - 1
    report(
        "swap_memory",
        rows,
        figures={"growth": round(growth, 3)},
        notes=("Resident memory of the process and its children, sampled 20 times a second; bound: 0.10.",),
        measures=MEASURES,
    )


def peak_bytes(clip: Path) -> int:
    """The most resident memory that a swap of the clip took, children included."""
    source = swap_clips.material("portraits/synthetic/female_00_1024.jpg")
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "swapped.mp4")
        command = [sys.executable, "-m", "facegen", "swap", "--source", str(source), "--target", str(clip)]
        process = subprocess.Popen(
            [*command, "--output", output, "--consent"],
            env=swap_clips.user_environment(folder),
            stderr=subprocess.DEVNULL,
        )
        peak, watched = 0, psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _resident(watched))
            time.sleep(_SAMPLE_SECONDS)
        if process.returncode:
            raise RuntimeError(f"facegen swap ended with exit code {process.returncode}")
    return peak


def _resident(process: psutil.Process) -> int:
    try:
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main(sys.argv[1:])
