"""The Generate tab in a browser: the face stays in sight on a phone."""

import pytest

from tests.studio_process import StudioProcess

pytest.importorskip("playwright")


def test_a_phone_shows_the_face_beside_the_slider_that_moves(studio: StudioProcess, chromium) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto(studio.url)
    page.get_by_role("tab", name="Generate", exact=True).first.click(timeout=60_000)
    page.locator("#generate-face img").wait_for(timeout=60_000)
    slider = page.locator("#generate-columns input[type=range]:visible").nth(4)
    slider.evaluate("slider => slider.scrollIntoView({block: 'center'})")
    face, thumb = page.locator("#generate-face").bounding_box(), slider.bounding_box()
    page.close()
    assert face is not None
    assert thumb is not None
    assert face["y"] >= 0
    assert face["y"] + face["height"] < thumb["y"]
