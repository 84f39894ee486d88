"""Swaps and talks on a lent card: cut into calls, each going on from the journal; without a card, as a process on the CPU."""

import contextvars
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegen import media
from facegen.jobs import Run, RunStatus
from facegen.swap import SwapPipeline, SwapRequest
from facegen.swap.jobs import SWAP
from facegen.talk.jobs import TALK
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.ui import gpu_runs, zero_gpu
from facegen.ui.examples import FILES, SPEECH
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from tests.factories import write_clip

ADA, CARL = str(FILES / "ada.jpg"), str(FILES / "carl.jpg")
WHO = contextvars.ContextVar("WHO", default="nobody")
STAND_IN = '''
"""What `spaces` does: forks a process for what wants a card, keeps it, and tells it what to do. Its clock runs out at a segment."""
import json, multiprocessing, os, threading, time, types
from facegen.jobs import run as runs
from facegen.ui import zero_gpu
from tests.ui.test_gpu_runs import WHO

zero_gpu.DEVICE = "cpu"
FOLDER = os.environ["STAND_IN"]


def count_segments(folder):
    return sum(name[0] != "." for name in os.listdir(f"{folder}/segments")) if os.path.isdir(f"{folder}/segments") else 0


def serve(task, orders, answers):
    while True:
        (folder,) = orders.get()
        before = count_segments(folder)
        late = lambda: time.monotonic() + (1e6 if count_segments(folder) > before else 0)
        runs.time = types.SimpleNamespace(**{**vars(time), "monotonic": late})
        zero_gpu.limit_seconds = lambda seconds: 1e5  # by the true clock, a busy machine would get nothing done
        answers.put((task(folder), os.environ["FACEGEN_DEVICE"]))


def GPU(duration):
    def decorate(task):
        kept, turns = [], threading.Lock()

        def call(*arguments):
            if os.path.exists(f"{FOLDER}/refuse"):
                raise RuntimeError("ZeroGPU quota exceeded")
            if not kept:
                fork = multiprocessing.get_context("fork")
                orders, answers = fork.SimpleQueue(), fork.SimpleQueue()
                process = fork.Process(target=serve, args=(task, orders, answers), daemon=True)
                process.start()
                kept.extend((orders, answers, process))
            seconds = duration(*arguments)
            with turns:
                kept[0].put(arguments)
                state, device = kept[1].get()
            with open(f"{FOLDER}/lent", "a") as log:
                line = {"seconds": seconds, "pid": kept[2].pid, "who": WHO.get(), "device": device, "state": state}
                log.write(json.dumps(line) + "\\n")
            return state

        return call

    return decorate
'''


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The backends of a studio on such a Space."""
    (tmp_path / "spaces.py").write_text(STAND_IN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    for name, value in {"SPACE_ID": "somebody/facegen", "SPACES_ZERO_GPU": "true", "STAND_IN": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    monkeypatch.setenv("FACEGEN_DEVICE", "cpu")
    monkeypatch.setattr(zero_gpu, "DEVICE", "cuda")
    zero_gpu.default_to_cpu()
    return Services(Profile(shared=True, spare_worker=False))


def finish(services: Services, run: Run) -> RunStatus:
    """How a run ends, with the queue kept meanwhile."""
    while (status := run.status()).is_active:
        services.start_next()
        time.sleep(0.05)
    for thread in threading.enumerate():
        if thread.name == f"card-{run.name}":
            thread.join()
    return status


def lent(folder: Path) -> list[dict[str, Any]]:
    """What was lent so far, a call each."""
    return [json.loads(line) for line in (folder / "lent").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_long_clip_is_cut_into_calls_and_comes_out_as_in_one_piece(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_runs, "_SPARE_SECONDS", 1000.0)  # each call is over as soon as it looks at the time
    frames = [frame.image_rgb for frame in media.read_frames(FILES / "bea.mp4")][:40:2]
    # segments of 4 seconds hold 8 frames at this rate
    target = str(write_clip(tmp_path / "target.mp4", frames, rate=2, has_sound=True))
    WHO.set("a visitor")
    run = SWAP.create_run(SwapRequest(sources=(ADA,), target=target, output=""), owner="", is_staged=True)
    services.resume(run)
    WHO.set("somebody else")
    assert finish(services, run).state == "done"
    calls = lent(tmp_path)
    assert [call["state"] for call in calls] == ["queued"] * (len(calls) - 1) + ["done"]
    assert calls  # how many depends on how far the encoder is when a call looks at the time
    assert {(call["device"], call["who"]) for call in calls} == {("cpu", "a visitor")}
    assert len({call["pid"] for call in calls}) == 1
    assert all(5 <= call["seconds"] <= 60 for call in calls)
    (cut,) = run.results.iterdir()
    whole = str(tmp_path / "whole.mp4")
    SwapPipeline()(SwapRequest(sources=(ADA,), target=target, output=whole))
    one, other = ([frame.image_rgb for frame in media.read_frames(path)] for path in (cut, whole))
    assert len(one) == len(other) == len(frames)
    assert max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(one, other, strict=True)) <= 2


@pytest.mark.slow
def test_a_talk_is_drawn_on_a_card(services: Services, tmp_path: Path) -> None:
    request = TalkRequest(portrait=ADA, audio=str(FILES / SPEECH), output="", options=TalkOptions(seconds=1))
    run = services.start(Visitor(), TALK, request)
    assert finish(services, run).state == "done"
    assert lent(tmp_path)[-1]["state"] == "done"
    (made,) = run.results.iterdir()
    assert sum(1 for _ in media.read_frames(made)) == 25


@pytest.mark.slow
def test_a_refusal_is_the_end_of_a_run(services: Services, tmp_path: Path) -> None:
    nobody = services.folder / "nobody.png"
    nobody.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (256, 256)).save(nobody)
    run = services.start(Visitor(), SWAP, SwapRequest(sources=(ADA,), target=str(nobody), output=""))
    status = finish(services, run)
    assert status.state == "failed"
    assert "Expected a face" in status.text


@pytest.mark.slow
def test_without_a_card_a_run_is_a_process_on_the_cpu(services: Services, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    run = services.start(Visitor(), SWAP, SwapRequest(sources=(ADA,), target=CARL, output=""))
    assert finish(services, run).state == "done"
    assert "quota exceeded" in run.log_tail()
    assert not (tmp_path / "lent").exists()


def test_a_run_that_waits_for_a_card_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_DEVICE", "cpu")
    monkeypatch.setattr(zero_gpu, "DEVICE", "cpu")
    run = Run.create("swap", {})
    run.hold("Waiting for a card.")
    (run.path / ".cancel").touch()
    assert gpu_runs.run_on_gpu(str(run.path)) == run.status().state == "cancelled"


def test_seconds_follow_from_what_is_left(tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "clip.mp4", [np.zeros((64, 64, 3), np.uint8)] * 96, rate=24))
    run = SWAP.create_run(SwapRequest(sources=(ADA,), target=clip, output=str(tmp_path / "out.mp4")))
    first = gpu_runs.estimate_gpu_seconds(str(run.path))
    with pytest.raises(KeyboardInterrupt), run.work():
        run.update(1.0, "All but done.")
        raise KeyboardInterrupt
    assert first == pytest.approx(10 + 96 / 12)
    assert gpu_runs.estimate_gpu_seconds(str(run.path)) == pytest.approx(10)
