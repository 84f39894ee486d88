"""Hair and background of another luminance."""

import numpy as np
import pytest

from facegen.generate.frame import repaint
from tests.factories import portrait_rgb

PICTURE = portrait_rgb()[:256, :256].astype(np.float32) / 255
MASK = np.zeros(PICTURE.shape[:2], np.float32)
MASK[:60] = 1


@pytest.mark.parametrize("wanted", [0.15, 0.4, 0.6])
def test_hair_gets_the_luminance_asked_for(wanted: float) -> None:
    painted = repaint.recolour_hair(PICTURE, MASK, wanted)
    assert repaint.masked_mean(repaint.luminance(painted), MASK) == pytest.approx(wanted, abs=0.06)
    np.testing.assert_array_equal(painted[60:], PICTURE[60:])
    assert painted.dtype == np.float32  # OpenCV loses the rim of others


def test_brighter_hair_keeps_its_shadows_and_gets_no_more_shine() -> None:
    picture = np.full((128, 128, 3), 0.1, np.float32)
    picture[::4], picture[2::4] = 0.05, 0.3  # strands in the shade, and lights
    painted = repaint.recolour_hair(picture, np.ones((128, 128), np.float32), 0.38)
    shade, middle, lights = (float(repaint.luminance(painted[row::4]).mean()) for row in (0, 1, 2))
    assert shade < 0.7 * middle
    assert middle < lights < 2 * middle
    red, _, blue = (painted[1::4] / painted[::4]).reshape(-1, 3).mean(0)
    assert red < blue  # the shade is of a deeper colour


@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.9])
def test_background_gets_the_luminance_asked_for(wanted: float) -> None:
    painted = repaint.recolour_background(PICTURE, MASK, wanted)
    assert repaint.masked_mean(repaint.luminance(painted), MASK) == pytest.approx(wanted, abs=0.06)
    np.testing.assert_array_equal(painted[60:], PICTURE[60:])


def test_strands_along_the_outline_are_told_by_their_colour() -> None:
    truth = np.zeros((128, 128), np.float32)  # hair below, and four strands that stand out of it
    truth[64:] = 1
    truth[58:64, 20:100:20] = 1
    picture = np.repeat((0.8 - 0.6 * truth)[..., None], 3, 2).astype(np.float32)
    parsed = np.zeros((128, 128), np.float32)
    parsed[61:] = 1
    hair, background = repaint.refine_matte(picture, parsed, 1 - parsed)
    around = (slice(58, 67), slice(10, 110))
    before, after = (np.abs(found - truth)[around].mean() for found in (parsed, hair))
    assert after < 0.7 * before
    np.testing.assert_allclose(hair + background, 1, atol=1e-3)


def test_a_busy_ground_tells_nothing_of_strands() -> None:
    parsed = np.zeros((128, 128), np.float32)
    parsed[64:] = 1
    noise = np.random.default_rng(0).random((128, 128, 3), np.float32)
    picture = np.where(parsed[..., None] > 0, np.float32(0.4), noise).astype(np.float32)
    _, background = repaint.refine_matte(picture, parsed, 1 - parsed)
    assert np.abs(background - (1 - parsed)).mean() < 0.01


def test_a_ground_out_of_focus_takes_nothing_of_the_face() -> None:
    ground = np.zeros((128, 128), np.float32)
    ground[:, 64:] = 1
    picture = np.full((128, 128, 3), 0.1, np.float32)
    picture[:, 64:] = 0.6
    picture[::4, 64:] = 0.8
    blurred = repaint.blur_background(picture, ground)
    np.testing.assert_array_equal(blurred[:, :64], picture[:, :64])
    assert blurred[:, 66:].std() < 0.02
    assert blurred[:, 64:].min() > 0.6
