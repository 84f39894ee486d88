"""LivePortrait, with stand-ins that show what arrived: crops, ranges, keypoints, their order, sliders, and what is laid back."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facegen import hub
from facegen.errors import InputError, NoFaceError, WeightsError
from facegen.faces import Face, FaceAnalyser
from facegen.generate.request import GenerateOptions, GenerateRequest
from facegen.media import Patch
from facegen.reenact import live_portrait
from facegen.reenact.crop import (
    ReenactmentCrop,
    crop_input,
    edit_largest,
    edit_picture,
    restore_expression,
    wide_matrix,
)
from facegen.reenact.editing import EXPRESSIONS, SLIDERS, change_expression, parse_sliders, turn_head
from facegen.reenact.live_portrait import load_part
from facegen.reenact.motion import FaceMotion, make_rotation
from facegen.reenact.weights import MOTION
from facegen.swap.enhancement import finish_patch
from facegen.swap.options import SwapOptions
from tests.factories import noise_rgb, portrait_rgb
from tests.reenact.stand_ins import (
    POINTS,
    RETARGETING,
    SOURCE_WEIGHTS,
    TARGET_WEIGHTS,
    motion_of,
    use_stand_ins,
    write_other,
)
from tests.swap.oneshot.facts import POINTS as TEMPLATES
from tests.swap.oneshot.stand_ins import psnr


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A smooth one, that 256 pixels hold."""
    return cv2.GaussianBlur(portrait_rgb(), (0, 0), 3)


@pytest.fixture(scope="module")
def face() -> Face:
    (found,) = FaceAnalyser().detect(portrait_rgb())
    return found


def expected_keypoints(motion: dict[str, np.ndarray], **changes: np.ndarray) -> np.ndarray:
    said = {**motion, **changes}
    angles = [said["pitch"], said["yaw"], said["roll"]]
    turned = POINTS @ Rotation.from_euler("xyz", angles, degrees=True).as_matrix().T
    return said["scale"] * (turned + said["expression"]) + said["translation"]


def test_rotation_is_pitch_then_yaw_then_roll() -> None:
    expected = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    np.testing.assert_allclose(make_rotation(20, -35, 50), expected, atol=1e-6)


def test_motion_of_a_crop_is_read_in_the_order_of_the_outputs(tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    rgb = np.array([200, 100, 40])
    image = np.zeros((300, 300, 3), np.uint8) + rgb.astype(np.uint8)
    seen = crop_input(
        image, wide_matrix(np.array([[100, 120], [160, 120], [130, 150], [110, 180], [150, 180]], np.float32))
    )
    motion, said = live_portrait.extract_motion(seen), motion_of(rgb / 255)
    assert motion.pitch_deg == pytest.approx(float(said["pitch"]), abs=1e-3)
    assert motion.roll_deg == pytest.approx(float(said["roll"]), abs=1e-3)
    np.testing.assert_allclose(motion.keypoints, expected_keypoints(said), atol=1e-4)


def test_the_wide_crop_is_ffhq_half_as_wide_again(face: Face) -> None:
    nose = face.points5[2]
    matrix, _ = cv2.estimateAffinePartial2D(
        nose + (face.points5 - nose) * 1.5, (TEMPLATES["ffhq"] * 512).astype(np.float32), ransacReprojThreshold=100
    )
    np.testing.assert_allclose(wide_matrix(face.points5), matrix, atol=0.02 * np.abs(matrix).max())


# of the publisher's editor, written down a second time: keypoint, axis and change at +0.5 and at -0.5
@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("eyebrow-direction", 0.5, {(1, 1): 0.0075, (2, 1): -0.01}),
        ("eyebrow-direction", -0.5, {(1, 0): 0.0075, (2, 0): -0.01, (1, 1): -0.0025, (2, 1): 0.0025}),
        ("eye-gaze-horizontal", 0.5, {(11, 0): 0.0075, (15, 0): 0.01}),
        ("eye-gaze-horizontal", -0.5, {(11, 0): -0.01, (15, 0): -0.0075}),
        (
            "eye-gaze-vertical",
            -0.5,
            {(1, 1): -0.00125, (2, 1): 0.00125, (11, 1): 0.005, (13, 1): 0.0025, (15, 1): 0.005, (16, 1): 0.0025},
        ),
        ("mouth-grim", 0.5, {(17, 2): -0.0025, (19, 2): 0.005, (20, 1): -0.03, (20, 2): -0.015}),
        ("mouth-grim", -0.5, {(19, 1): 0.025, (19, 2): 0.01, (20, 2): 0.015}),
        ("mouth-pout", 0.5, {(19, 1): -0.011, (19, 2): 0.0125, (20, 2): -0.001}),
        ("mouth-pout", -0.5, {(19, 1): -0.011, (19, 2): -0.0125, (20, 2): 0.001}),
        ("mouth-purse", 0.5, {(19, 1): -0.02, (19, 2): -0.01}),
        ("mouth-purse", -0.5, {(14, 1): 0.01, (17, 2): -0.005, (19, 2): 0.0075, (20, 2): 0.001}),
        (
            "mouth-smile",
            0.5,
            {(20, 1): -0.0075, (14, 1): -0.0125, (17, 1): 0.005, (17, 2): 0.002, (3, 1): -0.00225, (7, 1): -0.00225},
        ),
        (
            "mouth-smile",
            -0.5,
            {
                (14, 1): 0.01, (17, 1): -0.0015, (19, 1): -0.01, (19, 2): 0.0025, (20, 2): -0.005, (3, 1): -0.00225,
                (7, 1): -0.00225,
            },
        ),
        ("mouth-position-horizontal", 0.5, {(19, 0): 0.025, (20, 0): 0.02}),
        ("mouth-position-vertical", 0.5, {(19, 1): -0.02, (20, 1): -0.01}),
        ("mouth-position-vertical", -0.5, {(19, 1): 0.025, (20, 1): 0.02}),
    ],
)  # fmt: skip
def test_a_slider_moves_its_keypoints(name: str, value: float, changes: dict[tuple[int, int], float]) -> None:
    changed, expected = change_expression(np.zeros((21, 3), np.float32), {name: value}), np.zeros((21, 3))
    for place, change in changes.items():
        expected[place] = change
    np.testing.assert_allclose(changed, expected, atol=1e-7)


