"""A visitor's walk: each tab opens on a finished result, one click takes the example, one more makes it anew.

With FACEGEN_PICTURES=FOLDER (`make pictures`) it leaves the screenshots of the documentation there.
"""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from facegen.jobs import list_runs
from tests.browser.conftest import WAIT_MS
from tests.browser.test_accessibility import CHECK
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore::ResourceWarning")]
SIZES = {"wide": (1440, 900, "light"), "phone": (390, 844, "light"), "dark": (1440, 900, "dark")}
PICTURES = os.environ.get("FACEGEN_PICTURES")
STILL_SECONDS = 2.0
"""The longest that nothing may move on the screen while something is being made."""
RESULTS = {
    "Swap": "#swap-compare img",
    "Generate": "#generate-face img",
    "Talk": "#talk-shown video",
    "Live": "#live-result img",
    "Faceset": "#faceset-gallery img",
    "Train": "#flow-preview img",
    "Verify": "#verify-example img",
}
"""Tab -> the finished result on which it opens."""

WATCH = """(selector) => {
  const seen = {still: 0, quiet: 0, last: performance.now(), text: ''};
  window.fgSeen = seen;
  seen.timer = setInterval(() => {
    const now = performance.now();
    const isDone = Boolean(document.querySelector(selector)?.querySelector('[data-state=done]'));
    if (isDone && seen.begun) return;  // what is made may rest
    seen.begun ||= !isDone;
    const clips = [...document.querySelectorAll('video')].map((clip) => clip.currentTime);
    // Gradio's own clock over what waits for an answer
    const clocks = [...document.querySelectorAll('[data-testid=status-tracker]:not(.hide)')].map((one) => one.textContent);
    const text = (document.querySelector(selector)?.innerHTML ?? '') + clips + clocks;
    const isMoving = document.getAnimations().some((a) => a.playState === 'running') || text !== seen.text;
    // a machine that is busy elsewhere stops this clock, too: what it did not run is no stillness of the page
    seen.quiet = isMoving ? 0 : seen.quiet + Math.min(now - seen.last, 100);
    seen.last = now;
    seen.text = text;
    seen.still = Math.max(seen.still, seen.quiet);
  }, 50);
}"""
STOP = "() => { clearInterval(window.fgSeen.timer); return window.fgSeen.still / 1000; }"


