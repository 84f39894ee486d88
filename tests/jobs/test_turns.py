"""How many runs are before a waiting one, and by when they are probably done."""

import json
import time

import psutil
import pytest

from facegen import config
from facegen.jobs import Run, RunStatus, estimate_turns
from facegen.jobs.process import created_at


def make(kind: str, status: RunStatus, took: float | None = None, owner: str = "") -> Run:
    """A run that stands so; done or at work since `took` seconds."""
    run = Run.create(kind, {}, owner=owner)
    config.save(run.path / "status.json", status)
    if took is not None:
        began = (status.updated or time.time()) - took
        (run.path / "stats.jsonl").write_text(json.dumps({"time": began, "memory_bytes": 1}) + "\n")
    return run


def done(kind: str, took: float) -> Run:
    return make(kind, RunStatus(state="done", updated=time.time()), took)


def waits(kind: str, since: float) -> Run:
    return make(kind, RunStatus(state="queued", is_enqueued=True, updated=since), owner="one")


def works(kind: str, eta: float | None = None, took: float = 5.0) -> Run:
    own = psutil.Process().pid
    status = RunStatus(state="running", pid=own, process_created=created_at(own), eta_seconds=eta)
    return make(kind, status, took)


def test_waiting_runs_know_their_number_and_time() -> None:
    for seconds in (10, 20, 30, 40, 90):
        done("swap", seconds)
    works("talk", eta=7.0)
    first, second, third = (waits(kind, since) for kind, since in (("swap", 1.0), ("talk", 2.0), ("swap", 3.0)))
    turns = estimate_turns()
    assert [turns[run.name].before for run in (first, second, third)] == [1, 2, 3]
    assert turns[first.name].seconds == pytest.approx(7.0)
    assert turns[second.name].seconds == pytest.approx(7.0 + 90.0, abs=1.0)
    assert turns[third.name].seconds is None  # no talk was done yet
    assert estimate_turns(at_once=2)[second.name].seconds == pytest.approx(48.5, abs=1.0)


def test_what_works_without_an_estimate_is_held_against_the_usual() -> None:
    for seconds in (10, 10, 10):
        done("swap", seconds)
    works("swap", took=4.0)
    waiting = waits("swap", 1.0)
    assert estimate_turns()[waiting.name].seconds == pytest.approx(6.0, abs=2.0)
    works("swap", took=400.0)
    assert estimate_turns()[waiting.name].seconds == pytest.approx(6.0, abs=2.0)
