"""The mesh engine on the public-domain portraits of scikit-image and matplotlib."""

import cv2
import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from facegen import media
from facegen.faces import Face, FaceAnalyser, distance
from facegen.swap.engines import occlusion, texture
from facegen.swap.engines.mesh import MeshEngine
from facegen.swap.options import SwapOptions
from tests.factories import portrait_rgb

Shown = tuple[np.ndarray, Face]


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="module")
def engine() -> MeshEngine:
    return MeshEngine()


def shown(analyser: FaceAnalyser, image: np.ndarray) -> Shown:
    return image, analyser.embed(image, analyser.detect(image, max_faces=1))[0]


@pytest.fixture(scope="module")
def astronaut(analyser: FaceAnalyser) -> Shown:
    return shown(analyser, portrait_rgb())


@pytest.fixture(scope="module")
def admiral(analyser: FaceAnalyser) -> Shown:
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        return shown(analyser, np.asarray(Image.open(file).convert("RGB")))


def swapped(engine: MeshEngine, source: Shown, target: Shown, options: SwapOptions | None = None) -> media.Patch:
    options = options or SwapOptions()
    prediction = engine.predict(*target, engine.prepare([source]), options)
    return engine.composite(prediction, engine.smooth([prediction.statistics], 0, options), options, seed=1)


def test_result_is_the_source_person_with_the_target_s_expression_and_pose(
    engine: MeshEngine, analyser: FaceAnalyser, astronaut: Shown, admiral: Shown
) -> None:
    # the admiral's heavy glasses stay in front otherwise, and are part of what recognition looks at
    patch = swapped(engine, astronaut, admiral, SwapOptions(occlusion=False))
    result = media.paste_picture(admiral[0], [patch])
    _, face = shown(analyser, result)
    assert distance(face.embedding, astronaut[1].embedding) < distance(face.embedding, admiral[1].embedding)
    assert distance(face.embedding, astronaut[1].embedding) < 0.5
    assert abs(face.yaw_deg - admiral[1].yaw_deg) < 4
    assert abs(face.pitch_deg - admiral[1].pitch_deg) < 4
    assert abs(face.blendshape("jawOpen") - admiral[1].blendshape("jawOpen")) < 0.1


