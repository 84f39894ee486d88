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


FIELDS = [
    ("Swap", None, "swap-engine", None),
    ("Swap", "Faces", "option-detector", "facexlib"),
    ("Swap", "Faces", "option-recogniser", "arcface"),
    ("Swap", "Models from the Hub", "option-enhance", None),
    ("Swap", "Models from the Hub", "option-masks", None),
    ("Swap", "Models from the Hub", "option-frame_chain", None),
    ("Generate", "Start from my photo", "generate-expression", "LivePortrait"),
    ("Talk", None, "talk-engine", "live-portrait"),
    ("Faceset", "More", "faceset-detector", "facexlib"),
]
"""Tab, part, list, and what its first greyed option is called where it is to be fetched; as in the list where None."""
CONTRAST = """(option) => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let ground = option;
  while (/^rgba\\(.*, 0\\)$|transparent/.test(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
  const [a, b] = [getComputedStyle(option).color, getComputedStyle(ground).backgroundColor].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


def test_a_greyed_option_is_fetched_and_then_chosen(
    chromium: Browser, small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    """An enhancer whose file is missing: not chosen by pointer or keys, fetched once its licence is accepted, then chosen."""
    weight = replace(STRICT, name="gfpgan-1-4")
    monkeypatch.setattr(trained, "WEIGHTS", (weight,))
    monkeypatch.setattr(catalog, "WEIGHTS", trained.WEIGHTS)
    gate = small_hub.gate = threading.Event()
    with serve(port=0) as studio:
        page = chromium.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(studio.local_url or "")
        row, box, chosen = (page.locator(f"#option-enhance{part}") for part in ("-missing", " input", " .token"))
        page.get_by_role("button", name="Models from the Hub").click(timeout=WAIT_MS)
        box.click()
        option = page.get_by_role("option", name="gfpgan-1-4 (to be fetched)")
        expect(option).to_be_disabled(timeout=WAIT_MS)
        expect(page.get_by_role("option", name="restorer")).to_be_enabled()
        assert option.evaluate(CONTRAST) > 4.5
        option.click(force=True)
        expect(row).to_contain_text("gfpgan-1-4 is not here yet. It needs 1 file of the Hub, 4.2 MB.", timeout=WAIT_MS)
        expect(row).to_contain_text("Its author allows research alone.")
        expect(chosen).to_have_count(0)

        box.press_sequentially("n-1-4")
        expect(page.get_by_role("option")).to_have_count(1)
        box.press("ArrowDown")
        box.press("Enter")
        expect(page.get_by_role("option")).to_have_count(0)
        expect(box).to_have_value("")
        expect(chosen).to_have_count(0)
        if path := os.environ.get("FACEGEN_SEEN"):
            page.screenshot(path=path, full_page=True)

        fetch = page.get_by_role("button", name="Fetch gfpgan-1-4 (4.2 MB)")
        fetch.press("Enter")
        expect(row).to_contain_text("its box empty", timeout=WAIT_MS)
        row.locator("input[type=checkbox]").press("Space")
        fetch.press("Enter")
        expect(row).to_contain_text("2.1 of 4.2 MB", timeout=WAIT_MS)
        gate.set()
        expect(row).to_contain_text("gfpgan-1-4 is here now: choose it.", timeout=WAIT_MS)
        assert hub.fetch(weight).stat().st_size == STRICT.size
        box.press_sequentially("n-1-4")
        expect(page.get_by_role("option", name="gfpgan-1-4", exact=True)).to_be_enabled(timeout=WAIT_MS)
        box.press("ArrowDown")
        box.press("Enter")
        expect(chosen).to_have_text("gfpgan-1-4")
        expect(row).to_be_hidden(timeout=WAIT_MS)
        page.close()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_list_greys_what_is_on_the_hub(chromium: Browser, scheme: str) -> None:
    with serve(port=0) as studio:
        page = chromium.new_page(viewport={"width": 1280, "height": 1400}, color_scheme=scheme)
        page.goto(studio.local_url or "")
        opened = set[tuple[str, str]]()
        for tab, part, field, name in FIELDS:
            page.get_by_role("tab", name=tab, exact=True).first.click(timeout=WAIT_MS)
            if part and (tab, part) not in opened:
                opened.add((tab, part))
                page.locator("button.label-wrap:visible", has_text=part).last.click()
            box, row = page.locator(f"#{field} input[role=combobox]"), page.locator(f"#{field}-missing")
            before = box.input_value(timeout=WAIT_MS)
            box.click()
            option = page.locator(f"#{field} [role=option][aria-disabled=true]").first
            expect(option).to_contain_text("(to be fetched)", timeout=WAIT_MS)
            name = name or (option.get_attribute("aria-label") or "").removesuffix(" (to be fetched)")
            assert option.evaluate(CONTRAST) > 4.5, field
            option.hover(force=True)
            assert option.evaluate(CONTRAST) > 4.5, field
            option.click(force=True)
            expect(row).to_contain_text(f"{name} is not here yet.", timeout=WAIT_MS)
            expect(row.get_by_role("button", name=f"Fetch {name} (")).to_be_visible()
            expect(box).to_have_value(before)
            expect(page.locator(f"#{field} .token")).to_have_count(0)
        page.get_by_role("tab", name="Swap", exact=True).first.click()
        slider = page.locator("#option-expression")
        expect(slider.locator("input[type=range]")).to_be_disabled()
        expect(page.locator("#option-expression-missing")).to_contain_text("LivePortrait is not here yet.")
        page.close()
