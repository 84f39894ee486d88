"""Runs: started as processes, watched, cancelled as a group, found again, resumed, queued and deleted."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import facegen.jobs.run
from facegen import config
from facegen.errors import Cancelled, InputError, ResourceError
from facegen.jobs import Run, RunStatus, find_run, list_runs, runs_home, start_queued
from facegen.jobs.process import created_at
from facegen.jobs.progress import Pace


def source_of(body: str) -> str:
    """A program that works on the run in its first argument as facegen's own commands do; `body` sees `run`."""
    return f"""
import signal, subprocess, sys, time
from facegen.jobs import Run
def stop(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
with Run.open(sys.argv[1]).work() as run:
{textwrap.indent(textwrap.dedent(body), "    ")}
"""


@pytest.fixture(autouse=True)
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are worked on by the program in their own folder."""
    path = tmp_path / "worker.py"
    path.write_text("import runpy, sys; runpy.run_path(sys.argv[1] + '/program.py', run_name='__main__')")
    monkeypatch.setattr("facegen.jobs.run.WORKER", (sys.executable, str(path)))


def write_program(run: Run, program: str) -> Run:
    (run.path / "program.py").write_text(program)
    return run


def write_work(run: Run, body: str) -> Run:
    return write_program(run, source_of(body))


def begun_by_an_older_facegen(run: Run) -> None:
    """Gives a run the request.json of facegen 0.1."""
    old = {"kind": run.kind, "request": {"visitor": "v", "target": "clip.mp4"}, "argv": ["true"], "resume_argv": []}
    config.write_json(run.path / "request.json", {**old, "created": run.created})


def test_runs_of_an_older_facegen_are_listed_and_deleted() -> None:
    run = Run.create("swap", {})
    begun_by_an_older_facegen(run)
    (listed,) = list_runs()
    assert (listed.kind, listed.owner, listed.can_run) == ("swap", "v", False)
    assert listed.request["target"] == "clip.mp4"
    listed.delete()
    assert list_runs() == []


def wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def wait_for_end(run: Run) -> RunStatus:
    wait_until(lambda: not run.status().is_active)
    return run.status()


FOREVER = """
run.update(0.25, "Half of the half.")
print("at it", flush=True)
time.sleep(600)
"""


def start_forever(run: Run) -> None:
    write_work(run, FOREVER).start()
    wait_until(lambda: "at it" in run.log_tail())


def test_a_run_goes_from_asked_to_done(facegen_home: Path) -> None:
    run = Run.create("swap", {"target": "clip.mp4"})
    assert run.path.parent == facegen_home / "runs" == runs_home()
    assert run.status().state == "queued"
    write_work(run, 'run.update(0.5, "Halfway.", rate="3 frames/s", loss=0.25)\nprint("hello")').start()
    assert run.status().state in ("running", "done")
    status = wait_for_end(run)
    assert (status.state, status.progress, status.text) == ("done", 1.0, "Done.")
    assert status.rate == "3 frames/s"
    assert run.log_tail() == "hello"
    assert any(line.get("loss") == 0.25 for line in run.stats())
    again = Run.open(run.path)
    assert (again.kind, again.request) == ("swap", {"target": "clip.mp4"})
    assert again.size_bytes() > 100


def test_a_command_that_knows_nothing_of_runs_is_watched_too() -> None:
    fine, broken = Run.create("tool", {}), Run.create("tool", {})
    write_program(fine, "print('fine')").start()
    write_program(broken, "raise SystemExit('the disk is full')").start()
    assert wait_for_end(fine).state == "done"
    assert wait_for_end(broken) == wait_for_end(broken)
    assert (broken.status().state, broken.status().text) == ("failed", "the disk is full")


def test_an_error_ends_the_run_with_its_sentence() -> None:
    run = Run.create("swap", {})
    write_work(run, 'from facegen.errors import InputError\nraise InputError("Expected a face, found none.")').start()
    status = wait_for_end(run)
    assert (status.state, status.text) == ("failed", "Expected a face, found none.")


def test_a_folder_never_meets_a_shell(tmp_path: Path) -> None:
    hostile = tmp_path / "$(touch owned); `id` ' \" \n é"
    run = Run.create("tool", {}, path=hostile)
    write_program(run, "import sys; print(ascii(sys.argv[1]))").start()
    wait_for_end(run)
    assert run.log_tail() == ascii(str(hostile))
    assert not (tmp_path / "owned").exists()


def test_cancel_stops_the_whole_group() -> None:
    run = Run.create("train", {})
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    write_work(run, f"child = {child}\nprint('child', child.pid, flush=True)\ntime.sleep(600)").start()
    wait_until(lambda: "child" in run.log_tail())
    pids = [run.status().pid, int(run.log_tail().split("child ")[1].split()[0])]
    assert run.cancel().state == "cancelled"
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert run.status().state == "cancelled"
    assert run.cancel().state == "cancelled"


def test_cancel_kills_what_does_not_listen() -> None:
    run = Run.create("train", {})
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    write_program(run, f"{deaf}; time.sleep(600)").start()
    wait_until(lambda: "deaf" in run.log_tail())
    pid = run.status().pid
    assert run.cancel(grace_seconds=0.2).state == "cancelled"
    wait_until(lambda: not psutil.pid_exists(pid))
    assert run.status().state == "cancelled"


def test_kill_9_is_told_from_running_and_resume_goes_on() -> None:
    run = Run.create("swap", {})
    body = """
    marker = run.path / "marker"
    if marker.exists():
        print("went on", flush=True)
    else:
        marker.touch()
        run.update(0.25, "Working.")
        print("at it", flush=True)
        time.sleep(600)
    """
    write_work(run, body).start()
    wait_until(lambda: "at it" in run.log_tail())
    os.kill(run.status().pid, signal.SIGKILL)
    status = wait_for_end(run)
    assert (status.state, status.progress) == ("failed", 0.25)
    assert "resume" in status.text
    run.resume()
    assert wait_for_end(run).state == "done"
    assert "went on" in run.log_tail()


def test_a_number_that_was_given_to_a_later_process_is_not_the_run() -> None:
    run = Run.create("swap", {})
    own = psutil.Process()
    earlier = RunStatus(state="running", pid=own.pid, process_created=created_at(own.pid) - 3600.0, group=own.pid)
    config.save(run.path / "status.json", earlier)
    assert run.status().state == "failed"
    assert config.load(RunStatus, run.path / "status.json").state == "failed"


def test_a_restarted_studio_finds_the_run_still_running() -> None:
    starter = f"""
