"""A worker of a shared studio has what a visitor sent decoded in processes with limits."""

import time
from contextlib import suppress

import psutil
import pytest

from facegen import media
from facegen.jobs import Run
from facegen.swap import SwapRequest
from facegen.swap.jobs import SWAP
from facegen.swap.options import SwapOptions
from facegen.ui.examples import FILES
from facegen.worker import SHARED


def _modules_below(run: Run) -> set[str]:
    """Modules of facegen that processes below a run's worker run."""
    words: set[str] = set()
    with suppress(psutil.Error, TypeError):  # it has not begun, or something has ended meanwhile
        for child in psutil.Process(run.status().pid).children(recursive=True):
            words |= set(child.cmdline())
    return {word for word in words if word.startswith("facegen.")}


@pytest.mark.timeout(240)
def test_files_of_a_visitor_are_decoded_in_processes_with_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    options = SwapOptions(end_seconds=0.2)
    request = SwapRequest(sources=(str(FILES / "ada.jpg"),), target=str(FILES / "bea.mp4"), output="", options=options)
    monkeypatch.setenv(SHARED, "1")
    run = SWAP.create_run(request, is_staged=True)
    run.start()
    modules: set[str] = set()
    while run.status().is_active:
        modules |= _modules_below(run)
        time.sleep(0.01)
    assert run.status().state == "done", (run.path / "log.txt").read_text()
    assert {"facegen.forks", "facegen.media.trial"} <= modules
    assert media.probe(next(run.results.glob("*.mp4"))).frame_count == 5
