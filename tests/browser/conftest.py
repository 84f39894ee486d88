"""A real Chromium, a real studio, and a page that notes whom it asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio_process import StudioProcess, studio_process

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