def test_the_head_turns_within_its_limits() -> None:
    def motion(yaw: float) -> FaceMotion:
        zeros = np.zeros((21, 3), np.float32)
        return FaceMotion(
            pitch_deg=5, yaw_deg=yaw, roll_deg=-10, scale=1, translation=zeros[0], expression=zeros, points=zeros
        )

    turned = turn_head(motion(10), {"head-pitch": 0.5, "head-yaw": -0.25, "head-roll": -1.0})
    np.testing.assert_allclose(turned, make_rotation(-5, 25, -20), atol=1e-6)
    np.testing.assert_allclose(turn_head(motion(50), {"head-yaw": -1.0}), make_rotation(5, 60, -10), atol=1e-6)
    # one that is further turned already stays there
    np.testing.assert_allclose(turn_head(motion(70), {"head-yaw": -1.0}), make_rotation(5, 70, -10), atol=1e-6)


def test_keypoints_of_an_edit(picture: np.ndarray, face: Face, tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    crop = ReenactmentCrop.of(picture, face)
    own, points = crop.motion.keypoints, face.points68
    np.testing.assert_allclose(crop.edit({}), own, atol=1e-6)
    eyes = [
        np.linalg.norm(points[a] - points[b]) / np.linalg.norm(points[c] - points[d])
        for a, b, c, d in ((37, 40, 39, 36), (43, 46, 45, 42))
    ]
    lips = np.linalg.norm(points[62] - points[66]) / np.linalg.norm(points[54] - points[48])
    for name, ratios, wide in (("eye-open-ratio", eyes, 0.6), ("lip-open-ratio", [lips], 1.0)):
        for value, wanted in ((0.5, wide), (-1.0, 0.0)):
            offset = RETARGETING[: len(ratios) + 1] @ np.array([*ratios, wanted])
            expected = own + abs(value) * (0.01 * own + offset)
            np.testing.assert_allclose(crop.edit({name: value}), expected, atol=1e-4)


def test_the_generator_is_told_where_the_keypoints_go_and_where_they_are(
    picture: np.ndarray, face: Face, tmp_path: Path
) -> None:
    use_stand_ins(tmp_path)
    crop = ReenactmentCrop.of(picture, face)
    own = crop.motion.keypoints
    moved = own + 0.1
    drawn = crop.render(moved)
    stitched = 0.75 * moved + 0.25 * own
    brighter = float((stitched * SOURCE_WEIGHTS).sum() + (own * TARGET_WEIGHTS).sum())
    x, y = face.points5[2].astype(int)
    np.testing.assert_allclose(drawn[y, x], np.clip(picture[y, x] + 255 * brighter, 0, 255), atol=3)
    np.testing.assert_array_equal(drawn[0, 0], picture[0, 0])


def test_a_picture_given_back_stays_as_it_is(
    picture: np.ndarray, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.reenact.stand_ins.SOURCE_WEIGHTS", np.zeros((21, 3), np.float32))
    monkeypatch.setattr("tests.reenact.stand_ins.TARGET_WEIGHTS", np.zeros((21, 3), np.float32))
    use_stand_ins(tmp_path)
    assert psnr(edit_picture(picture, face, {"mouth-smile": 0.5}), picture) > 45
    assert edit_picture(picture, face, {"mouth-smile": 0.0}) is picture


def test_the_expression_of_the_target_comes_back(tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    points5 = np.array([[100, 120], [160, 120], [130, 150], [110, 180], [150, 180]], np.float32)
    swapped, target = (
        np.zeros((300, 300, 3), np.uint8) + np.array(rgb, np.uint8) for rgb in ((90, 80, 70), (60, 120, 90))
    )
    said, wanted = (motion_of(image[0, 0] / 255.0) for image in (swapped, target))
    expression = said["expression"].copy()
    for point in range(21):
        if point not in (0, 4, 5, 8, 9):
            expression[point] += 0.6 * (wanted["expression"][point] - expression[point])
    moved, own = expected_keypoints(said, expression=expression), expected_keypoints(said)
    brighter = float((moved * SOURCE_WEIGHTS).sum() + (own * TARGET_WEIGHTS).sum())
    made = restore_expression(swapped, target, points5, 0.5)
    np.testing.assert_allclose(made[150, 130], np.clip(swapped[150, 130] + 255 * brighter, 0, 255), atol=1.5)
    np.testing.assert_array_equal(made[0, 0], swapped[0, 0])


def test_a_swap_restores_the_expression_inside_its_patch(picture: np.ndarray, face: Face, tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    x0, y0, x1, y1 = face.box_xyxy.astype(int)
    new = picture[y0:y1, x0:x1] // 2 + 40
    patch = Patch(x=x0, y=y0, image_rgb=new, alpha=np.ones(new.shape[:2], np.float32))
    plain = finish_patch(patch, picture, face.points5, SwapOptions())
    restored = finish_patch(patch, picture, face.points5, SwapOptions(expression=1.0))
    np.testing.assert_array_equal(plain.image_rgb, new)
    whole = picture.copy()
    whole[y0:y1, x0:x1] = new
    expected = restore_expression(whole, picture, face.points5, 1.0)[y0:y1, x0:x1]
    assert np.abs(restored.image_rgb.astype(int) - expected).mean() < 2
    assert np.abs(restored.image_rgb.astype(int) - new).mean() > 1


def test_sliders_are_read_from_text() -> None:
    assert parse_sliders("mouth-smile=0.5, head-yaw = -0.3") == {"mouth-smile": 0.5, "head-yaw": -0.3}
    assert len(SLIDERS) == 14
    assert set(EXPRESSIONS) < set(SLIDERS)
    with pytest.raises(InputError, match="Expected a slider of eyebrow-direction"):
        parse_sliders("smile=1")
    assert parse_sliders("mouth-smile, head-roll=-1") == {"mouth-smile": 0.5, "head-roll": -1}
    for wrong in ("mouth-smile=", "mouth-smile=much", "mouth-smile=1.5"):
        with pytest.raises(InputError, match="from -1 to 1"):
            parse_sliders(wrong)
    with pytest.raises(InputError, match="--edit PHOTO"):
        GenerateRequest(output="x", options=GenerateOptions(expression="mouth-smile=1"))


def test_what_is_missing_or_wrong_is_told(tmp_path: Path) -> None:
    load_part.cache_clear()
    with pytest.raises(WeightsError, match="facegen weights fetch live-portrait-motion-extractor"):
        load_part(MOTION)
    hub.use_custom(MOTION, write_other(tmp_path / "other.onnx"))
    with pytest.raises(WeightsError, match="live-portrait-motion-extractor with the inputs"):
        load_part(MOTION)
    with pytest.raises(NoFaceError, match="a face in noise.png"):
        edit_largest(noise_rgb(64, 64), FaceAnalyser(), "mouth-smile=1", "noise.png")
