"""Trainings begun in a real browser: two clicks begin one, and two pages share their example set."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from facegen.jobs import list_runs
from tests.browser.conftest import WAIT_MS
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.mark.slow
def test_two_clicks_and_two_pages_share_one_example_set(open_page: Callable[..., Page], studio: StudioProcess) -> None:
    pages = [open_page(), open_page()]
    for page in pages:
        page.locator("#consent input").check()
        page.get_by_role("tab", name="Train", exact=True).first.click()
        page.locator("#train-advanced > button").click()
        page.locator("#train-origin").get_by_text("Example set, made here").click()
    for page in pages:
        page.locator("#train-start").dblclick()
    for page in pages:
        expect(page.locator("#train-words")).to_contain_text("was begun", timeout=WAIT_MS)
    runs = [run for run in list_runs(studio.home / "runs") if run.kind == "train"]
    try:
        # a visitor each, and of two clicks of one the first counts
        assert len(runs) == 2
        sets = [path.name for path in (studio.home / "data").iterdir() if path.is_dir()]
        assert sets == ["examples-parser"]
    finally:
        for run in runs:
            run.cancel()
