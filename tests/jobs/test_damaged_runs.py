"""Runs whose files were damaged, and a queue that goes on whatever happens to one of them."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from facegen.errors import InputError, ResourceError
from facegen.jobs import Run, find_run, list_runs, start_queued
from tests.jobs.test_runs import start_forever, wait_for_end, worker, write_program

__all__ = ["worker"]

DAMAGE = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"\0" * 40, b"[" * 100_000, b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'{"kind": 7, "request": {}}', b'{"kind": "swap", "request": []}', b'{"state": "running", "pid": -1}',
    b'{"state": "running", "pid": 9' + b"9" * 30 + b', "process_created": 1}', b'{"created": 1' + b"0" * 5000 + b"}",
    b'{"kind": "swap", "request": {}, "created": 1e300}', b'{"kind": "\\ud800", "request": {}}',
    b'{"kind": "a\\u0000", "request": {}}', b'{"format": 99, "kind": "swap", "request": {}}',
    b'{"state": "running", "progress": NaN}',
)  # fmt: skip


@pytest.mark.parametrize("content", DAMAGE, ids=range(len(DAMAGE)))
@pytest.mark.parametrize("name", ["request.json", "status.json", "result.json"])
def test_a_damaged_run_is_listed_and_deleted_and_the_queue_goes_on(
    name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegen.jobs.run.WORKER", ("/bin/true",))
    broken, fine = Run.create("swap", {}), Run.create("swap", {})
    broken.enqueue()
    (broken.path / name).write_bytes(content)
    fine.enqueue()
    for run in list_runs():
        assert isinstance(run.status().text, str)
        assert (run.kind, run.owner, run.can_run) is not None
    if name != "result.json":
        assert start_queued().name == fine.name
        assert broken.status().state == "failed" or name == "status.json"
        wait_for_end(fine)
    found = find_run(broken.name)
    with suppress(InputError):
        found.result()
    found.delete()
    assert [run.name for run in list_runs()] == [fine.name]


def test_damaged_lines_are_skipped_and_counted() -> None:
    run = Run.create("train", {})
    run.log_stats(loss=1.0)
    with (run.path / "stats.jsonl").open("ab") as file:
        file.write(b'{"time": 1, "memory_bytes": "much"}\n[1]\n{"time"\n\xff\n' + b"[" * 5000 + b"\n")
        file.write(b'{"loss": "' + b"x" * (3 << 20) + b'"}\n')
    run.log_stats(loss=2.0)
    found = run.read_stats()
    assert [line["loss"] for line in found.rows] == [1.0, 2.0]
    assert found.damaged == 6


def test_a_full_disk_does_not_end_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (write_program(Run.create("swap", {}), "print('done')") for _ in range(2))
    first.enqueue()
    second.enqueue()

    def full(path: Path, _data: object) -> None:
        raise ResourceError(f"Cannot write {path}: No space left on device; free some space.")

    with monkeypatch.context() as patch:
        patch.setattr("facegen.config.write_json", full)
        assert start_queued() is None
    assert [run.status().state for run in (first, second)] == ["queued", "queued"]
    assert start_queued().name == first.name
    assert wait_for_end(first).state == "done"


def test_a_process_that_died_on_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create("swap", {})
    start_forever(run)
    monkeypatch.setattr("facegen.jobs.run.shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    os.kill(run.status().pid, signal.SIGKILL)
    assert "disk is full" in wait_for_end(run).text


def test_why_a_process_died_is_said_once_its_disk_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create("swap", {})
    start_forever(run)
    status = run.status()

    def closed(path: Path, _data: object) -> None:
        raise ResourceError(f"Cannot write {path}: Read-only file system; free some space.")

    with monkeypatch.context() as patch:
        patch.setattr("facegen.config.write_json", closed)
        os.kill(status.pid, signal.SIGKILL)
        assert "cannot be written" in wait_for_end(run).text
        assert "running" in (run.path / "status.json").read_text()
    assert "cannot be written" in run.status().text
    assert "cannot be written" in (run.path / "status.json").read_text()


def test_a_resumed_run_waits_behind_those_that_wait() -> None:
    old, first, second = (write_program(Run.create("swap", {}), "print('done')") for _ in range(3))
    old.fail("It was cut off.")
    for run in (first, second, old):
        run.enqueue()
    second.enqueue()  # it waits already, and keeps its turn
    order = []
    while (started := start_queued()) is not None:
        order.append(started.name)
        wait_for_end(started)
    assert order == [first.name, second.name, old.name]


def test_damaged_files_do_not_hide_the_other_runs() -> None:
    fine, unreadable, damaged = (Run.create("swap", {"index": index}) for index in range(3))
    (unreadable.path / "request.json").write_text("{")
    (damaged.path / "status.json").write_text('{"state": "dancing"}')
    assert {run.name: run.kind for run in list_runs()} == {
        fine.name: "swap",
        damaged.name: "swap",
        unreadable.name: "damaged",
    }
    assert damaged.status().state == "failed"
    assert "'dancing'" in damaged.status().text
    assert find_run(unreadable.name).status().state == "failed"
    assert "restore or delete" in unreadable.status().text
    with pytest.raises(InputError, match="restore or delete"):
        unreadable.resume()
    damaged.delete()
    find_run(unreadable.name).delete()
    assert [run.name for run in list_runs()] == [fine.name]


def test_cut_line_of_stats_is_left_out() -> None:
    run = Run.create("train", {})
    run.log_stats(loss=1.0)
    with (run.path / "stats.jsonl").open("a") as file:
        file.write('{"loss": 0.')
    assert [line["loss"] for line in run.stats()] == [1.0]
