"""The Faceset tab in a real browser: cut out, sort, clean, undo, mask."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import factories
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]
WAIT_MS = 120_000


def test_a_faceset_from_upload_to_masks(chromium: Browser, studio: StudioProcess, tmp_path: Path) -> None:
    clip = factories.write_clip(tmp_path / "portrait.mp4", factories.moving_portrait(8))
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(studio.url)
    expect(page.locator("#consent")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("tab", name="Faceset", exact=True).first.click()
    page.locator("#faceset-files input[type=file]").set_input_files(str(clip))
    expect(page.locator("#faceset-files")).to_contain_text("portrait", timeout=WAIT_MS)
    page.locator("#faceset-extract").click()
    expect(page.locator("#faceset-status [role=alert]")).to_contain_text("consent")
    page.locator("#consent input").check()
    page.locator("#faceset-extract").click()
    words = page.locator("#faceset-words")
    expect(words).to_contain_text("8 faces, whole face, 256 px", timeout=WAIT_MS)
    folder = studio.home / "facesets" / "faces"
    assert len(list(folder.glob("*.jpg"))) == 8

    page.locator("#faceset-sort").click()
    expect(words).to_contain_text("Sorted by blur", timeout=WAIT_MS)
    assert len(list(folder.glob("0000[0-7]_*.jpg"))) == 8
    page.locator("#faceset-propose").click()
    expect(words).to_contain_text("are proposed", timeout=WAIT_MS)
    count = int(re.search(r"(\d+) of 8", words.inner_text()).group(1))  # type: ignore[union-attr]
    assert 0 < count < 8
    page.locator("#faceset-proposals .thumbnail-item").first.click()
    expect(words).to_contain_text(f"{count - 1} faces would go", timeout=WAIT_MS)
    page.locator("#faceset-drop").click()
    expect(words).to_contain_text(f"{count - 1} went to the trash", timeout=WAIT_MS)
    page.locator("#faceset-undo").click()
    expect(words).to_contain_text("8 faces, whole face", timeout=WAIT_MS)
    page.locator("#faceset-mask").click()
    expect(words).to_contain_text("Masks by parser on 8 faces", timeout=WAIT_MS)
    assert len(list((folder / "masks").glob("*.png"))) == 8
    page.close()
