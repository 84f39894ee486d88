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


ON_SLOW = [size if size == "desktop" else pytest.param(size, marks=pytest.mark.slow) for size in SIZES]


@pytest.mark.parametrize("size", ON_SLOW)
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


FOCUS = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const wasMet = one.fgMet === true;
  one.fgMet = true;
  return {wasMet, isFooter: one.closest('footer') !== null, html: one.outerHTML.slice(0, 200), name: one.getAttribute('aria-label') || one.textContent || one.closest('label')?.textContent || '',
    ring: style.outlineStyle === 'solid' ? parseFloat(style.outlineWidth) : 0, isBody: one === document.body,
    isSeen: box.width > 0 && box.bottom > 0 && box.top < window.innerHeight};
}"""
FORGET = "() => document.querySelectorAll('*').forEach((one) => { one.fgMet = false; })"


def test_each_tab_is_walked_by_keyboard(open_page: Callable[..., Page]) -> None:
    """With Tab through all of a tab: wherever one is has a name and a ring, lies in sight, and is met once."""
    page = open_page()
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).first.click()
        page.wait_for_timeout(800)
        page.evaluate(FORGET)
        page.get_by_role("tab", name=tab, exact=True).first.focus()
        met = 0
        for _ in range(120):
            page.keyboard.press("Tab")
            page.wait_for_timeout(120)
            focus = page.evaluate(FOCUS)
            if focus["isBody"] or focus["isFooter"]:
                break
            assert focus["name"].strip(), (tab, focus)
            assert focus["ring"] >= 2, (tab, focus)
            assert focus["isSeen"], (tab, focus)
            assert not focus["wasMet"], (tab, focus)
            met += 1
        assert met >= 3, tab


@pytest.mark.parametrize("size", ON_SLOW[:2])
def test_a_swap_by_keyboard_alone(size: str, open_page: Callable[..., Page]) -> None:
    """From the page's opening to the result with Tab, Space and Enter; all the way a ring shows where one is."""
    page = open_page(*SIZES[size])

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            page.wait_for_timeout(120)  # what is opened by the focus closes, and the page scrolls to it
            focus = page.evaluate(FOCUS)
            assert not focus["isBody"]
            assert focus["name"].strip()
            assert focus["ring"] >= 2, focus
            assert focus["isSeen"], focus
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("#consent input")
    page.keyboard.press("Space")
    expect(page.locator("#consent input")).to_be_checked()
    tab_to("[data-example=picture]")
    page.keyboard.press("Enter")
    expect(page.locator("#swap-ready")).to_contain_text("All is there", timeout=WAIT_MS)
    tab_to("#swap-run")
    page.keyboard.press("Enter")
    expect(page.locator("#swap-status [data-state=done]")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-result-picture img").first).to_be_visible(timeout=WAIT_MS)
    tab_to("#swap-download a, a#swap-download, button#swap-download, #swap-download button")


@pytest.mark.parametrize(("locale", "language"), [("ko-KR", "ko"), ("de-AT", "de"), ("fr-FR", "")])
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
