"""Locks, positioned reads and links work without what only POSIX has, and so does all that is built on them."""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import facegen
from facegen import system
from tests.conftest import REPOSITORY

BARE = "import tests.bare_system\n"
PURE = (
    *("test_config.py", "test_hub.py", "test_readers.py", "jobs", "facesets/test_exchange.py"),
    *("provenance/test_keys.py", "training/test_checkpoint.py", "ui/test_messages.py", "ui/test_profile.py", "cli"),
)
"""Parts of the suite that draw no face."""
TESTS_OF_POSIX = "not kill and not sigterm"
"""They send signals that are missed here."""


def run_bare(code: str, *arguments: str) -> str:
    """What a program prints for which facegen's modules lack what Windows lacks."""
    done = subprocess.run(
        [sys.executable, "-c", BARE + code, *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(params=["as it is", "without fcntl and pread"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "as it is":
        import filelock  # noqa: F401  # it wants fcntl where there is no Windows

        monkeypatch.setitem(sys.modules, "fcntl", None)
        monkeypatch.delattr(os, "pread")


@pytest.mark.usefixtures("_either")
def test_a_lock_is_held_by_one_and_keeps_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    release = system.lock_file(path)
    with pytest.raises(BlockingIOError):
        system.lock_file(path, waits=False)
    release()
    system.lock_file(path, waits=False)()


def test_a_place_that_cannot_be_locked_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        system.lock_file(tmp_path / "missing" / "lock")


@pytest.mark.usefixtures("_either")
def test_reads_from_a_position(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one\r\ntwo\x1athree")
    handle = system.open_binary(path)
    assert (system.read_at(handle, 5, 3), system.read_at(handle, 3, 0)) == (b"\r\ntwo", b"one")
    os.close(handle)


def test_links_become_copies_where_they_are_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("A required privilege is not held by the client")

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("text")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    monkeypatch.setattr(os, "link", refuse)
    system.link_path(tmp_path / "folder", tmp_path / "second")
    system.link_path(tmp_path / "folder" / "file", tmp_path / "third")
    assert (tmp_path / "second" / "file").read_text() == (tmp_path / "third").read_text() == "text"


def test_the_command_line_starts_without_what_posix_has() -> None:
    printed = run_bare("from facegen.__main__ import main; main()", "runs", "list", "--json")
    assert printed.strip() == "[]"


def test_the_bare_system_takes_something_away() -> None:
    probe = "import facegen.system as s; print(hasattr(s.os, 'killpg'), hasattr(s.os, 'getpid'), s.process_group())"
    assert run_bare(probe).split() == ["False", "True", "None"]


@pytest.mark.slow
def test_every_module_imports_without_what_posix_has() -> None:
    names = [name for _, name, _ in pkgutil.walk_packages(facegen.__path__, "facegen.") if "__main__" not in name]
    assert len(names) > 300
    run_bare("import importlib, sys, warnings\nfor name in sys.argv[1:]: importlib.import_module(name)", *names)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_pure_parts_of_the_suite_pass_without_what_posix_has() -> None:
    tests = [str(REPOSITORY / "tests" / name) for name in PURE]
    arguments = ["-p", "tests.bare_system", "-q", "-k", TESTS_OF_POSIX, "-m", "not slow and not browser", *tests]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_a_worker_lets_others_go_first(tmp_path: Path) -> None:
    code = "import os, psutil; from facegen.system import lower_priority as y; y(5); y(15); y(5); print(psutil.Process().nice())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, **system.new_process_group()
    )
    before = psutil.Process().nice()
    assert int(done.stdout) == max(before, 15) if os.name == "posix" else int(done.stdout) != before
