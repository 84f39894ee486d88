"""What hides part of a source's face is found, said, and refused where no eye is left."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen import media
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser
from facegen.swap import SwapPipeline
from facegen.swap.coverings import NOTICES, Coverings, describe, find_coverings, load_parser, require_eyes
from facegen.swap.request import SwapRequest
from facegen.ui.examples import FILES, PORTRAITS


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="module")
def ada(analyser: FaceAnalyser) -> tuple[np.ndarray, Face]:
    image_rgb = media.read_picture(FILES / "ada.jpg")
    return image_rgb, analyser.detect(image_rgb, max_faces=1)[0]


def put_on_glasses(image_rgb: np.ndarray, face: Face) -> np.ndarray:
    """The picture with dark glasses."""
    worn, (left, right) = image_rgb.copy(), face.points5[:2]
    radius = round(float(np.linalg.norm(right - left)) * 0.36)
    middles = [np.round(eye).astype(int).tolist() for eye in (left, right)]
    for middle in middles:
        cv2.circle(worn, middle, radius, (12, 12, 14), -1, cv2.LINE_AA)
    cv2.line(worn, middles[0], middles[1], (12, 12, 14), 8, cv2.LINE_AA)
    return worn


def light_from_the_side(image_rgb: np.ndarray, face: Face) -> np.ndarray:
    """The picture with one half of the face in deep shadow."""
    lit, middle = image_rgb.astype(np.float32), round(float(face.points5[2, 0]))
    lit[:, :middle] *= 0.1
    return lit.astype(np.uint8)


@pytest.mark.parametrize("name", PORTRAITS)
def test_nothing_is_said_of_a_plain_portrait(name: str, analyser: FaceAnalyser) -> None:
    image_rgb = media.read_picture(FILES / f"{name}.jpg")
    found = find_coverings([(image_rgb, analyser.detect(image_rgb, max_faces=1)[0])], load_parser())
    assert found == [Coverings()]


@pytest.mark.parametrize(("change", "kind"), [(put_on_glasses, "glasses"), (light_from_the_side, "shadow")])
def test_what_hides_a_face_is_found(
    change: Callable[[np.ndarray, Face], np.ndarray], kind: str, ada: tuple[np.ndarray, Face]
) -> None:
    (found,) = find_coverings([(change(*ada), ada[1])], load_parser())
    assert kind in found.kinds


def test_a_picture_without_makes_up_for_one_with() -> None:
    worn = Coverings(kinds=frozenset({"glasses", "hat"}), hides_eyes=True)
    assert describe([worn]) == (NOTICES["glasses"], NOTICES["hat"])
    assert describe([worn, Coverings()]) == ()
    assert describe([]) == ()
    require_eyes([worn, Coverings()])
    with pytest.raises(InputError, match="dark glasses"):
        require_eyes([worn, worn])


def test_a_swap_refuses_dark_glasses_and_says_hard_light(ada: tuple[np.ndarray, Face], tmp_path: Path) -> None:
    pipeline = SwapPipeline()
    media.write_picture(tmp_path / "glasses.png", put_on_glasses(*ada))
    media.write_picture(tmp_path / "shadow.png", light_from_the_side(*ada))

    def request(name: str) -> SwapRequest:
        source, target = str(tmp_path / name), str(FILES / "bea.jpg")
        return SwapRequest(sources=(source,), target=target, output=str(tmp_path / "made.png"))

    with pytest.raises(InputError, match="dark glasses"):
        pipeline(request("glasses.png"))
    assert NOTICES["shadow"] in pipeline(request("shadow.png")).notices
