"""Hair and background of another luminance."""

import numpy as np
import pytest

from facegen.generate import repaint
from tests.factories import portrait_rgb

PICTURE = portrait_rgb()[:256, :256].astype(np.float32) / 255
MASK = np.zeros(PICTURE.shape[:2], np.float32)
MASK[:60] = 1


@pytest.mark.parametrize("wanted", [0.15, 0.4, 0.6])
def test_hair_gets_the_luminance_asked_for(wanted: float) -> None:
    painted = repaint.with_hair(PICTURE, MASK, wanted)
    assert repaint.mean_inside(repaint.luminance(painted), MASK) == pytest.approx(wanted, abs=0.06)
    np.testing.assert_array_equal(painted[60:], PICTURE[60:])


@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.9])
def test_background_gets_the_luminance_asked_for(wanted: float) -> None:
    painted = repaint.with_background(PICTURE, MASK, wanted)
    assert repaint.mean_inside(repaint.luminance(painted), MASK) == pytest.approx(wanted, abs=0.06)
    np.testing.assert_array_equal(painted[60:], PICTURE[60:])
