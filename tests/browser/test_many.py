"""Presets, and many files at once, in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from pillow_heif import register_heif_opener
from playwright.sync_api import Page, expect

from facegen.ui.examples import FILES
from tests.browser.conftest import WAIT_MS

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]


def test_options_are_kept_by_name_and_as_json(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    page.get_by_role("button", name="Look ▼").click()
    shape = page.locator("#option-face_shape input[type=number]")
    shape.fill("0.7")
    shape.press("Tab")
    expect(page.locator("#option-face_shape input[type=range]")).to_have_value("0.7")
    page.locator("#swap-presets > button").click()
    page.locator("#swap-preset-name input, #swap-preset-name textarea").fill("mine")
    page.locator("#swap-preset-keep").click()
    expect(page.locator("#swap-presets")).to_contain_text("«mine» is kept", timeout=WAIT_MS)
    with page.expect_download() as download:
        page.locator("#swap-preset-json").click()
    assert json.loads(download.value.path().read_text(encoding="utf-8"))["face_shape"] == 0.7
    shape.fill("0.2")
    shape.press("Tab")
    page.locator("#swap-preset-use").click()
    expect(page.locator("#swap-presets")).to_contain_text("«mine» is set", timeout=WAIT_MS)
    expect(shape).to_have_value("0.7")


def test_many_targets_each_with_its_state_and_a_retry(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    register_heif_opener()
    Image.open(FILES / "ada.jpg").save(tmp_path / "ada.heic")
    page.locator("#consent input").check()
    page.locator("#swap-sources input[type=file]").set_input_files(tmp_path / "ada.heic")
    # a browser shows no HEIC: what is seen is a JPEG of it
    expect(page.locator("#swap-sources img[src$='ada.jpg']")).to_be_visible(timeout=WAIT_MS)
    empty = tmp_path / "nobody.png"
    Image.new("RGB", (128, 128), "grey").save(empty)
    page.locator("#swap-batch > button").click()
    page.locator("#swap-targets input[type=file]").set_input_files([str(FILES / "bea.jpg"), str(empty)])
    expect(page.locator("#swap-targets")).to_contain_text("nobody", timeout=WAIT_MS)
    page.locator("#swap-batch-run").click()
    states = page.locator("#swap-batch-states")
    expect(states.locator("tr", has_text="bea.jpg").and_(page.locator("[data-state=done]"))).to_be_visible(
        timeout=WAIT_MS
    )
    failed = states.locator("tr", has_text="nobody.png")
    expect(failed.and_(page.locator("[data-state=failed]"))).to_be_visible(timeout=WAIT_MS)
    page.locator("#swap-batch-retry").click()
    expect(failed.and_(page.locator("[data-state=queued], [data-state=running]"))).to_be_visible(timeout=WAIT_MS)
    expect(states.locator("tr", has_text="bea.jpg").and_(page.locator("[data-state=done]"))).to_be_visible()