class Walk:
    """One page, the clicks on it, and what it leaves for the documentation."""

    def __init__(self, page: Page, size: str, axe: str) -> None:
        self.page, self.size = page, size
        page.evaluate(axe)
        self.clicks = 0
        self.frames: list[bytes] = []

    def open(self, tab: str) -> None:
        """Open a tab, which shows a finished result at once."""
        self.page.get_by_role("tab", name=tab, exact=True).first.click()
        self.page.evaluate("window.scrollTo(0, 0)")
        self.clicks = 0
        if tab in RESULTS:
            expect(self.page.locator(RESULTS[tab]).first).to_be_in_viewport(timeout=WAIT_MS)
        self.check()

    def check(self) -> None:
        """What stands on the page fits its width, and axe-core finds nothing serious in it."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= SIZES[self.size][0]
        for _ in range(10):
            self.page.wait_for_timeout(300)  # tabs and new words fade in, for as long as the machine is busy
            if not (found := self.page.evaluate(CHECK)):
                break
        assert found == []

    def click(self, selector: str) -> None:
        """Click something that the visitor sees."""
        self.page.locator(selector).first.click()
        self.clicks += 1

    def make(self, selector: str, status: str, done: Locator) -> None:
        """Press what makes something; all the while something moves, and its status is in sight."""
        self.page.evaluate(WATCH, status)
        self.click(selector)
        expect(self.page.locator(status)).to_be_in_viewport(timeout=WAIT_MS)
        self.keep_frame()
        expect(done).to_be_visible(timeout=WAIT_MS)
        assert self.page.evaluate(STOP) <= STILL_SECONDS
        assert self.clicks <= 2
        self.check()

    def keep_frame(self) -> None:
        """A picture of the animation."""
        if PICTURES and self.size == "wide":
            self.frames.append(self.page.screenshot())

    def picture(self, name: str) -> None:
        """A screenshot for the documentation: every tab on a wide screen, the first one on the others, too."""
        if PICTURES and (self.size == "wide" or name == "swap"):
            suffix = "" if self.size == "wide" else f"-{self.size}"
            self.page.wait_for_function("[...document.images].every((image) => image.complete)")
            self.page.wait_for_timeout(600)
            path = Path(PICTURES) / f"studio-{name}{suffix}.jpg"
            self.page.screenshot(path=path, type="jpeg", quality=72)


def delete_runs(studio: StudioProcess) -> None:
    """Delete what other tests left: the Runs tab of a new studio."""
    for run in list_runs(studio.home / "runs"):
        if run.status().is_active:
            run.cancel()
        run.delete(studio.home / "runs")


ON_SLOW = [size if size == "wide" else pytest.param(size, marks=pytest.mark.slow) for size in SIZES]
"""All sizes; of what takes long, the first one where time is short."""


@pytest.mark.parametrize("size", ON_SLOW)
def test_every_tab_from_a_finished_result_to_one_of_ones_own(
    size: str, axe: str, open_page: Callable[..., Page]
) -> None:
    walk = Walk(open_page(*SIZES[size]), size, axe)
    page = walk.page
    walk.open("Swap")
    walk.picture("swap")
    walk.keep_frame()
    page.locator("#consent input").check()
    walk.click("[data-example=ada_to_bea]")
    expect(page.locator("#swap-target-words .fg-status")).to_be_visible(timeout=WAIT_MS)
    walk.keep_frame()
    walk.make("#swap-run", "#swap-status", page.locator("#swap-status [data-state=done]"))
    expect(page.locator("#swap-result video")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#swap-cancel")).to_be_disabled()
    walk.keep_frame()

    walk.open("Generate")
    expect(page.locator("#generate-status")).to_contain_text("Seed 107", timeout=WAIT_MS)
    other = page.locator("#generate-status", has_text=re.compile(r"Seed (?!107\b)"))
    walk.make("#generate-dice", "#generate-face", other)
    expect(page.locator("#generate-history img").first).to_be_attached(timeout=WAIT_MS)
    walk.picture("generate")
    walk.keep_frame()

    walk.open("Talk")
    walk.picture("talk")
    walk.click("#talk-examples [data-example=bea]")
    expect(page.locator("#talk-ready")).to_contain_text("All is there", timeout=WAIT_MS)
    walk.make("#talk-try", "#talk-status", page.locator("#talk-status [data-state=done]"))
    expect(page.locator("#talk-result video")).to_be_visible(timeout=WAIT_MS)
    walk.keep_frame()

    walk.open("Live")
    walk.picture("live")
    walk.open("Faceset")
    walk.picture("faceset")
    walk.open("Train")
    walk.picture("train")
    walk.click("#flow-example [data-example]")
    expect(page.locator("#flow-status")).to_contain_text("example is loaded", timeout=WAIT_MS)

    walk.open("Verify")
    expect(page.locator("#verify-report [data-verdict]")).to_contain_text("facegen", timeout=WAIT_MS)
    walk.picture("verify")
    own = page.locator("#verify-report", has_text="Synthetic: made with facegen")
    walk.make("#verify-columns [data-example='swap.mp4']", "#verify-report", own)
    if walk.frames:
        animate([Image.open(io.BytesIO(frame)) for frame in walk.frames])


@pytest.mark.parametrize("size", ON_SLOW)
def test_faces_of_the_example(size: str, axe: str, open_page: Callable[..., Page]) -> None:
    walk = Walk(open_page(*SIZES[size]), size, axe)
    page = walk.page
    page.locator("#consent input").check()
    walk.open("Faceset")
    walk.click("#faceset-example [data-example]")
    expect(page.locator("#faceset-files")).to_contain_text("two", timeout=WAIT_MS)
    page.locator("#faceset-name textarea, #faceset-name input").fill(f"walk {size}")
    walk.make("#faceset-extract", "#faceset-status", page.locator("#faceset-status [data-state=done]"))
    expect(page.locator("#faceset-words")).to_contain_text("faces, whole face", timeout=WAIT_MS)
    expect(page.locator("#faceset-chosen input")).to_have_value(f"walk {size}")


@pytest.mark.parametrize("size", ON_SLOW)
def test_a_run_of_the_example(size: str, axe: str, open_page: Callable[..., Page], studio: StudioProcess) -> None:
    delete_runs(studio)
    walk = Walk(open_page(*SIZES[size]), size, axe)
    page = walk.page
    page.locator("#consent input").check()
    walk.open("Runs")
    walk.make("#runs-example [data-example]", "#runs-detail", page.locator("#runs-detail [data-state=done]"))
    expect(page.locator("#runs-detail img").first).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#runs-list [data-run]")).to_have_count(1)
    expect(page.locator("#runs-example")).to_be_hidden()
    assert str(studio.home) not in page.locator("#runs-detail").inner_text()
    walk.picture("runs")


@pytest.mark.parametrize("size", ON_SLOW)
def test_what_the_models_can_use(size: str, axe: str, open_page: Callable[..., Page]) -> None:
    walk = Walk(open_page(*SIZES[size]), size, axe)
    page = walk.page
    walk.open("Models")
    walk.picture("models")
    walk.make("#models-accelerators", "#models-words", page.locator("#models-words table", has_text="CPU"))
    expect(page.locator("#models-list tr", has_text="face-landmarker")).to_contain_text("present")


@pytest.mark.parametrize("size", ON_SLOW)
def test_the_own_camera_picture_gets_the_face(
    size: str, axe: str, open_page: Callable[..., Page], camera: Browser
) -> None:
    walk = Walk(open_page(*SIZES[size], browser=camera, permissions=["camera"]), size, axe)
    page = walk.page
    page.locator("#consent input").check()
    walk.open("Live")
    # the camera is asked for, then recorded
    walk.click("#live-camera button:visible")
    walk.make(
        "#live-camera button.capture-button",
        "#live-status",
        page.locator("#live-status", has_text=re.compile(r"[\d.]+ frames/s; a frame takes \d+ ms")),
    )
    expect(page.locator("#live-result img")).to_be_visible()


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_a_training_of_the_example(size: str, axe: str, open_page: Callable[..., Page]) -> None:
    walk = Walk(open_page(*SIZES[size]), size, axe)
    page = walk.page
    page.locator("#consent input").check()
    walk.open("Train")
    walk.click("#flow-example [data-example]")
    expect(page.locator("#flow-status")).to_contain_text("example is loaded", timeout=WAIT_MS)
    walk.make("#flow-start", "#flow-status", page.locator("#flow-status", has_text="Loss"))
    page.locator("#flow-stop").click()
    expect(page.locator("#flow-status [data-state=cancelled]")).to_be_visible(timeout=WAIT_MS)
    walk.check()


def animate(frames: list[Image.Image]) -> None:
    """The walk as a small animation, 720 pixels wide."""
    small = [frame.convert("RGB").resize((720, 450), Image.Resampling.LANCZOS) for frame in frames]
    path = Path(str(PICTURES)) / "studio.webp"
    small[0].save(path, save_all=True, append_images=small[1:], duration=1600, loop=0, quality=70, method=6)


def test_the_page_says_what_it_is_and_carries_no_share_button(open_page: Callable[..., Page]) -> None:
    page = open_page(1440, 900)
    assert "facegen" in page.title()
    head = page.request.get(page.url)
    assert "Gradio" not in "".join(line for line in head.text().split("</head>")[0].splitlines() if "<meta" in line)
    assert 'name="description"' in head.text()
    assert page.request.get(f"{page.url}preview.jpg").headers["content-type"] == "image/jpeg"
    assert page.locator("[aria-label*=hare], [title*=hare]").count() == 0
