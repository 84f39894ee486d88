"""The Live tab in a real browser, with a camera that plays a clip of somebody who does not exist."""

import re
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, expect

from facegen import media
from facegen.ui.examples import FILES
from tests.browser.conftest import CHROMIUM, FLAGS, WAIT_MS
from tests.studio_process import StudioProcess

pytestmark = [pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore::ResourceWarning")]


def _camera(path: Path) -> Path:
    """A film of 640x480 as JPEG after JPEG, which Chromium takes for a camera."""
    with path.open("wb") as film:
        for frame in media.read_frames(FILES / "bea.mp4"):
            wide = cv2.copyMakeBorder(frame.image_rgb, 0, 0, 43, 42, cv2.BORDER_REPLICATE)
            encoded = cv2.imencode(".jpg", cv2.resize(wide, (640, 480))[..., ::-1])[1]
            film.write(encoded.tobytes())
    return path


def test_a_camera_picture_gets_the_face(chromium: Browser, studio: StudioProcess, tmp_path: Path) -> None:
    film = _camera(tmp_path / "camera.mjpeg")
    fake = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    flags = [*FLAGS, *fake, f"--use-file-for-fake-video-capture={film}"]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=flags)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, permissions=["camera"])
    page = context.new_page()
    page.goto(studio.url)
    page.locator("#consent input").check(timeout=WAIT_MS)
    page.get_by_role("tab", name="Live", exact=True).first.click()
    # the camera is asked for, then recorded
    page.locator("#live-camera button:visible").first.click(timeout=WAIT_MS)
    page.locator("#live-camera button.capture-button").click(timeout=WAIT_MS)
    expect(page.locator("#live-result img")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("#live-status")).to_contain_text(re.compile(r"\d+ frames/s"), timeout=WAIT_MS)
    browser.close()
