"""The whole way of a one-shot model: from a Hub that goes wrong in every way it can to the video with the new face."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facegen import hub, media
from facegen.catalog import find_weight
from facegen.hub import WeightFile
from tests.small_hub import SmallHub, running_hub
from tests.swap.oneshot.stand_ins import odd_colours, psnr, write_arcface, write_swap_model
from tests.swap.test_command import Ended, facegen, sentence

__all__ = ["facegen"]
MODEL, RECOGNISER = "inswapper-128", "arcface-w600k"


@pytest.fixture
def small_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallHub]:
    """A Hub with stand-ins in the real repositories, whose digests and sizes the catalog holds for the while."""
    kept = {}
    with running_hub() as server:
        for name, path in (
            (MODEL, write_swap_model(MODEL, tmp_path / "model.onnx")),
            (RECOGNISER, write_arcface(tmp_path / "arcface.onnx")),
        ):
            weight, content = find_weight(name), path.read_bytes()
            kept[name] = weight.sha256, weight.size
            _state(weight, hashlib.sha256(content).hexdigest(), len(content))
            assert isinstance(weight.source, hub.Hub)
            server.files[f"{weight.source.repo_id}/{weight.filename}"] = content
            server.revisions.add(weight.source.revision)
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server
    for name, (sha256, size) in kept.items():
        _state(find_weight(name), sha256, size)


def _state(weight: WeightFile, sha256: str | None, size: int | None) -> None:
    object.__setattr__(weight, "sha256", sha256)
    object.__setattr__(weight, "size", size)


def test_from_a_hub_that_goes_wrong_to_the_video(
    small_hub: SmallHub,
    facegen: Callable[..., Ended],
    clip: str,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "swapped.mp4"

    def swap(*more: str) -> Ended:
        wanted = ("--source", source, "--target", clip, "--output", output, "--engine", MODEL, "--consent")
        return facegen("swap", *wanted, "--quality", "4", "--end-seconds", "0.6", *more)

    def fetch(name: str) -> Ended:
        return facegen("weights", "fetch", name)

    # nothing is fetched unasked, and nothing under terms that were not accepted
    assert f"Expected the weights {MODEL}, {RECOGNISER} for the engine {MODEL}" in sentence(swap())
    assert f"facegen weights accept {MODEL}" in fetch(MODEL).err
    assert small_hub.requests == []
    assert facegen("weights", "accept", MODEL, RECOGNISER).code == 0

    content = small_hub.files.pop(next(path for path in small_hub.files if "inswapper" in path))
    assert "found nothing there" in sentence(fetch(MODEL))
    small_hub.files[f"facefusion/models-3.0.0/{find_weight(MODEL).filename}"] = content
    small_hub.token = "hf_secret"
    assert "hf auth login" in sentence(fetch(MODEL))
    small_hub.token = ""
    small_hub.gated.add("facefusion/models-3.0.0")
    assert "hf auth login" in fetch(MODEL).err
    small_hub.gated.clear()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
        assert "free disk" in sentence(fetch(MODEL))
    small_hub.wrong_answers = 2
    assert "nothing was kept" in sentence(fetch(MODEL))
    assert hub.state_of(find_weight(MODEL)) == "absent"
    small_hub.failing_answers, small_hub.broken_answers = 1, 1
    assert fetch(MODEL).code == 0
    assert f"Expected the weights {RECOGNISER}" in sentence(swap())
    small_hub.gate = threading.Event()
    threading.Timer(0.3, small_hub.gate.set).start()
    assert fetch(RECOGNISER).code == 0
    assert not output.exists()

    asked = len(small_hub.requests)
    before = [frame.image_rgb for frame in media.read_frames(clip)][:15]
    done = swap("--json")
    assert (done.code, json.loads(done.out)["faces"]) == (0, 15), done.err
    given_back = [frame.image_rgb for frame in media.read_frames(output)]
    # what is marked and encoded differs where there is no face, too: the face only by the mark, stronger in its texture
    for a, b in zip(before, given_back, strict=True):
        assert psnr(a, b) > min(psnr(a[:40], b[:40]), 42) - 2.5
    assert media.probe(output).audio

    output.unlink()
    hub.use_custom(find_weight(MODEL), write_swap_model(MODEL, tmp_path / "odd.onnx", odd_colours))
    assert swap("--colour", "0").code == 0
    drawn = [frame.image_rgb for frame in media.read_frames(output)]
    change = np.abs(drawn[7].astype(int) - before[7]).max(-1) > 40
    assert 0.05 < change.mean() < 0.4
    assert not change[:8].any()
    assert len(small_hub.requests) == asked
