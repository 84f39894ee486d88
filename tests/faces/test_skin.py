"""What disagrees with how a person usually looks, on a public-domain portrait."""

import cv2
import numpy as np
import pytest

from facegen.faces import Face, FaceAnalyser, skin
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def shown() -> tuple[np.ndarray, Face]:
    image = portrait_rgb()
    return image, FaceAnalyser().detect(image, max_faces=1)[0]


@pytest.fixture(scope="module")
def usual(shown: tuple[np.ndarray, Face]) -> np.ndarray:
    image, face = shown
    brighter = [np.clip(image * gain, 0, 255).astype(np.uint8) for gain in (0.7, 0.8, 0.9, 1.0, 1.1)]
    return skin.median_tones([skin.sample_tones(picture, face.points478) for picture in brighter])


def test_nothing_stands_before_the_face_in_other_light(shown: tuple[np.ndarray, Face], usual: np.ndarray) -> None:
    image, face = shown
    ramp = np.linspace(0.6, 1.2, image.shape[1])[None, :, None]
    assert skin.occlusion(np.clip(image * ramp, 0, 255).astype(np.uint8), face.points478, usual) is None


@pytest.mark.parametrize("colour", [(30, 60, 160), (15, 15, 18), (40, 150, 40)])
def test_a_thing_before_the_cheek_is_found_where_it_is(
    shown: tuple[np.ndarray, Face], usual: np.ndarray, colour: tuple[int, int, int]
) -> None:
    image, face = shown
    covered, thing = image.copy(), np.zeros(image.shape[:2], np.uint8)
    centre = tuple(int(value) for value in face.points478[205, :2])
    cv2.circle(thing, centre, round(face.size_px * 0.12), 255, -1)
    covered[thing > 0] = colour
    found = skin.occlusion(covered, face.points478, usual)
    assert found is not None
    assert found[cv2.erode(thing, np.ones((9, 9), np.uint8)) > 0].mean() > 0.8
    assert found[cv2.dilate(thing, np.ones((9, 9), np.uint8)) == 0].mean() < 0.02


def test_too_few_frames_tell_nothing(shown: tuple[np.ndarray, Face]) -> None:
    image, face = shown
    few = skin.median_tones([skin.sample_tones(image, face.points478)])
    assert np.isnan(few).all()
    assert skin.occlusion(image, face.points478, few) is None
