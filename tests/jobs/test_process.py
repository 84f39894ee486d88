"""Which process a run belongs to, and whether it lives: told by no clock and by no first thread."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from facegen.jobs.process import RunStatus, created_at, is_alive

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="as Linux counts and shows processes")


@LINUX
def test_a_clock_that_is_set_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    status = RunStatus(state="running", pid=os.getpid(), process_created=created_at(os.getpid()))
    boot, created = psutil.boot_time, psutil.Process.create_time
    for seconds in (86400.0, -86400.0):
        monkeypatch.setattr(psutil, "boot_time", lambda seconds=seconds: boot() + seconds)
        monkeypatch.setattr(psutil.Process, "create_time", lambda process, seconds=seconds: created(process) + seconds)
        assert is_alive(status)


@LINUX
def test_a_process_whose_first_thread_ended_still_holds_its_run() -> None:
    exit_thread = "ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)"
    code = f"import ctypes, platform, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); {exit_thread}"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 180
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        status = RunStatus(state="running", pid=process.pid, process_created=created_at(process.pid))
        assert is_alive(status)
        process.kill()
        process.wait()
        assert not is_alive(status)
