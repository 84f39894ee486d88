"""The Generate tab in a browser: the face stays in sight of the slider that moves."""

import pytest

from tests.studio_process import StudioProcess

pytest.importorskip("playwright")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 500)])
def test_the_face_stays_in_sight_of_the_slider_that_moves(
    studio: StudioProcess, chromium, width: int, height: int
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.goto(studio.url)
    page.get_by_role("tab", name="Generate", exact=True).first.click(timeout=60_000)
    page.locator("#generate-face img").wait_for(timeout=60_000)
    slider = page.locator("#generate-columns input[type=range]:visible").nth(6)
    slider.evaluate("slider => slider.scrollIntoView({block: 'center'})")
    slider.hover()
    face, thumb = page.locator("#generate-face").bounding_box(), slider.bounding_box()
    page.close()
    assert face is not None
    assert thumb is not None
    assert 0 <= face["y"] <= height - face["height"]
    is_beside = face["x"] > thumb["x"] + thumb["width"]
    assert is_beside or face["y"] + face["height"] < thumb["y"]
