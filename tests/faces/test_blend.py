import cv2
import numpy as np
import pytest

from facegen.faces import blend
from tests.factories import gradient_rgb


def test_ramp_rises_from_the_outline() -> None:
    covered = np.zeros((60, 60), bool)
    covered[10:50, 10:50] = True
    ramp = blend.feather(blend.inner_distance(covered), 8)
    assert (ramp[~covered] == 0).all()
    assert ramp[30, 30] == 1
    assert (np.diff(ramp[30, 10:20]) >= 0).all()
    assert 0 < ramp[30, 14] < 1


def test_two_bands_leaves_the_outside_exactly_and_takes_the_inside() -> None:
    picture = gradient_rgb(80, 80).astype(np.float32)
    drawn = np.full_like(picture, 90)
    covered = np.zeros((80, 80), bool)
    covered[20:60, 20:60] = True
    depth = blend.inner_distance(covered)
    mixed = blend.blend_bands(picture, drawn, blend.feather(depth, 8), blend.feather(depth, 3), 4)
    np.testing.assert_array_equal(mixed[~covered], picture[~covered])
    np.testing.assert_allclose(mixed[35:45, 35:45], 90, atol=0.5)


def test_two_bands_hides_a_difference_in_tone() -> None:
    picture = np.full((80, 80, 3), 100, np.float32)
    covered = np.zeros((80, 80), bool)
    covered[:, 40:] = True
    depth = blend.inner_distance(covered)
    mixed = blend.blend_bands(picture, picture + 40, blend.feather(depth, 20), blend.feather(depth, 4), 5)
    assert np.abs(np.diff(mixed[40, :, 0])).max() < 8


def test_sharpness_falls_with_blur_and_blurring_brings_it_down() -> None:
    image = np.random.default_rng(0).normal(100, 20, (96, 96, 3)).astype(np.float32)
    everywhere = np.ones((96, 96), bool)
    crisp = blend.sharpness(image[..., 0], everywhere)
    soft = blend.sharpness(blend.soften(image, 3.0)[..., 0], everywhere)
    assert soft < 0.7 * crisp
    assert blend.soften(image, 1.0) is image


def test_grain_is_measured_and_made() -> None:
    everywhere = np.ones((128, 128), bool)
    flat = np.full((128, 128), 120, np.float32)
    noisy = flat + np.random.default_rng(1).normal(0, 5, flat.shape).astype(np.float32)
    assert blend.measure_grain(noisy, everywhere) == pytest.approx(5, rel=0.15)
    assert blend.measure_grain(flat, everywhere) == 0
    np.testing.assert_array_equal(blend.draw_grain((50, 60), 3.0, 7), blend.draw_grain((50, 60), 3.0, 7))
    assert (blend.draw_grain((50, 60), 3.0, 7) != blend.draw_grain((50, 60), 3.0, 8)).any()
    assert blend.draw_grain((400, 400), 3.0, 7).std() == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("sigma", [1.5, 4.5, 9.0, 17.0])
def test_a_wide_blur_is_that_of_opencv(sigma: float) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(2).normal(100, 40, (161, 190, 3)).astype(np.float32), (0, 0), 2)
    inner = np.s_[40:-40, 40:-40]
    wanted = cv2.GaussianBlur(image, (0, 0), sigma)[inner]
    assert np.abs(blend.gaussian_blur(image, sigma)[inner] - wanted).max() < 0.1
