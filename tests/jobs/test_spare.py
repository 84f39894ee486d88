"""The worker that waits: it becomes a run's process like any other, begins anew after a change of models, ends with its keeper."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from facegen.hub import weights_home
from facegen.jobs import Run
from facegen.jobs.run import WORKER
from facegen.jobs.spare import SpareWorker
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.ui.examples import FILES, example_request

PROGRAM = """
import signal, sys, time
from pathlib import Path
from facegen.jobs import Run
from facegen.jobs.spare import ARGUMENT, wait_for_run
def stop(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
loaded = []
def load(job, request):
    loaded.append((job, request))
    Path(__file__).with_name("loaded").touch()
waits = sys.argv[1] == ARGUMENT
folder = wait_for_run(load, (sys.executable, __file__)) if waits else sys.argv[1]
with Run.open(folder).work() as run:
    print(loaded, run.request["words"], flush=True)
    time.sleep(run.request["seconds"])
"""


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[SpareWorker]:
    program = tmp_path / "worker.py"
    program.write_text(PROGRAM)
    kept = SpareWorker((sys.executable, str(program)), free_bytes=0)
    yield kept
    kept.close()


def waiting_process(spare: SpareWorker) -> psutil.Process:
    assert spare._process is not None
    return psutil.Process(spare._process.pid)


def run_of(words: str, seconds: float = 0.0) -> Run:
    return Run.create("tool", {"words": words, "seconds": seconds})


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 180
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def finish(run: Run) -> str:
    wait_until(lambda: not run.status().is_active)
    return run.status().state


def test_a_run_is_worked_on_by_the_process_that_waited(spare: SpareWorker) -> None:
    spare.prepare("swap", {"a": 1})
    spare.keep()
    waiting = waiting_process(spare)
    run = run_of("hello é")
    run.start(spare)
    assert run.status().pid == run.status().group == waiting.pid
    assert finish(run) == "done"
    assert run.log_tail() == "[('swap', {'a': 1})] hello é"
    assert not spare.is_waiting()
    spare.keep()
    assert spare.is_waiting()


def test_it_is_cancelled_as_any_other(spare: SpareWorker) -> None:
    spare.keep()
    run = run_of("at it", 600)
    run.start(spare)
    wait_until(lambda: "at it" in run.log_tail())
    process = psutil.Process(run.status().pid)
    assert run.cancel().state == "cancelled"
    assert not process.is_running()


def test_a_changed_model_has_it_begin_anew(spare: SpareWorker, tmp_path: Path) -> None:
    spare.prepare("swap", {"a": 1})
    spare.keep()
    waiting = waiting_process(spare)
    wait_until(lambda: (tmp_path / "loaded").exists())
    (weights_home() / "own").mkdir(parents=True)
    (weights_home() / "own" / "model.safetensors").write_bytes(b"1")
    run = run_of("hello")
    run.start(spare)
    assert run.status().pid == waiting.pid
    assert finish(run) == "done"
    assert run.log_tail() == "[] hello"


def test_one_that_died_is_not_used(spare: SpareWorker) -> None:
    spare.keep()
    waiting = waiting_process(spare)
    waiting.kill()
    wait_until(lambda: not spare.is_waiting())
    assert spare.take(Path("/nowhere")) is None


def test_it_ends_with_its_keeper(tmp_path: Path) -> None:
    program = tmp_path / "worker.py"
    program.write_text(PROGRAM)
    keeper = f"""
import time
from facegen.jobs.spare import SpareWorker
spare = SpareWorker(({sys.executable!r}, {str(program)!r}), free_bytes=0)
spare.keep()
print(spare._process.pid, flush=True)
time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", keeper], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    waiting = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.communicate()
    wait_until(lambda: not waiting.is_running() or waiting.status() == psutil.STATUS_ZOMBIE)


def test_a_real_one_swaps_a_face() -> None:
    spare = SpareWorker(WORKER, free_bytes=0)
    spare.prepare(*example_request("Swap"))  # type: ignore[misc]
    spare.keep()
    request = SwapRequest(sources=(str(FILES / "ada.jpg"),), target=str(FILES / "carl.jpg"), output="")
    run = SWAP.create_run(request, is_staged=True)
    run.start(spare)
    assert finish(run) == "done"
    assert run.result()["faces"] == 1
    wait_until(lambda: '"faces": 1' in run.log_tail())
