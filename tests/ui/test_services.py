"""Visitors and their runs."""

import asyncio
import copy
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pillow_heif import register_heif_opener

from facegen import media
from facegen.config import to_dict
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.jobs.process import is_waiting
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest, SwapResult
from facegen.ui.examples import FILES
from facegen.ui.handlers import require_consent
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services(Profile(shared=True))


def _run_of(visitor: Visitor) -> Run:
    return Run.create("swap", {}, owner=visitor.mark)


def test_every_visit_gets_a_token_of_its_own() -> None:
    initial = Visitor()
    visits = [copy.deepcopy(initial) for _ in range(20)]
    assert len({visit.token for visit in (initial, *visits)}) == 21
    assert all(visit.token not in visit.mark for visit in visits)


def test_a_shared_studio_shows_each_visitor_the_own_runs(services: Services) -> None:
    first, second = Visitor(), Visitor()
    mine, _ = _run_of(first), _run_of(second)
    assert [run.name for run in services.runs(first)] == [mine.name]
    assert services.run(first, mine.name).path == mine.path
    with pytest.raises(InputError, match="one of your runs"):
        services.run(second, mine.name)


def test_an_own_studio_shows_all_runs() -> None:
    services = Services(Profile(shared=False))
    _run_of(Visitor())
    Run.create("train", {"task": "parser"})
    assert len(services.runs(Visitor())) == 2


@pytest.mark.parametrize("name", ["", "../etc", "/etc", "nothing-here", None])
def test_a_run_is_found_by_its_name_only(services: Services, name: str | None) -> None:
    with pytest.raises(InputError):
        services.run(Visitor(), name)  # type: ignore[arg-type]


def test_results_are_shown_from_the_visitors_folder_and_forgotten_with_the_visit(
    services: Services, tmp_path: Path
) -> None:
    visitor = Visitor()
    made = tmp_path / "made.mp4"
    made.write_bytes(b"clip")
    shown = Path(services.publish(visitor, made))
    assert shown.read_bytes() == b"clip"
    assert shown.is_relative_to(services.visitor_folder(visitor))
    assert services.publish(visitor, made) == str(shown)
    services.end_visit(visitor)
    assert not shown.exists()
    assert made.exists()


@pytest.mark.parametrize("consent", [False, None, "yes", 1])
def test_only_a_plain_true_is_consent(consent: object) -> None:
    require_consent(True)
    with pytest.raises(InputError, match="consent"):
        require_consent(consent)


def test_watching_ends_with_the_run(services: Services) -> None:
    run = _run_of(Visitor())
    run.cancel()

    async def states() -> list[str]:
        return [status.state async for status in services.watch(run)]

    assert asyncio.run(states()) == ["cancelled"]


def test_the_same_request_is_at_work_once(monkeypatch: pytest.MonkeyPatch) -> None:
    services, visitor = Services(), Visitor()
    monkeypatch.setattr(services, "start_next", lambda: None)
    ada, bea = str(FILES / "ada.jpg"), str(FILES / "bea.jpg")

    def request(target: str) -> SwapRequest:
        return SwapRequest(sources=(ada,), target=target, output="")

    begun: list[Run] = []
    refusals: list[str] = []

    def click() -> None:
        try:
            begun.append(services.start(visitor, SWAP, request(bea)))
        except InputError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert len(refusals) == 3
    assert set(refusals) == {
        f"Expected something new to do, found this at work already as {begun[0].name}; wait for it, or cancel it first."
    }
    services.start(Visitor(), SWAP, request(bea))
    services.start(visitor, SWAP, request(ada))
    begun[0].cancel()
    services.start(visitor, SWAP, request(bea))


def test_the_file_of_a_run_is_found_where_the_command_line_wrote_it(tmp_path: Path) -> None:
    services, made = Services(), tmp_path / "elsewhere.mp4"
    request = SwapRequest(sources=("face.jpg",), target="clip.mp4", output=str(made))
    run = SWAP.create_run(request)
    assert services.results(run) == []
    made.write_bytes(b"clip")
    run.keep_result(to_dict(SwapResult(output=str(made), frames=1, faces=1, people=1, seconds=0.1)))
    assert services.output(run) == made
    assert services.results(run) == [made]
    run.keep_result({"output": 3})
    assert services.results(run) == []


def test_a_container_that_ends_lets_runs_save_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The run gets its chance at SIGTERM, and waits for the next start."""
    program = tmp_path / "worker.py"
    program.write_text(
        "import signal, sys, time\n"
        "from facegen.jobs import Run\n"
        "from facegen.worker import exit_codes\n"
        "run = Run.open(sys.argv[1])\n"
        "with exit_codes(), run.work():\n"
        "    try:\n"
        "        (run.path / 'begun').touch()\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        (run.path / 'saved').touch()\n"
    )
    monkeypatch.setattr("facegen.jobs.run.WORKER", (sys.executable, str(program)))
    run = Run.create("swap", {})
    run.start()
    while not (run.path / "begun").exists():
        time.sleep(0.05)
    Services().close()
    assert run.status().state == "running"
    monkeypatch.setenv("FACEGEN_END_RUNS", "1")
    Services().close()
    assert (run.path / "saved").exists()
    assert is_waiting(run.status())


@pytest.mark.parametrize("suffix", ["heic", "tiff"])
def test_pictures_that_browsers_do_not_show_are_shown_as_jpeg(services: Services, tmp_path: Path, suffix: str) -> None:
    visitor, picture = Visitor(), media.read_picture(FILES / "ada.jpg")
    register_heif_opener()
    path = tmp_path / f"ada.{suffix}"
    Image.fromarray(picture).save(path)
    shown = Path(services.browser_picture(visitor, str(path)))
    assert shown.is_relative_to(services.visitor_folder(visitor))
    assert shown.name == "ada.jpg"
    assert np.abs(media.read_picture(shown).astype(int) - picture).mean() < 5
    assert services.browser_picture(visitor, str(path)) == str(shown)
    assert services.browser_picture(visitor, str(FILES / "ada.jpg")) == str(FILES / "ada.jpg")
