"""The studio in a real browser, end to end."""

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from facegen import media
from facegen.jobs import Run, list_runs
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]
WAIT_MS = 120_000
TABS = ("Swap", "Generate", "Talk", "Live", "Faceset", "Train", "Runs", "Models", "Verify")


def _open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def _load_example(page: Page, name: str) -> None:
    page.locator(f"[data-example={name}]").click()
    expect(page.locator("#swap-target-words .fg-status")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-ready")).to_contain_text("All is there", timeout=WAIT_MS)


def _runs(studio: StudioProcess) -> list[Run]:
    return [run for run in list_runs(studio.home / "runs") if run.kind == "swap"]


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.slow), 390])
def test_every_tab_fits_the_screen(width: int, open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page(width, 844)
    for name in TABS:
        _open_tab(page, name)
        page.screenshot(path=tmp_path / f"{name}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert (tmp_path / f"{name}-{width}.png").stat().st_size > 10_000


def test_a_swap_of_the_example_from_click_to_download(
    open_page: Callable[..., Page], studio: StudioProcess, tmp_path: Path
) -> None:
    page = open_page()
    before = len(_runs(studio))
    _load_example(page, "ada_to_bea")
    page.locator("#swap-run").click()
    expect(page.locator("#swap-status [role=alert]")).to_contain_text("consent", timeout=WAIT_MS)
    expect(page.locator("#consent.missing")).to_be_visible()
    assert len(_runs(studio)) == before

    # ticked later, it carries on what was refused
    page.locator("#consent input").check()
    expect(page.locator("#swap-status [data-state=done]")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-cancel")).to_be_disabled()
    page.locator("#swap-preview").click()
    expect(page.locator("#swap-status")).to_contain_text("Frame 43, made in", timeout=WAIT_MS)
    page.locator("#swap-find").click()
    expect(page.locator("#swap-status")).to_contain_text("One person found", timeout=WAIT_MS)
    expect(page.locator(".fg-person:visible")).to_have_count(1)

    page.locator("#swap-run").click()
    expect(page.locator("#swap-status [data-state=running] [role=progressbar]")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-status [data-state=running]")).to_contain_text("frames/s", timeout=WAIT_MS)
    expect(page.locator("#swap-status [data-state=done]")).to_contain_text("86 frames, 86 faces", timeout=WAIT_MS)
    expect(page.locator("#swap-original video")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-result video")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#swap-download").click()
    download.value.save_as(tmp_path / "result.mp4")
    assert media.probe(tmp_path / "result.mp4").frame_count == 86


def test_files_that_come_after_a_refusal_leave_it_until_consent(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.locator("#swap-run").click()
    expect(page.locator("#swap-status [role=alert]")).to_contain_text("consent", timeout=WAIT_MS)
    expect(page.locator("#swap-ready")).to_be_hidden()
    _load_example(page, "picture")
    expect(page.locator("#swap-status [role=alert]")).to_contain_text("consent")
    page.locator("#consent input").check()
    expect(page.locator("#swap-status [data-state=done]")).to_be_visible(timeout=WAIT_MS)
    # other files: what was said of the last ones is over
    page.locator("[data-example=ada_to_bea]").click()
    expect(page.locator("#swap-ready")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-status")).to_be_hidden()


def test_cancel_really_stops_the_process_and_the_runs_tab_cleans_up(
    open_page: Callable[..., Page], studio: StudioProcess
) -> None:
    page = open_page()
    before = {run.name for run in _runs(studio)}
    page.locator("#consent input").check()
    _load_example(page, "two_people")
    page.locator("#swap-run").click()
    expect(page.locator("#swap-status [data-state=running]")).to_be_visible(timeout=WAIT_MS)
    run = next(run for run in _runs(studio) if run.name not in before)
    pid = run.status().pid
    assert pid is not None
    assert psutil.pid_exists(pid)
    page.locator("#swap-cancel").click()
    expect(page.locator("#swap-status [data-state=cancelled]")).to_be_visible(timeout=WAIT_MS)
    assert not _is_working(pid)

    _open_tab(page, "Runs")
    page.locator(f"[data-run='{run.name}']").click()
    expect(page.locator("#runs-detail [data-state=cancelled]")).to_be_visible(timeout=WAIT_MS)
    page.locator("#runs-delete").click()
    page.locator("#runs-confirm").click()
    expect(page.locator(f"[data-run='{run.name}']")).to_have_count(0, timeout=WAIT_MS)
    expect(page.locator("#runs-detail")).to_be_hidden(timeout=WAIT_MS)
    assert page.locator(".toast-body").count() == 0
    assert not run.path.exists()


def test_a_bad_file_is_refused_in_one_sentence(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    bad = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    bad.write_text("not a video")
    page.locator("#swap-target input[type=file]").set_input_files(bad)
    expect(page.locator("#swap-target-words [role=alert]")).to_contain_text("Expected", timeout=WAIT_MS)
    expect(page.locator("#swap-target-words [role=alert]")).to_be_in_viewport()
    assert page.locator(".toast-body").count() == 0
    assert str(tmp_path) not in page.locator("#swap-target-words").inner_text()
    assert page.locator("img[src=x]").count() == 0


def test_two_pages_keep_to_themselves(open_page: Callable[..., Page]) -> None:
    first, second = open_page(), open_page()
    first.locator("#consent input").check()
    _load_example(first, "picture")
    expect(second.locator("#swap-target-words .fg-status")).to_have_count(0)
    expect(second.locator("#consent input")).not_to_be_checked()


def _is_working(pid: int) -> bool:
    """Whether a process still runs a moment after it was to end."""
    for _ in range(50):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False
        time.sleep(0.1)
    return True
