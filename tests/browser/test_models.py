"""The Models tab in a real browser: filter, fetch with a bar, stop, go on, licences by name, verify, remove."""

import os
import threading
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from facegen import catalog, hub
from facegen.ui.studio import serve
from facegen.ui.tabs.swap import trained
from tests.small_hub import SmallHub
from tests.ui.test_models import FREE, STRICT, small_hub  # noqa: F401

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]
WAIT_MS = 60_000


def test_models_are_found_fetched_and_removed(chromium: Browser, small_hub: SmallHub) -> None:  # noqa: F811
    gate = small_hub.gate = threading.Event()
    with serve(port=0) as studio:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.goto(studio.local_url or "")
        page.get_by_role("tab", name="Models", exact=True).first.click(timeout=WAIT_MS)
        table, words = page.locator("#models-list"), page.locator("#models-words")
        expect(table).to_contain_text("parser", timeout=WAIT_MS)
        page.locator("#models-job input").click()
        page.get_by_role("option", name="Talk").click()
        expect(table).not_to_contain_text("autoencoder-1", timeout=WAIT_MS)
        page.locator("#models-permissive input").check()
        expect(table).not_to_contain_text("strict", timeout=WAIT_MS)

        table.locator("[data-act=fetch][data-name=free]").click()
        row = table.locator("tr", has_text="free")
        expect(row).to_contain_text("2.1 of 4.2 MB", timeout=WAIT_MS)
        table.locator("[data-act=cancel]").click()
        expect(words).to_contain_text("goes on where it is", timeout=WAIT_MS)
        gate.set()
        expect(row).to_contain_text("begun", timeout=WAIT_MS)
        small_hub.gate = None
        table.locator("[data-act=fetch][data-name=free]").click()
        expect(row).to_contain_text("present", timeout=WAIT_MS)
        table.locator("[data-act=verify][data-name=free]").click()
        expect(words).to_contain_text("free is as it should be", timeout=WAIT_MS)

        page.locator("#models-permissive input").uncheck()
        page.locator("#models-set-fast").click()
        expect(page.locator("#models-terms")).to_contain_text("Its author allows research alone.", timeout=WAIT_MS)
        page.locator("#models-fetch").click()
        expect(words).to_contain_text("its box empty", timeout=WAIT_MS)
        assert not hub.is_present(STRICT)
        page.locator("#models-accepted input").check()
        page.locator("#models-fetch").click()
        expect(table.locator("[data-act=remove][data-name=strict]")).to_be_visible(timeout=WAIT_MS)
        assert hub.fetch(STRICT).stat().st_size == STRICT.size
        table.locator("[data-act=remove][data-name=strict]").click()
        expect(words).to_contain_text("4.2 MB are free again", timeout=WAIT_MS)
        assert hub.state_of(STRICT) == "absent"
        assert hub.is_present(FREE)
        page.locator("#models-accelerators").click()
        expect(words).to_contain_text("the CPU", timeout=WAIT_MS)
        if path := os.environ.get("FACEGEN_SEEN"):
            page.screenshot(path=path, full_page=True)
        page.close()


@pytest.mark.usefixtures("small_hub")
def test_a_choice_that_needs_a_file_fetches_it(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """An enhancer whose file is missing says so below the options; its button fetches it once the licence is accepted."""
    monkeypatch.setattr(trained, "WEIGHTS", (replace(STRICT, name="gfpgan-1-4"),))
    monkeypatch.setattr(catalog, "WEIGHTS", trained.WEIGHTS)
    with serve(port=0) as studio:
        page = chromium.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(studio.local_url or "")
        row, choice = page.locator("#swap-missing"), page.locator("#option-enhance input")
        page.get_by_role("button", name="Models from the Hub").click(timeout=WAIT_MS)
        choice.click()
        page.get_by_role("option", name="gfpgan-1-4").click()
        expect(row).to_contain_text("needs 1 file from the Hub, 4.2 MB: gfpgan-1-4", timeout=WAIT_MS)
        expect(row).to_contain_text("Its author allows research alone.")
        if path := os.environ.get("FACEGEN_SEEN"):
            page.screenshot(path=path, full_page=True)
        row.locator("input[type=checkbox]").check()
        row.locator("#swap-missing-fetch").click()
        expect(row).to_be_hidden(timeout=WAIT_MS)
        assert hub.fetch(trained.WEIGHTS[0]).stat().st_size == STRICT.size
        page.close()
