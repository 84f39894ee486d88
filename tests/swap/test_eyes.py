"""Irises take another person's colour; lids, whites and highlights stay."""

import numpy as np
import pytest

from facegen.faces import Face, FaceAnalyser
from facegen.swap.engines.eyes import SIDES, iris_colours, recolour_irises
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def shown() -> tuple[np.ndarray, Face]:
    image = portrait_rgb()
    return image, FaceAnalyser().detect(image, max_faces=1)[0]


def test_an_iris_takes_the_colour_and_the_rest_stays(shown: tuple[np.ndarray, Face]) -> None:
    image, face = shown
    own = iris_colours(image, face.points478)
    assert own[0] is not None
    assert own[1] is not None
    blue = tuple(colour * np.array([0.8, 1.0, 1.6], np.float32) for colour in own if colour is not None)
    result = recolour_irises(image.astype(np.float32), face.points478, (blue[0], blue[1]))
    change = np.abs(result - image).max(-1)
    near = np.zeros(change.shape, bool)
    for _, iris in SIDES:
        ring = face.points478[list(iris), :2]
        radius = float(np.linalg.norm(ring[1:] - ring[0], axis=1).mean())
        x, y = (round(float(value)) for value in ring[0])
        near[int(y - 1.4 * radius) : int(y + 1.4 * radius) + 2, int(x - 1.4 * radius) : int(x + 1.4 * radius) + 2] = (
            True
        )
    assert change[~near].max() == 0
    assert change[near].max() > 5
    found = iris_colours(result.astype(np.uint8), face.points478)
    for wanted, before, after in zip(blue, own, found, strict=True):
        assert before is not None
        assert after is not None
        assert np.abs(after - wanted).mean() < np.abs(before - wanted).mean() / 2


def test_eyes_too_small_to_see_are_left_alone(shown: tuple[np.ndarray, Face]) -> None:
    image, face = shown
    tiny = face.points478 * 0.05
    small = np.ascontiguousarray(image[::20, ::20])
    assert iris_colours(small, tiny) == (None, None)
    wanted = np.ones(3, np.float32)
    np.testing.assert_array_equal(recolour_irises(small.astype(np.float32), tiny, (wanted, wanted)), small)
