"""A card that is lent for one call: asked for on a Space with ZeroGPU alone, and only for as long as may be."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from facegen.device import choose_device
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.jobs.pipeline import Models
from facegen.ui import zero_gpu


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seconds of the calls that a card was lent for; stands in for the package, which works on a Space alone."""
    seconds: list[int] = []

    def gpu(duration: Callable[[Any], int]) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def decorate(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
            def call(request: Any) -> Any:
                seconds.append(duration(request))
                return work(request)

            return call

        return decorate

    spaces = ModuleType("spaces")
    spaces.GPU = gpu  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    monkeypatch.setenv("SPACE_ID", "somebody/facegen")
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.delenv("FACEGEN_DEVICE", raising=False)
    monkeypatch.setattr(zero_gpu, "DEVICE", "cpu")
    return seconds


def test_elsewhere_nothing_is_imported_and_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SPACE_ID", "SPACES_ZERO_GPU", "FACEGEN_DEVICE"):
        monkeypatch.delenv(variable, raising=False)
    code = (
        "import os, sys; from facegen.ui import zero_gpu\n"
        "zero_gpu.default_to_cpu(); assert zero_gpu.with_gpu(len, float) is len\n"
        "assert not {'spaces', 'torch'} & set(sys.modules) and 'FACEGEN_DEVICE' not in os.environ"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_faces_are_drawn_on_a_lent_card_and_all_else_on_the_cpu(
    lent: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models()
    draw = zero_gpu.face_drawer(models)
    assert zero_gpu.face_drawer(models) is draw
    options = GenerateOptions(seed=7, retouch=False)
    assert len(draw(GenerateRequest(output=str(tmp_path / "faces"), options=options)).files) == 1
    assert lent == [5]
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    zero_gpu.default_to_cpu()
    assert choose_device().type == "cpu"
    monkeypatch.delenv("FACEGEN_DEVICE")


def test_no_call_asks_for_more_than_it_may(lent: list[int]) -> None:
    def wait(seconds: int) -> int:
        return seconds

    work = zero_gpu.with_gpu(wait, float)
    assert [work(seconds) for seconds in (1, 20, 4000)] == [1, 20, 4000]
    assert lent == [5, 20, 60]