import sys
import facegen.jobs.run
from facegen.jobs import Run
facegen.jobs.run.WORKER = {facegen.jobs.run.WORKER!r}
run = Run.create("train", {{}})
(run.path / "program.py").write_text({source_of(FOREVER)!r})
run.start()
print(run.name)
"""
    name = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=True).stdout.strip()
    (run,) = list_runs()
    assert run.name == name
    wait_until(lambda: run.status().text == "Half of the half.")
    assert run.status().state == "running"
    assert run.cancel().state == "cancelled"


def test_two_processes_cannot_hold_the_same_run() -> None:
    run = Run.create("swap", {})
    start_forever(run)
    with pytest.raises(InputError, match="another process"), Run.open(run.path).work():
        pass
    with pytest.raises(InputError, match="running"):
        write_program(run, "").start()
    with pytest.raises(InputError, match=r"another process|running"):
        run.delete()
    assert run.status().state == "running"
    run.cancel()


def test_work_in_this_process_is_asked_to_stop_and_never_signalled() -> None:
    run = Run.create("swap", {})

    def work() -> None:
        with run.work():
            for step in range(100000):
                run.update(step / 100000, "Working.")
                if step == 3:
                    asker = [sys.executable, "-m", "facegen", "runs", "cancel", run.name]
                    askers.append(subprocess.Popen(asker, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
                time.sleep(0.01)

    askers: list[subprocess.Popen[bytes]] = []
    with pytest.raises(Cancelled):
        work()
    output, _ = askers[0].communicate(timeout=60)
    assert (askers[0].returncode, output.decode().strip()) == (0, f"{run.name}: cancelled")
    assert run.status().state == "cancelled"
    with run.work():
        run.update(0.5, "A cancel of the past does not stop new work.")
    assert run.status().state == "done"


def test_work_that_does_not_listen_and_is_not_ours() -> None:
    run = Run.create("swap", {})
    with run.work(), pytest.raises(ResourceError, match="by hand"):
        run.cancel(grace_seconds=0.1)


def test_queued_runs_start_one_after_another() -> None:
    runs = [Run.create("swap", {"index": index}) for index in range(3)]
    for index, run in enumerate(runs):
        write_work(run, f"print('run {index}')\ntime.sleep(0.2)").enqueue()
    assert start_queued() == runs[0] or list_runs()[-1].status().state != "queued"
    seen_running = []
    while any(run.status().is_active for run in runs):
        start_queued()
        seen_running.append(sum(run.status().state == "running" for run in runs))
        time.sleep(0.02)
    assert max(seen_running) == 1
    assert [run.log_tail() for run in runs] == ["run 0", "run 1", "run 2"]
    assert start_queued() is None


def test_queued_run_that_was_cancelled_does_not_start() -> None:
    run = Run.create("swap", {})
    run.enqueue()
    assert run.cancel().state == "cancelled"
    assert start_queued() is None


def test_queued_run_that_cannot_start_makes_way() -> None:
    broken, fine = Run.create("swap", {}), write_program(Run.create("swap", {}), "print('fine')")
    broken.enqueue()
    begun_by_an_older_facegen(broken)
    fine.enqueue()
    assert start_queued().name == fine.name
    assert broken.status().state == "failed"
    assert "begin it again" in broken.status().text
    assert wait_for_end(fine).state == "done"


def test_delete_never_leaves_the_root(tmp_path: Path) -> None:
    elsewhere = Run.create("swap", {}, path=tmp_path / "elsewhere")
    with pytest.raises(InputError, match="by hand"):
        elsewhere.delete()
    runs_home().mkdir(parents=True)
    (runs_home() / "link").symlink_to(elsewhere.path)
    with pytest.raises(InputError, match="by hand"):
        find_run("link").delete()
    inside = Run.create("swap", {})
    (inside.results / "outside").symlink_to(elsewhere.path)
    inside.delete()
    assert not inside.path.exists()
    assert (elsewhere.path / "request.json").exists()


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "..", "", "nothing", "a/b", "-x"])
def test_names_that_are_no_runs(name: str) -> None:
    with pytest.raises(InputError, match="facegen runs list"):
        find_run(name)


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    assert list_runs() == []
    (runs_home() / "stray").mkdir(parents=True)
    assert list_runs() == []
    with pytest.raises(InputError, match=r"request\.json"):
        Run.open(tmp_path)
    run = Run.create("swap", {}, path=tmp_path / "mine")
    with pytest.raises(InputError, match="free folder"):
        Run.create("swap", {}, path=run.path)
    begun_by_an_older_facegen(run)
    with pytest.raises(InputError, match="earlier one; begin it again"):
        run.resume()
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="choose another place"):
        Run.create("swap", {}, path=tmp_path / "file" / "run")


def test_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facegen.jobs.run.WORKER", ("/no/such/program",))
    run = Run.create("tool", {})
    with pytest.raises(ResourceError, match="Cannot start"):
        run.start()
    assert run.status().state == "queued"


def test_heartbeat_writes_while_the_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facegen.jobs.run.STATS_SECONDS", 0.1)
    run = Run.create("train", {})
    with run.work():
        wait_until(lambda: len(run.stats()) >= 4)
    assert all({"time", "memory_bytes", "progress"} <= line.keys() for line in run.stats())


def test_log_tail_shows_a_progress_line_as_it_stood_last() -> None:
    run = Run.create("tool", {})
    (run.path / "log.txt").write_text("start\n 1 %\r 2 %\r 3 %\nend\n")
    assert run.log_tail() == "start\n 3 %\nend"
    assert run.log_tail(1) == "end"


def test_time_left_follows_the_last_half_minute() -> None:
    pace = Pace()
    assert pace.time_left(0.0, 0.0) is None
    assert [pace.time_left(float(second), second / 100) for second in range(1, 11)][-1] == pytest.approx(90.0)
    for second in range(11, 101):
        left = pace.time_left(float(second), 0.1 + (second - 10) / 1000)
    assert left == pytest.approx((1 - 0.19) * 1000, rel=0.01)


def test_the_commands(capfd: pytest.CaptureFixture[str]) -> None:
    def facegen(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "facegen", "runs", *arguments]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)

    assert facegen("list").stdout == "No runs yet.\n"
    run = Run.create("swap", {"target": "clip.mp4"})
    write_work(run, "print('hello')").start()
    wait_for_end(run)
    (listed,) = json.loads(facegen("list", "--json").stdout)
    assert (listed["name"], listed["state"], listed["size_bytes"] > 0) == (run.name, "done", True)
    assert json.loads(facegen("show", run.name, "--json").stdout)["request"] == {"target": "clip.mp4"}
    assert facegen("log", run.name, "--follow").stdout == "hello\n"
    assert facegen("resume", run.name).returncode == 0
    # the command started facegen's own worker, which does not take half a request
    assert (wait_for_end(run).state, "to state 'output'" in run.status().text) == ("failed", True)
    unknown = facegen("show", "nothing")
    assert unknown.returncode == 2
    assert unknown.stderr.count("\n") == 1
    assert facegen("delete", run.name).returncode != 0
    assert run.path.exists()
    assert facegen("delete", run.name, "--yes").returncode == 0
    assert not run.path.exists()


def test_a_result_is_kept_before_the_end_and_read_back() -> None:
    run = Run.create("swap", {})
    assert run.result() == {}
    with run.work():
        run.keep_result({"frames": 12, "notices": ["über"]})
    assert run.status().state == "done"
    assert run.result() == {"frames": 12, "notices": ["über"]}
