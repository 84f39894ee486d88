"""How long short runs of the studio take with a process of their own, and with the one that waits with its models loaded."""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import report
from facegen.catalog import find_job
from facegen.config import home
from facegen.facesets.options import ExtractRequest
from facegen.jobs.run import WORKER
from facegen.jobs.spare import SpareWorker
from facegen.swap.request import SwapRequest
from facegen.talk.options import TalkOptions
from facegen.talk.request import TalkRequest
from facegen.ui.examples import FILES, SPEECH, example_request

_READING_SECONDS = 12.0
"""How long a visitor reads before the first click."""


def _file(name: str) -> str:
    return str(FILES / name)


def _requests(folder: Path) -> dict[str, tuple[str, Any]]:
    """The tab and the request of each run, none of which was made before."""
    talk = TalkOptions(seconds=2)
    return {
        "swap, a picture": ("Swap", SwapRequest(sources=(_file("ada.jpg"),), target=_file("carl.jpg"), output="")),
        "swap, 86 frames": ("Swap", SwapRequest(sources=(_file("ada.jpg"),), target=_file("bea.mp4"), output="")),
        "talk, 2 seconds": (
            "Talk",
            TalkRequest(portrait=_file("ada.jpg"), audio=_file(SPEECH), output="", options=talk),
        ),
        "faces of 76 frames": (
            "Faceset",
            ExtractRequest(inputs=(_file("ada.mp4"),), output=str(folder / f"faces-{time.time_ns()}")),
        ),
    }


def main(arguments: list[str]) -> None:
    """Time every run three times each way; with --quick once."""
    rounds = 1 if "--quick" in arguments else 3
    spare = SpareWorker(WORKER)
    rows = []
    for name in _requests(Path()):
        times: dict[str, list[tuple[float, float]]] = {"own": [], "waiting": []}
        for _ in range(rounds):
            for kind, kept in (("own", None), ("waiting", spare)):
                with tempfile.TemporaryDirectory() as folder:
                    times[kind].append(_measure(Path(folder), name, kept))
        own, waiting = ([statistics.median(column) for column in zip(*times[kind], strict=True)] for kind in times)
        rows.append(
            {
                "run": name,
                "own process: first progress, s": round(own[0], 2),
                "done, s": round(own[1], 2),
                "waiting process: first progress, s": round(waiting[0], 2),
                "done with it, s": round(waiting[1], 2),
            }
        )
    spare.close()
    report("run_start", rows, notes=[f"Wall-clock seconds from the start of the run, medians of {rounds}."])


def _measure(folder: Path, name: str, spare: SpareWorker | None) -> tuple[float, float]:
    """Seconds to the first progress and to the end of a run, in a home of its own."""
    os.environ["FACEGEN_HOME"] = str(folder)
    tab, request = _requests(folder)[name]
    usual = example_request(tab)
    assert usual is not None
    if spare is not None:
        spare.prepare(*usual)
        spare.keep()
        time.sleep(_READING_SECONDS)
    assert home() == folder
    run = find_job(usual[0]).create_run(request, is_staged=True)
    began = time.perf_counter()
    run.start(spare)
    first = 0.0
    while (status := run.status()).is_active:
        if not first and status.progress > 0:
            first = time.perf_counter() - began
        time.sleep(0.01)
    seconds = time.perf_counter() - began
    assert status.state == "done", status.text
    return first or seconds, seconds
