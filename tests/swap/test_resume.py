"""A swap that was cut off goes on and comes out as if it had not been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from facegen import media
from facegen.config import home
from facegen.errors import Cancelled, ResourceError
from facegen.swap import SwapOptions, SwapPipeline, SwapRequest
from tests.factories import moving_portrait, noise_rgb, write_clip


def content(path: Path) -> tuple[list[np.ndarray], tuple[int, ...], list[tuple[int, int, bytes]]]:
    """Decoded planes of all frames, their times, and the audio packets."""
    planes = [np.concatenate([plane.ravel() for plane in frame.planes]) for frame in media.read_frames(path)]
    with av.open(str(path)) as container:
        packets = [(packet.pts, packet.dts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]
    return planes, media.frame_times(path)[0], packets


def assert_same(one: Path, other: Path) -> None:
    (planes, times, packets), (planes2, times2, packets2) = content(one), content(other)
    assert times == times2
    assert packets == packets2
    assert len(planes) == len(planes2)
    assert all(np.array_equal(a, b) for a, b in zip(planes, planes2, strict=True))


@pytest.fixture(scope="module")
def slow_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """64 frames at 5 frames/s, which makes four segments; no face from frame 15 to frame 30."""
    frames = moving_portrait(64)
    frames[15:31] = [noise_rgb(256, 256, seed) // 4 for seed in range(16)]
    return str(write_clip(tmp_path_factory.mktemp("resume") / "slow.mp4", frames, rate=5, has_sound=True))


@pytest.mark.parametrize("when_no_face", ["keep", "hold", "skip"])
@pytest.mark.parametrize("stop_at", [34, 54])
def test_going_on_equals_no_interruption(
    pipeline: SwapPipeline, source: str, slow_clip: str, tmp_path: Path, when_no_face: str, stop_at: int
) -> None:
    """Stopped in the second segment, which begins within the gap, and in the third."""
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    options = SwapOptions(when_no_face=when_no_face)
    pipeline(SwapRequest(sources=(source,), target=slow_clip, output=str(whole), options=options))

    def stop(fraction: float, text: str) -> None:
        if f"Swapping faces, frame {stop_at} " in text:
            raise Cancelled("Cancelled.")

    request = SwapRequest(sources=(source,), target=slow_clip, output=str(cut), options=options)
    with pytest.raises(Cancelled):
        pipeline(request, on_progress=stop)
    assert not cut.exists()
    result = pipeline(request)
    assert result.resumed_frames in {(34, "keep"): (20,), (34, "hold"): (20,), (34, "skip"): (0,)}.get(
        (stop_at, when_no_face), (36, 40)
    )
    assert_same(whole, cut)


def test_memory_that_runs_out_is_a_sentence_and_loses_nothing(
    pipeline: SwapPipeline, source: str, slow_clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a card tells it; the same command goes on after the segments that were finished."""
    request = SwapRequest(sources=(source,), target=slow_clip, output=str(tmp_path / "out.mp4"))
    engine = pipeline.engine(request.options)
    composite, drawn = engine.composite, []

    def run_out(*arguments: Any, **named: Any) -> Any:
        drawn.append(1)
        if len(drawn) > 30:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return composite(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "composite", run_out)
        with pytest.raises(ResourceError, match="use --device cpu: the same command goes on"):
            pipeline(request)
    assert pipeline(request).resumed_frames >= 20


def test_another_request_does_not_go_on(pipeline: SwapPipeline, source: str, slow_clip: str, tmp_path: Path) -> None:
    def stop(fraction: float, text: str) -> None:
        if "Swapping faces, frame 50 " in text:
            raise Cancelled("Cancelled.")

    request = SwapRequest(sources=(source,), target=slow_clip, output=str(tmp_path / "out.mp4"))
    with pytest.raises(Cancelled):
        pipeline(request, on_progress=stop)
    other = SwapRequest(
        sources=(source,), target=slow_clip, output=str(tmp_path / "out.mp4"), options=SwapOptions(crf=30)
    )
    assert pipeline(other).resumed_frames == 0


def test_kill_9_in_the_middle_changes_nothing(source: str, slow_clip: str, tmp_path: Path) -> None:
    """The real command with its real engine, killed once the first segment is there, then given again."""
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"

    def command(output: Path) -> list[str]:
        inputs = ["--source", source, "--target", slow_clip, "--output", str(output)]
        return [sys.executable, "-m", "facegen", "swap", *inputs, "--consent", "--json"]

    subprocess.run(command(whole), check=True, capture_output=True)
    process = subprocess.Popen(command(cut), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list((home() / "runs").glob("swap-*/segments/*.nut")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not cut.exists()
    again = subprocess.run(command(cut), check=True, capture_output=True, text=True)
    assert '"resumed_frames": 0' not in again.stdout
    assert_same(whole, cut)
