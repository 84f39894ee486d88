"""`FaceParser` with the bundled weights, on a real portrait."""

import numpy as np
import pytest

from facegen.errors import WeightsError
from facegen.faces.parse import (
    BACKGROUND,
    CLASSES,
    FACE,
    HAIR,
    LEFT_EYE,
    LOWER_LIP,
    NOSE,
    RIGHT_EYE,
    SKIN,
    UPPER_LIP,
)
from facegen.faces.parse import parser as parser_module
from facegen.faces.parse.parser import FaceParser, parser_available
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def parser() -> FaceParser:
    return FaceParser("cpu")


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """(256, 256, 3) the portrait, with the face where the parser expects it."""
    import cv2

    from facegen.faces import FaceAnalyser
    from facegen.faces.align import parse_matrix
    from facegen.faces.parse.parser import SIZE

    image = portrait_rgb()
    (face,) = FaceAnalyser().detect(image)
    return cv2.warpAffine(image, parse_matrix(face), (SIZE, SIZE))


def middle(mask: np.ndarray) -> np.ndarray:
    """(x, y) of the middle of a mask."""
    return np.argwhere(mask).mean(0)[::-1]


def test_the_parts_of_a_portrait_lie_where_they_belong(parser: FaceParser, crop: np.ndarray) -> None:
    classes = parser.parse(crop[None])[0].argmax(0)
    for wanted in (BACKGROUND, SKIN, HAIR, NOSE, LEFT_EYE, RIGHT_EYE, UPPER_LIP, LOWER_LIP):
        assert np.any(classes == wanted), CLASSES[wanted]
    left, right, nose = (middle(classes == wanted) for wanted in (LEFT_EYE, RIGHT_EYE, NOSE))
    upper, lower = middle(classes == UPPER_LIP), middle(classes == LOWER_LIP)
    assert right[0] < nose[0] < left[0]
    assert max(left[1], right[1]) < nose[1] < upper[1] < lower[1]
    face = np.isin(classes, FACE)
    assert 0.1 < face.mean() < 0.6
    assert face[128, 128]
    assert not face[0].any()


def test_a_mirrored_portrait_exchanges_the_sides(parser: FaceParser, crop: np.ndarray) -> None:
    classes, mirrored = (found.argmax(0) for found in parser.parse(np.stack([crop, crop[:, ::-1]])))
    left, turned = middle(classes == LEFT_EYE), middle(mirrored == RIGHT_EYE)
    assert np.abs(turned - [255 - left[0], left[1]]).max() < 3


def test_what_is_held_before_the_face_is_cut_out(parser: FaceParser, crop: np.ndarray) -> None:
    held = crop.copy()
    held[150:230, 90:170] = (40, 90, 200)
    before, after = (np.isin(found.argmax(0), FACE) for found in parser.parse(np.stack([crop, held])))
    card = np.s_[156:224, 96:164]
    assert before[card].mean() > 0.6
    assert after[card].mean() < 0.2


def test_probabilities_sum_to_one_and_share_is_their_sum(parser: FaceParser, crop: np.ndarray) -> None:
    crops = np.stack([crop, crop[::-1]])
    found = parser.parse(crops)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-3)
    np.testing.assert_allclose(parser.class_probability(crops, FACE), found[:, list(FACE)].sum(1), atol=2e-3)


def test_many_crops_are_parsed_as_each_alone(parser: FaceParser, crop: np.ndarray) -> None:
    crops = np.stack([np.roll(crop, 3 * number, 1) for number in range(10)])
    together = parser.class_probability(crops, FACE)
    assert together.shape == (10, 256, 256)
    np.testing.assert_allclose(together[9], parser.class_probability(crops[9:], FACE)[0], atol=0.03)
    assert parser.class_probability(crops[:0], FACE).shape == (0, 256, 256)


def test_wrong_crops_are_refused(parser: FaceParser, crop: np.ndarray) -> None:
    for wrong in (crop, crop[None, :128], crop[None].astype(np.float32)):
        with pytest.raises(ValueError, match="Expected crops"):
            parser.parse(wrong)


def test_weights_of_another_model_are_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    import torch
    from safetensors.torch import save_file

    assert parser_available()
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    monkeypatch.setattr(parser_module.hub, "fetch", lambda weight: tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="found another model"):
        FaceParser("cpu")


def test_torch_which_gpus_need_sees_the_same(crop: np.ndarray) -> None:
    on_cpu, on_torch = parser_module._on_cpu(1)(crop[None]), parser_module._on_torch("cpu")(crop[None])
    assert (on_cpu.argmax(1) == on_torch.argmax(1)).mean() > 0.99