def test_outside_of_the_face_is_untouched(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    result = media.paste_picture(admiral[0], [swapped(engine, astronaut, admiral)])
    x0, y0, x1, y1 = admiral[1].box_xyxy.astype(int)
    margin = int((x1 - x0) * 0.15)
    outside = np.ones(result.shape[:2], bool)
    outside[max(y0 - margin, 0) : y1 + margin, max(x0 - margin, 0) : x1 + margin] = False
    np.testing.assert_array_equal(result[outside], admiral[0][outside])


def test_own_face_changes_little(engine: MeshEngine, astronaut: Shown) -> None:
    result = media.paste_picture(astronaut[0], [swapped(engine, astronaut, astronaut)])
    x0, y0, x1, y1 = astronaut[1].box_xyxy.astype(int)
    difference = np.abs(result[y0:y1, x0:x1].astype(int) - astronaut[0][y0:y1, x0:x1])
    assert difference.mean() < 10


def test_skin_takes_the_light_of_the_target(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    dark = (admiral[0] * 0.4).astype(np.uint8), admiral[1]
    bright_patch, dark_patch = swapped(engine, astronaut, admiral), swapped(engine, astronaut, dark)
    solid = bright_patch.alpha > 0.9
    ratio = dark_patch.image_rgb[solid].mean() / bright_patch.image_rgb[solid].mean()
    assert 0.3 < ratio < 0.52


def test_same_arguments_give_the_same_patch(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    first, second = (swapped(engine, astronaut, admiral) for _ in range(2))
    np.testing.assert_array_equal(first.image_rgb, second.image_rgb)
    np.testing.assert_array_equal(first.alpha, second.alpha)


def test_what_covers_the_face_stays_in_front(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    covered = admiral[0].copy()
    x0, _, x1, y1 = admiral[1].box_xyxy.astype(int)
    nose_y = int(admiral[1].points5[2, 1])
    cv2.rectangle(covered, (int(x0) - 20, nose_y + 10), (int(x1) + 20, int(y1) + 20), (30, 90, 200), -1)
    result = media.paste_picture(covered, [swapped(engine, astronaut, (covered, admiral[1]))])
    change = np.abs(result.astype(int) - covered).max(-1)[:, int(x0) : int(x1)]
    assert change[nose_y + 35 : int(y1)].max() < 16
    assert np.median(change[int(admiral[1].points5[0, 1]) : nose_y - 20]) > 16


@pytest.mark.parametrize("scale", [0.12, 2.5])
def test_small_and_large_faces(
    engine: MeshEngine, analyser: FaceAnalyser, astronaut: Shown, admiral: Shown, scale: float
) -> None:
    size = (round(admiral[0].shape[1] * scale), round(admiral[0].shape[0] * scale))
    image = cv2.resize(admiral[0], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    matrix = np.diag([scale, scale, scale]).astype(np.float32)
    face = admiral[1].replace(
        points478=admiral[1].points478 @ matrix,
        points5=admiral[1].points5 * scale,
        box_xyxy=admiral[1].box_xyxy * scale,
    )
    patch = swapped(engine, astronaut, (image, face))
    assert np.isfinite(patch.alpha).all()
    assert patch.alpha.max() > 0.9


def test_face_half_out_of_the_frame(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    middle = int(admiral[1].points5[2, 0])
    image = np.ascontiguousarray(admiral[0][:, middle:])
    moved = admiral[1].points478 - np.array([middle, 0, 0], np.float32)
    face = admiral[1].replace(points478=moved, points5=moved[[468, 473, 1, 61, 291], :2])
    result = media.paste_picture(image, [swapped(engine, astronaut, (image, face))])
    assert result.shape == image.shape


def test_several_pictures_are_chosen_by_pose_and_smoothed_light_is_between(
    engine: MeshEngine, astronaut: Shown, admiral: Shown
) -> None:
    identity = engine.prepare([astronaut, admiral])
    assert len(identity.textures) == 2
    options = SwapOptions()
    statistics = [engine.predict(*target, identity, options).statistics for target in (astronaut, admiral, astronaut)]
    smoothed = engine.smooth(statistics, 1, options)
    low = np.minimum(statistics[0].gain, statistics[1].gain) - 1e-4
    high = np.maximum(statistics[0].gain, statistics[1].gain) + 1e-4
    assert ((smoothed.gain >= low) & (smoothed.gain <= high)).all()


def test_of_clear_glasses_only_the_rims_stay() -> None:
    picture = np.full((256, 256, 3), 170, np.uint8)
    cv2.circle(picture, (90, 110), 28, (60, 60, 60), 2)
    points = np.zeros((478, 2), np.float32)
    points[:, 0] = np.linspace(60, 200, 478)
    points[:, 1] = 200
    rims = occlusion._glasses_rims(picture, points)
    assert rims[110, 62] > 0.9
    assert rims[110, 90] < 0.1
    bare, glasses = np.ones((256, 256), np.float32), np.zeros((256, 256), np.float32)
    glasses[90:130, 70:110] = 1
    assert occlusion._is_clear(picture, bare - glasses, glasses)
    picture[90:130, 70:110] = 30
    assert not occlusion._is_clear(picture, bare - glasses, glasses)


def test_a_mask_is_taken_over_only_where_the_face_is_still(engine: MeshEngine, astronaut: Shown) -> None:
    image, face = astronaut
    options, identity = SwapOptions(), engine.prepare([astronaut])
    first = engine.predict(image, face, identity, options)
    still = engine.predict(image, face, identity, options, previous=first)
    assert still.statistics.visibility is first.statistics.visibility
    covered = image.copy()
    x0, y0, x1, y1 = face.box_xyxy.astype(int)
    covered[(y0 + y1) // 2 : y1, x0:x1] = (40, 90, 200)
    moved = engine.predict(covered, face, identity, options, previous=first)
    assert np.count_nonzero(moved.statistics.visibility != first.statistics.visibility) > 1000
    window = [first.statistics, moved.statistics]
    masks = np.stack([frame.visibility for frame in window]).astype(int)
    between = engine.smooth(window, 0, options).visibility
    assert ((between >= masks.min(0) - 1) & (between <= masks.max(0) + 1)).all()
    sudden = engine.smooth(window, 0, SwapOptions(temporal_smoothing=0)).visibility
    np.testing.assert_array_equal(sudden, first.statistics.visibility)


def test_a_mask_that_slowly_becomes_untrue_is_measured_again(engine: MeshEngine, astronaut: Shown) -> None:
    image, face = astronaut
    options, identity = SwapOptions(), engine.prepare([astronaut])
    first = previous = engine.predict(image, face, identity, options)
    x0, y0, x1, y1 = face.box_xyxy.astype(int)
    for step in range(1, 8):
        darker = image.copy()
        darker[(y0 + y1) // 2 : y1, x0:x1] -= (darker[(y0 + y1) // 2 : y1, x0:x1] * (0.05 * step)).astype(np.uint8)
        previous = engine.predict(darker, face, identity, options, previous=previous)
    assert previous.statistics.visibility is not first.statistics.visibility, "each step was smaller than what counts"


def test_brows_are_darkened_only_where_they_are_brighter_than_the_skin(engine: MeshEngine, astronaut: Shown) -> None:
    albedo = engine.prepare([astronaut]).textures[0].albedo_log[0]
    weight, brows = np.ones(albedo.shape[:2], np.float32), texture._brows()
    assert texture._flatten_brows(albedo, weight) is albedo
    grey = albedo + 0.8 * brows[..., None]
    darker = grey - texture._flatten_brows(grey, weight)
    assert darker[brows > 0.9].mean() > 0.2
    np.testing.assert_allclose(darker[brows == 0], 0, atol=1e-6)


def test_shine_on_the_source_s_lips_stays_no_white_patch(engine: MeshEngine, astronaut: Shown, admiral: Shown) -> None:
    image, face = astronaut
    shiny = image.copy()
    x, y = face.points478[17, :2]
    cv2.circle(shiny, (round(x), round(y) - 3), 4, (255, 250, 245), -1)
    plain_patch, shiny_patch = (swapped(engine, (picture, face), admiral) for picture in (image, shiny))
    lower_lip = admiral[1].points478[17, :2] - [plain_patch.x, plain_patch.y]
    x0, y0 = (lower_lip - [12, 14]).astype(int)
    brighter = (
        shiny_patch.image_rgb[y0 : y0 + 20, x0 : x0 + 24].astype(int)
        - plain_patch.image_rgb[y0 : y0 + 20, x0 : x0 + 24]
    )
    assert 0 < brighter.max() < 45, "the spot was 100 levels brighter than the lip"
