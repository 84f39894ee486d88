"""The studio for whoever goes by keyboard, hears the page, needs its contrast, or reads another language."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from facegen.ui.languages import read_table
from tests.browser.conftest import WAIT_MS

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore::ResourceWarning")]
SIZES = {"desktop": (1440, 900, "light"), "phone": (390, 844, "light"), "dark": (1440, 900, "dark")}
TABS = ("Swap", "Generate", "Talk", "Live", "Faceset", "Train", "Runs", "Models", "Verify")
CHECK = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter((found) => ['serious', 'critical'].includes(found.impact))
  .flatMap((found) => found.nodes.map((node) => `${found.id}: ${node.html.slice(0, 200)}`))"""


@pytest.mark.parametrize("size", SIZES)
def test_no_tab_has_a_serious_violation(size: str, axe: str, open_page: Callable[..., Page]) -> None:
    page = open_page(*SIZES[size])
    page.evaluate(axe)
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).first.click()
        page.wait_for_timeout(400)
        assert page.evaluate(CHECK) == [], tab


def test_focus_is_seen_and_enter_runs(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.get_by_role("tab", name="Train", exact=True).first.click()
    page.locator("#flow-minutes input[type=number]").press("Enter")
    expect(page.locator("#flow-status [role=alert]")).to_contain_text("consent", timeout=WAIT_MS)


@pytest.mark.parametrize(("locale", "language"), [("ko-KR", "ko"), ("zh-CN", "zh"), ("de-AT", "de"), ("fr-FR", "")])
def test_the_browser_chooses_the_language(locale: str, language: str, open_page: Callable[..., Page]) -> None:
    table = read_table(language) if language else {}

    def words(text: str) -> str:
        return table.get(text, text)

    page = open_page(locale=locale)
    expect(page.locator("#swap-run")).to_have_text(words("Run"))
    page.locator("#swap-run").click()
    refusal = "Your consent is missing: tick the marked box, and this goes on by itself."
    expect(page.locator("#swap-status [role=alert]")).to_have_text(words(refusal), timeout=WAIT_MS)
    page.get_by_role("tab", name=words("Faceset"), exact=True).first.click()
    expect(page.locator("#faceset-key input")).to_have_value(words("Sharpness"))
