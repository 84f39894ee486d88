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


def test_strands_along_the_outline_are_told_by_their_colour() -> None:
    truth = np.zeros((128, 128), np.float32)  # hair below, and four strands that stand out of it
    truth[64:] = 1
    truth[58:64, 20:100:20] = 1
    picture = np.repeat((0.8 - 0.6 * truth)[..., None], 3, 2).astype(np.float32)
    parsed = np.zeros((128, 128), np.float32)
    parsed[61:] = 1
    hair, background = repaint.matted(picture, parsed, 1 - parsed)
    around = (slice(58, 67), slice(10, 110))
    before, after = (np.abs(found - truth)[around].mean() for found in (parsed, hair))
    assert after < 0.7 * before
    np.testing.assert_allclose(hair + background, 1, atol=1e-3)


def test_a_busy_ground_tells_nothing_of_strands() -> None:
    parsed = np.zeros((128, 128), np.float32)
    parsed[64:] = 1
    noise = np.random.default_rng(0).random((128, 128, 3), np.float32)
    picture = np.where(parsed[..., None] > 0, np.float32(0.4), noise).astype(np.float32)
    _, background = repaint.matted(picture, parsed, 1 - parsed)
    assert np.abs(background - (1 - parsed)).mean() < 0.01
