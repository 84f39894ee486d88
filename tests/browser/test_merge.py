"""The settings of a trained swap's merge on a phone: one thing scrolls, and the frame stays in sight."""

import json

import pytest
from playwright.sync_api import Browser, expect

from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]
WAIT_MS = 120_000


def test_the_frame_stays_in_sight_on_a_phone(chromium: Browser, studio: StudioProcess) -> None:
    run = studio.home / "runs" / "two"
    (run / "exports" / "final").mkdir(parents=True)
    (run / "exports" / "final" / "model.json").write_text("{}")
    asked = {"kind": "swap-train", "request": {}, "argv": [], "resume_argv": [], "created": 0.0}
    (run / "request.json").write_text(json.dumps(asked))
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(studio.url)
    expect(page.locator("#consent")).to_be_visible(timeout=WAIT_MS)
    page.locator("#swap-engine input").click()
    page.get_by_role("option", name="Trained here: two").click()
    expect(page.locator("#swap-merge")).to_be_visible(timeout=WAIT_MS)
    box = page.locator("#swap-merge")
    assert box.evaluate("e => e.scrollHeight - e.clientHeight") <= 1
    page.locator("#merge-blur").evaluate("e => window.scrollBy(0, e.getBoundingClientRect().top - 500)")
    page.wait_for_function("Math.abs(document.querySelector('#swap-compare').getBoundingClientRect().top) < 2")
    slider = page.locator("#merge-blur input[type=range]").bounding_box()
    assert slider is not None
    assert slider["x"] >= 0
    assert slider["x"] + slider["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()
