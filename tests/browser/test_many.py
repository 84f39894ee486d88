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


def test_presets_and_resets_on_generate(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.get_by_role("tab", name="Generate", exact=True).first.click()
    status = page.locator("#generate-status")
    expect(status).to_contain_text("Seed 107", timeout=WAIT_MS)
    mouth = page.locator("#option-mouth input[type=number]")
    mouth.fill("0.9")
    mouth.press("Tab")
    expect(status).to_contain_text("mouth 0.90", timeout=WAIT_MS)
    page.locator("#generate-presets > button").click()
    page.locator("#generate-preset-name input, #generate-preset-name textarea").fill("smile")
    page.locator("#generate-preset-keep").click()
    expect(page.locator("#generate-presets")).to_contain_text("«smile» is kept", timeout=WAIT_MS)
    # back by group, and the face follows
    page.get_by_role("button", name="Reset these").and_(page.locator(":visible")).first.click()
    expect(status).to_contain_text("mouth 0.10", timeout=WAIT_MS)
    page.locator("#generate-dice").click()
    expect(status).not_to_contain_text("Seed 107", timeout=WAIT_MS)
    # kept in the browser: the next page has it
    with page.expect_popup() as opened:
        page.evaluate("() => { window.open(location.href); }")
    page = opened.value
    status = page.locator("#generate-status")
    page.get_by_role("tab", name="Generate", exact=True).first.click(timeout=WAIT_MS)
    expect(status).to_contain_text("Seed 107", timeout=WAIT_MS)
    page.locator("#generate-presets > button").click()
    page.locator("#generate-preset-chosen input").click()
    page.get_by_role("option", name="smile").click()
    page.locator("#generate-preset-use").click()
    expect(page.locator("#generate-presets")).to_contain_text("«smile» is set", timeout=WAIT_MS)
    expect(status).to_contain_text("mouth 0.90", timeout=WAIT_MS)


def test_presets_and_resets_on_talk(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page()
    page.get_by_role("tab", name="Talk", exact=True).first.click()
    page.locator("#talk-presets > button").click()
    with page.expect_download() as download:
        page.locator("#talk-preset-json").click()
    options = json.loads(download.value.path().read_text(encoding="utf-8"))
    path = tmp_path / "livelier.json"
    path.write_text(json.dumps({**options, "mouth": 1.3}), encoding="utf-8")
    page.locator("#talk-presets input[type=file]").set_input_files(path)
    expect(page.locator("#talk-presets")).to_contain_text("livelier.json are set", timeout=WAIT_MS)
    mouth = page.locator("#talk-mouth input[type=number]")
    expect(mouth).to_have_value("1.3")
    page.get_by_role("button", name="Reset these").and_(page.locator(":visible")).first.click()
    expect(mouth).to_have_value(str(options["mouth"]))
    # another job's file is refused
    other = tmp_path / "other.json"
    other.write_text('{"colour": 1}', encoding="utf-8")
    page.locator("#talk-presets input[type=file]").set_input_files(other)
    expect(page.locator("#talk-presets [role=alert]")).to_contain_text("Expected options of talk", timeout=WAIT_MS)


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
