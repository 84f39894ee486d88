"""A real Chromium, a real studio, and a page that notes whom it asks."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.camera import camera_flags
from tests.conftest import REPOSITORY
from tests.studio_process import StudioProcess, studio_process

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

WAIT_MS = 120_000
AXE_VERSION = "4.14.1"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here as browser tests, and skip them, with the reason, where there is no Chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no chromium here; apt-get install chromium"))


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioProcess]:
    """A studio of one's own, for all browser tests."""
    with studio_process(tmp_path_factory.mktemp("studio")) as served:
        yield served


@pytest.fixture(scope="package")
def chromium() -> Iterator[object]:
    """The browser, stopped after these tests: playwright's event loop would refuse those of the tests that follow."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: "Browser", studio: StudioProcess) -> Iterator[Callable[..., "Page"]]:
    """Open the studio; at the end no page may have asked anybody but the studio, or have met an error of its own."""
    from playwright.sync_api import expect

    asked: list[str] = []
    failed: list[str] = []
    pages: list[Page] = []

    def listen(message: "ConsoleMessage") -> None:
        if message.type == "error":
            failed.append(message.text)

    def open_at(
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        locale: str = "en-US",
        browser: "Browser" = chromium,
        **about: object,
    ) -> "Page":
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, locale=locale, **about
        )
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("console", listen)
        page.goto(studio.url)
        expect(page.locator("#consent")).to_be_visible(timeout=WAIT_MS)
        pages.append(page)
        return page

    yield open_at
    for page in pages:
        page.close()
    assert [url for url in asked if not url.startswith((studio.url, "data:", "blob:"))] == []
    assert failed == []


@pytest.fixture
def camera(chromium: "Browser", tmp_path: Path) -> Iterator[object]:
    """A browser whose camera plays a film of somebody who does not exist."""
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, *camera_flags(tmp_path)])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which npm keeps in build/ from the first time on."""
    folder = REPOSITORY / "build" / "npm"
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("no npm here; install nodejs and npm")
        command = [npm, "install", "--no-save", "--silent", "--prefix", str(folder), f"axe-core@{AXE_VERSION}"]
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(command, capture_output=True, timeout=120, check=False).returncode:
            pytest.skip(f"npm cannot bring axe-core {AXE_VERSION} here")
    return script.read_text(encoding="utf-8")
