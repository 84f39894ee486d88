"""How quickly a 512x512 portrait talks on this machine, and how its memory grows with the length of the sound."""

import os
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import cv2
import numpy as np
import psutil
from skimage import data

from benchmarks.report import repeated, report
from facegen import media
from facegen.talk import TalkPipeline, TalkRequest

MEASURES = ("facegen/media", "facegen/provenance", "facegen/talk")
_RATE = 16000
_REPEATS = 5


def main(arguments: list[str]) -> None:
    """Measure 20 seconds, and the memory of 20 seconds and of 5 minutes; with --quick 5 and 20 seconds."""
    short, long = (5, 20) if "--quick" in arguments else (20, 300)
    pipeline = TalkPipeline()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        portrait = _head(directory / "portrait.png")
        request = TalkRequest(
            portrait=portrait, audio=str(_voice(directory / "a.wav", short)), output=str(directory / "a.mp4")
        )
        pipeline(request)
        results = [pipeline(request) for _ in range(_REPEATS)]
        rows: list[dict[str, object]] = []
        for seconds in (short, long):
            started = time.perf_counter()
            peak = _peak_bytes(portrait, _voice(directory / "b.wav", seconds), directory)
            rows.append(
                {
                    "sound (s)": seconds,
                    "frames": seconds * 25,
                    "peak (MB)": round(peak / 1e6, 1),
                    "seconds, start-up included": round(time.perf_counter() - started, 1),
                }
            )
    figures = {
        "frames/s drawn, marked and encoded": repeated([result.rate for result in results]),
        "frames/s of all, models loaded": repeated([result.frames / result.seconds for result in results]),
        "growth of memory": round(float(str(rows[1]["peak (MB)"])) / float(str(rows[0]["peak (MB)"])) - 1, 3),
    }
    report(
        "talk_speed",
        rows=rows,
        figures=figures,
        notes=[
            f"Portrait of 512x512 with a face of 200 pixels, restorer off; medians of {_REPEATS} runs; the aim is 25 frames/s."
        ],
        measures=MEASURES,
    )


def _head(path: Path) -> str:
    """A public-domain portrait, 512x512, whose face is 200 pixels wide."""
    whole = data.astronaut()
    head = cv2.resize(whole[0:236, 106:342], (512, 512), interpolation=cv2.INTER_CUBIC)
    media.write_picture(path, head)
    return str(path)


def _voice(path: Path, seconds: float) -> Path:
    """Syllables of a buzzing voice."""
    moments = np.arange(round(seconds * _RATE)) / _RATE
    buzz = np.sign(np.sin(2 * np.pi * 130 * moments)) * np.clip(np.sin(2 * np.pi * 3.5 * moments), 0, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((buzz * 8000).astype("<i2").tobytes())
    return path


def _peak_bytes(portrait: str, sound: Path, folder: Path) -> int:
    """The most resident memory that a talk took."""
    command = [sys.executable, "-m", "facegen", "talk", "--portrait", portrait, "--audio", str(sound), "--consent"]
    process = subprocess.Popen(
        [*command, "--output", str(folder / "b.mp4")],
        env={**os.environ, "FACEGEN_HOME": str(folder)},
        stderr=subprocess.DEVNULL,
    )
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.05)
    if process.wait():
        raise RuntimeError(f"facegen talk ended with exit code {process.returncode}")
    return peak
