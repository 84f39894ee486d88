"""The Faceset tab in a real browser: cut out, sort, clean, undo, mask."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from facegen.facesets.record import stem_of
from facegen.media import read_picture
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
    expect(page.locator("#faceset-status [role=alert]")).to_contain_text("consent", timeout=WAIT_MS)
    # ticked later, it carries on what was refused
    page.locator("#consent input").check()
    words = page.locator("#faceset-words")
    expect(words).to_contain_text("8 faces, whole face, 256 px", timeout=WAIT_MS)
    folder = studio.home / "facesets" / "faces"
    assert len(list(folder.glob("*.jpg"))) == 8

    page.locator("#faceset-sort").click()
    expect(words).to_contain_text("Sorted by «Sharpness»", timeout=WAIT_MS)
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

    page.locator("#brush button").first.click()
    page.locator("#brush-next").click()
    said = page.locator("#brush-status")
    expect(said).to_contain_text("Face 1 of 8, mask by parser; 0 drawn", timeout=WAIT_MS)
    masked = folder / "masks" / f"{stem_of(sorted(folder.glob('*.jpg'))[1].name)}.png"
    before = read_picture(masked)
    canvas = page.locator("#brush-editor canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1500)
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.17
    page.mouse.move(x - 60, y)
    page.mouse.down()
    for place in range(13):
        page.mouse.move(x - 60 + 10 * place, y)
    page.mouse.up()
    page.wait_for_timeout(1500)
    page.locator("#brush-keep").click()
    expect(said).to_contain_text("Face 2 of 8, mask by parser; 1 drawn", timeout=WAIT_MS)
    after = read_picture(masked)
    added, lost = (after > 127) & (before < 128), (after < 128) & (before > 127)
    assert added.mean() > 0.005
    assert lost.mean() < 0.005
    page.close()
