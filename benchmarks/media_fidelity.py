"""Whether a clip that was decoded, pasted into, encoded and joined keeps its frames, times, length, size and sound."""

import argparse
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from benchmarks.report import report
from facegen.media import Patch, SegmentWriter, join_segments, list_segments, probe, read_frames
from tests.conftest import SHARED_DATA
from tests.media.clips import CLIPS
from tests.media.reading import end_of_picture, shown_times, sound_packets, sound_samples

MEASURES = ("facegen/media",)
SEGMENT_FRAMES = 100
SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".mpg", ".avi"}


def main(arguments: list[str]) -> None:
    """Run over every clip in ../shared/data (or in --data DIR) and over the made ones."""
    parser = argparse.ArgumentParser(prog="media_fidelity", description=main.__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder of clips")
    parser.add_argument("--preset", default="veryfast", help="speed of x264")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "made").mkdir()
        made = [clip.write(scratch / "made") for clip in CLIPS]
        given = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in SUFFIXES)
        rows = [_measure(path, scratch, options.preset) for path in [*made, *given]]
    columns = ("frames", "times", "length", "size", "orientation", "sound")
    figures: dict[str, Any] = {"clips": len(rows)}
    figures |= {f"{column} equal": sum(row[column] == "equal" for row in rows) for column in columns}
    report(
        "media_fidelity",
        rows,
        figures=figures,
        notes=[
            "Orientation: the first frame as the ffmpeg program shows it, above the patch, within 4 levels of 255.",
            "Times are exact rational numbers, from the start of the clip; length is the end of the last frame.",
            "Sound: every packet of every track, byte for byte and at its time to half a sample; of a transport stream "
            "the decoded samples, since mp4 drops a header that each packet carries there.",
            f"Segments of {SEGMENT_FRAMES} frames, x264 crf 18 {options.preset}, a patch of a quarter of each side.",
        ],
        measures=MEASURES,
    )


def _measure(path: Path, scratch: Path, preset: str) -> dict[str, Any]:
    info, output, folder = probe(path), scratch / "out.mp4", scratch / "segments"
    height, width = info.height // 4 + 1, info.width // 4 + 1
    patch = Patch(
        x=width,
        y=height,
        image_rgb=np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8),
        alpha=np.full((height, width), 0.5, np.float32),
    )
    with SegmentWriter(folder, like=info, preset=preset, segment_frames=SEGMENT_FRAMES) as writer:
        for frame in read_frames(path):
            writer.write(frame.paste([patch]))
    notices = join_segments(list_segments(folder), output, like=info, sound_from=path)
    shutil.rmtree(folder)
    before, after = shown_times(path), shown_times(output)
    result = probe(output)
    row = {
        "clip": path.name,
        "frames": _verdict(len(before) == len(after)),
        "times": _verdict([shown - info.origin for shown in before] == after),
        "length": _verdict(_end(path, before) - info.origin == _end(output, after)),
        "size": _verdict(result.size_hw == info.size_hw and result.pixel_aspect == info.pixel_aspect),
        "orientation": _verdict(_looks_alike(path, output, info.size_hw, height)),
        "sound": _sound(path, output, info.origin),
        "notices": " ".join(notices),
    }
    output.unlink()
    return row


def _looks_alike(path: Path, output: Path, size_hw: tuple[int, int], rows: int) -> bool:
    """True when ffmpeg itself, which turns what it shows, shows the same above the patch in the first frame of both."""
    pictures = []
    for file in (path, output):
        command = [get_ffmpeg_exe(), "-v", "error", "-i", f"file:{file.absolute()}", "-map", "0:v:0", "-frames:v", "1"]
        raw = subprocess.run(
            [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
        ).stdout
        if len(raw) != size_hw[0] * size_hw[1] * 3:
            return False
        pictures.append(np.frombuffer(raw, np.uint8).reshape(*size_hw, 3)[:rows].astype(np.float32))
    return float(np.abs(pictures[0] - pictures[1]).mean()) < 4


def _end(path: Path, times: list[Fraction]) -> Fraction:
    """When the last frame ends; where a container does not say (Matroska), a frame after the last began."""
    if probe(path).end_pts is None:
        return times[-1] + (times[-1] - times[-2])
    return end_of_picture(path)


def _sound(path: Path, output: Path, origin: Fraction) -> str:
    before, after = sound_packets(path), sound_packets(output)
    if path.suffix == ".ts":
        return _verdict(np.array_equal(sound_samples(path), sound_samples(output)))
    is_same = len(before) == len(after)
    for old, new in zip(before, after, strict=False):
        is_same &= [data for _, data in old] == [data for _, data in new]
        is_same &= all(abs(a - origin - b) <= Fraction(1, 32000) for (a, _), (b, _) in zip(old, new, strict=False))
    return _verdict(is_same)


def _verdict(is_equal: bool) -> str:
    return "equal" if is_equal else "DIFFERS"
