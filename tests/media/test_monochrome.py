"""A picture of one colour is told from one of several, and gives its colour to what is drawn into it."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from facegen.media import Patch, measure_tint, tint_patch
from tests.factories import portrait_rgb


def toned(kind: str) -> np.ndarray:
    """The portrait in tones of grey, sepia or blue, (300, 300, 3) uint8."""
    grey = cv2.cvtColor(portrait_rgb()[:300, 70:370], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    powers = {"grey": (1.0, 1.0, 1.0), "sepia": (0.8, 1.0, 1.4), "blue": (1.2, 1.0, 0.8)}[kind]
    return np.rint(255 * np.stack([grey**power for power in powers], 2)).astype(np.uint8)


def compressed(image_rgb: np.ndarray) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image_rgb).save(data, "JPEG", quality=70)
    return np.array(Image.open(data))


@pytest.mark.parametrize("kind", ["grey", "sepia", "blue"])
def test_what_is_drawn_takes_the_one_colour(kind: str) -> None:
    image = compressed(toned(kind))
    tint = measure_tint(image)
    assert tint is not None
    assert tint.strength == 1
    drawn = tint.apply(portrait_rgb()[:300, 70:370])
    assert drawn.dtype == np.uint8
    assert np.abs(drawn.astype(float) - toned(kind)).mean() < 4


def test_a_coloured_picture_has_none() -> None:
    image = portrait_rgb()[:300, 70:370]
    assert measure_tint(image) is None
    patch = Patch(x=-10, y=90, image_rgb=image[:100, :100], alpha=np.ones((100, 100), np.float32))
    assert tint_patch(patch, image) is patch


def test_surroundings_count_and_what_is_far_does_not() -> None:
    image = np.concatenate([toned("grey"), portrait_rgb()[:300, 70:370]], 1)
    red = np.zeros((60, 60, 3), np.float32) + np.array([200, 30, 30], np.float32)
    opaque = np.ones((60, 60), np.float32)
    for x, is_grey in ((100, True), (280, False), (400, False)):
        patch = tint_patch(Patch(x=x, y=100, image_rgb=red, alpha=opaque), image)
        assert (np.ptp(patch.image_rgb, axis=2).max() < 1) == is_grey
