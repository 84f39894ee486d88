"""Processes are forked from one that has imported what they need, and end alone."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest

from facegen.forks import ForkedProcess, Forks

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux forks this way")


def answer(texts: Sequence[str]) -> int:
    """What the processes of this test do: say who they are and what they see, then repeat what they read."""
    print(os.getpid(), os.getppid(), os.environ.get("COLOUR"), "tests.factories" in sys.modules, *texts, flush=True)
    for line in sys.stdin:
        print(line.strip().upper(), flush=True)
    raise RuntimeError("nothing more to read")


@pytest.fixture
def forks() -> Iterator[Forks]:
    made = Forks(["tests.factories"])
    yield made
    made.close()


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ForkedProcess]]:
    """All processes of a test, ended after it."""
    made: list[ForkedProcess] = []
    begin = ForkedProcess.__init__

    def note(self: ForkedProcess, *arguments: Any) -> None:
        begin(self, *arguments)
        made.append(self)

    monkeypatch.setattr(ForkedProcess, "__init__", note)
    yield made
    for process in made:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def complaints() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


def start(forks: Forks, complaints: IO[bytes], **environment: str) -> ForkedProcess:
    process = forks.fork(
        "tests.test_forks:answer", ["one", "two"], environment={**os.environ, **environment}, stderr=complaints.fileno()
    )
    assert process is not None
    return process


def read_words(process: ForkedProcess) -> list[str]:
    return process.stdout.readline().decode().split()


def test_it_has_its_arguments_its_environment_and_the_modules(forks: Forks, complaints: IO[bytes]) -> None:
    first, second = start(forks, complaints, COLOUR="red"), start(forks, complaints, COLOUR="blue")
    one, other = read_words(first), read_words(second)
    assert (one[2:], other[2:]) == (["red", "True", "one", "two"], ["blue", "True", "one", "two"])
    assert one[0] != other[0]
    assert one[1] == other[1]
    assert len(os.listdir(f"/proc/{one[1]}/task")) == 1, "a fork would have the locks of threads that it lacks"
    for process in (first, second):
        process.stdin.write(b"words\n")
        process.stdin.flush()
        assert read_words(process) == ["WORDS"]
        assert process.poll() is None


def test_it_ends_by_its_input_and_complains(forks: Forks, complaints: IO[bytes]) -> None:
    process = start(forks, complaints)
    read_words(process)
    process.stdin.close()
    assert process.wait(30) != 0
    assert process.poll() is not None
    complaints.seek(0)
    assert b"nothing more to read" in complaints.read()


def test_one_is_killed_and_the_other_lives(forks: Forks, complaints: IO[bytes]) -> None:
    first, second = start(forks, complaints), start(forks, complaints)
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(0.05)
    first.kill()
    first.wait(30)
    first.kill()  # again: nothing happens
    assert second.poll() is None
    forks.close()
    assert read_words(second)[3:] == ["True", "one", "two"]


def test_a_lost_parent_is_replaced(forks: Forks, complaints: IO[bytes]) -> None:
    parent = int(read_words(start(forks, complaints))[1])
    os.kill(parent, 9)
    assert int(read_words(start(forks, complaints))[1]) != parent


def test_what_cannot_be_imported_is_none(complaints: IO[bytes]) -> None:
    forks = Forks(["facegen.no_such_module"])
    assert forks.fork("tests.test_forks:answer", [], environment={}, stderr=complaints.fileno()) is None


def test_the_parent_ends_with_who_started_it(tmp_path: Path) -> None:
    words = (
        "import os, sys; from facegen.forks import Forks; forks = Forks(['json']);"
        "process = forks.fork('tests.test_forks:answer', [], environment=dict(os.environ), stderr=2);"
        "print(process.stdout.readline().decode().split()[1], flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, timeout=60, check=False)
    status = Path(f"/proc/{int(done.stdout)}")
    for _ in range(100):
        if not status.exists():
            return
        time.sleep(0.1)
    pytest.fail("it lives on")
