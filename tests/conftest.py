"""What every test gets: a home folder of its own, no telemetry, and visible skips for what this machine lacks."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# started in the background, a shell makes its children deaf to Ctrl-C; the commands under test must hear it
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what forks first, and skip, with the reason, what needs a card, the Hub or the local material where these are missing."""
    # what forks goes first: a process forked after others ran has the locks of threads that it lacks
    items.sort(key=lambda item: "test_gpu_runs" not in item.nodeid)
    missing = {
        "gpu": None if shutil.which("nvidia-smi") else "no CUDA device here",
        "network": None if os.environ.get("FACEGEN_NETWORK_TESTS") else "set FACEGEN_NETWORK_TESTS=1 to reach the Hub",
        "data": None if SHARED_DATA.is_dir() else f"no local material in {SHARED_DATA}",
    }
    for item in items:
        for marker, reason in missing.items():
            if reason is not None and item.get_closest_marker(marker) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the slow tests that begin after FACEGEN_SLOW_UNTIL, in seconds since 1970: CI has only so much time."""
    until = os.environ.get("FACEGEN_SLOW_UNTIL")
    if until and time.time() > float(until) and item.get_closest_marker("slow") is not None:
        pytest.skip("the time that CI has is over; make test-slow runs it")


@pytest.fixture(autouse=True)
def facegen_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A facegen home of the test's own, so that no test sees the user's runs, weights or accepted licences."""
    folder = tmp_path / "facegen-home"
    monkeypatch.setenv("FACEGEN_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of local material that is no part of the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no local material in {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(params=["started", "forked"])
def kind_of_process(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes with limits that are interpreters of their own, and such that are forked."""
    from facegen import guarded

    if request.param == "forked":
        guarded.fork_from("facegen.media.trial")
    yield
    guarded.fork_from()
