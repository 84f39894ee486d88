"""Photographs that sliders change."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from facegen.faces import Face, FaceAnalyser, align
from facegen.faces.mesh import EYE_LEFT, EYE_RIGHT, LIPS_INNER
from facegen.faces.parse import BACKGROUND, CLASSES
from facegen.generate.editing.full_size import drop_islands, parse_person
from facegen.generate.editing.lids import close_lids
from facegen.generate.editing.photograph import EncodedPhoto, _redden_mouth
from facegen.generate.frame.repaint import lightest_hair
from facegen.generate.pipeline import GeneratePipeline
from tests.factories import portrait_rgb


@pytest.fixture(scope="module")
def pipeline() -> GeneratePipeline:
    return GeneratePipeline(device="cpu")


@pytest.fixture(scope="module")
def encoded(pipeline: GeneratePipeline) -> EncodedPhoto:
    return pipeline.encode(portrait_rgb())


def change(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(256, 256) mean difference of the colours, levels."""
    return np.abs(one.astype(int) - other.astype(int)).mean(2)


def test_its_own_sliders_show_the_photograph(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    drawn = pipeline.draw(encoded.latents, encoded.sliders)[0]
    blurred = pipeline.restorer.restore(pipeline.draw(encoded.latents, encoded.sliders, retouch=False))[0]
    photograph = encoded.framed.picture_rgb
    assert drawn.shape == photograph.shape
    assert change(drawn, photograph).mean() < 0.5 * change(blurred, photograph).mean()
    small = pipeline.draw(encoded.latents, encoded.sliders, retouch=False)[0]
    assert small.shape == (128, 128, 3)  # without a retouch, what the networks alone draw


def test_what_a_slider_does_not_mean_stays(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    before, darker, opened = pipeline.draw(
        encoded.latents.take([0, 0, 0]),
        [encoded.sliders, replace(encoded.sliders, hair=0.95), replace(encoded.sliders, mouth=0.9)],
    )
    assert change(before, darker)[130:190, 100:156].mean() < 2  # the middle of the face
    assert change(before, opened)[:60].mean() < 1  # above the brows
    assert change(before, opened)[180:215, 110:146].mean() > 20  # the mouth


def test_directions_and_mixtures_change_it(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    photograph = pipeline.draw(encoded.latents, encoded.sliders)[0]
    wider = pipeline.draw(pipeline.directions.apply(encoded.latents, {"nose width": 3.0}), encoded.sliders)[0]
    assert change(photograph, wider)[120:180, 100:156].mean() > 1
    other = pipeline.sample([7])
    steps = [pipeline.draw(encoded.latents.mix(other, part), encoded.sliders)[0] for part in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(steps[0], photograph)
    alone = pipeline.draw(other, encoded.sliders)[0]
    assert change(steps[2], alone).mean() < change(steps[1], alone).mean() < change(steps[0], alone).mean()


def test_several_are_kept_apart(pipeline: GeneratePipeline, encoded: EncodedPhoto) -> None:
    both = type(encoded.latents).concat([encoded.latents, encoded.latents])
    drawn = pipeline.draw(both, [encoded.sliders, replace(encoded.sliders, background=0.1)])
    alone = pipeline.draw(encoded.latents, encoded.sliders)[0]
    assert change(drawn[0], alone).max() < 4
    assert change(drawn[0], drawn[1]).mean() > 5


@pytest.fixture(scope="module")
def large(pipeline: GeneratePipeline) -> EncodedPhoto:
    """A photograph that is larger than the generator's frame, with more than a head in it."""
    portrait = portrait_rgb()
    wide = cv2.copyMakeBorder(portrait, 40, 60, 80, 80, cv2.BORDER_REPLICATE)
    return pipeline.encode(cv2.resize(wide, None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC))


def edited(pipeline: GeneratePipeline, photo: EncodedPhoto, **sliders: float) -> np.ndarray:
    return pipeline.edit(photo, photo.latents, replace(photo.sliders, **sliders))


def test_an_edit_goes_back_into_the_untouched_picture(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    image = large.image_rgb
    np.testing.assert_array_equal(edited(pipeline, large), image)
    width = image.shape[1]
    opened = edited(pipeline, large, mouth=0.9)
    assert opened.shape == image.shape
    np.testing.assert_array_equal(opened[:, : width // 12], image[:, : width // 12])
    corners = align.apply(align.invert(large.framed.to_frame), np.array([[110, 180], [146, 215]], np.float32)).astype(
        int
    )
    (left, top), (right, bottom) = corners
    assert change(image, opened)[top:bottom, left:right].mean() > 15
    looked = pipeline.edit(large, large.latents, replace(large.sliders, mouth=0.9), max_side=300)
    assert max(looked.shape) == 300


def test_another_ground_and_other_hair_reach_the_whole_picture(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    image = large.image_rgb
    face = align.apply(align.invert(large.framed.to_frame), np.array([[110, 110], [150, 170]], np.float32)).astype(int)
    for sliders in ({"background": 0.95 if large.sliders.background < 0.5 else 0.05}, {"hair": 0.95}):
        changed = change(image, edited(pipeline, large, **sliders))
        (left, top), (right, bottom) = face
        assert changed[top:bottom, left:right].mean() < 2
        if "background" in sliders:
            assert changed[:40, :40].mean() > 10


def test_what_does_not_hang_together_with_the_face_is_ground(large: EncodedPhoto) -> None:
    """A leaf beside somebody's hair."""
    height, width = large.person.shape[:2]
    points = large.points() * (width / large.image_rgb.shape[1])
    background = np.ones((height, width), np.float32)
    left, top = np.floor(points.min(0)).astype(int)
    right, bottom = np.ceil(points.max(0)).astype(int)
    background[top - 4 : bottom + 4, left - 4 : right + 4] = 0
    alone = background.copy()
    background[2:6, 2:6] = 0.1
    np.testing.assert_allclose(drop_islands(background, points), alone, atol=0.02)


def test_what_lies_under_a_face_is_no_ground(pipeline: GeneratePipeline) -> None:
    """A shirt of the ground's own colour, of which the parser's crop shows nothing."""
    portrait = portrait_rgb()
    height, width = portrait.shape[:2]
    ground = portrait[5, 5].tolist()
    wide = cv2.copyMakeBorder(portrait, 20, height, width, width, cv2.BORDER_CONSTANT, value=ground)
    person = pipeline.encode(wide).person
    bottom, middle = len(person) - 8, round(1.38 * width * len(person) / len(wide))
    assert person[bottom, middle, 1] < 0.05
    assert person[bottom, 8, 1] > 0.95


def test_what_looks_like_the_body_beside_a_head_is_ground(encoded: EncodedPhoto) -> None:
    """A blue body on green, and a blue pole beside it that reaches up to the head; the parser sees ground in both."""

    def parse(crops_rgb: np.ndarray) -> np.ndarray:
        found = np.zeros((len(crops_rgb), len(CLASSES), *crops_rgb.shape[1:3]), np.float32)
        found[:, BACKGROUND] = 0.9
        return found

    (face,) = FaceAnalyser().detect(portrait_rgb(), 1)
    points = face.points478[:, :2]
    left, top = points.min(0).astype(int)
    right, chin = points.max(0).astype(int)
    moved = replace(face, points478=face.points478 + np.float32([300, 100, 0]))
    picture = np.full((chin + 500, right + 600, 3), (40, 160, 40), np.uint8)
    picture[chin + 110 :, left + 150 : right + 450] = 40, 40, 200
    picture[top + 100 : chin + 200, left + 100 : left + 200] = 40, 40, 200
    background = parse_person(picture, moved, SimpleNamespace(parser=SimpleNamespace(parse=parse)))[..., 1]
    assert background[top + 110 : chin + 90, left + 110 : left + 190].min() > 0.9
    assert background[(top + chin) // 2 + 100, (left + right) // 2 + 300] < 0.05


def test_a_sweep_shows_the_whole_photograph(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    strip = pipeline.sweep(large.latents, large.sliders, "mouth", steps=3, encoded=large, max_side=400)
    height, width = large.image_rgb.shape[:2]
    assert strip.shape == (3, round(height * 400 / max(height, width)), round(width * 400 / max(height, width)), 3)
    assert change(strip[0], strip[2]).max() > 50
    np.testing.assert_array_equal(strip[0][:, :20], strip[2][:, :20])


def test_eyes_shut(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    shut = edited(pipeline, large, eyes=0.0)
    face = pipeline.analyser.detect(shut, 1)[0]
    before = pipeline.analyser.detect(large.image_rgb, 1)[0]
    assert eye_gap(face) < 0.6 * eye_gap(before)


def test_lids_come_down_over_an_eye_that_stays(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    points = large.points()
    assert not change(large.image_rgb, close_lids(large.image_rgb, points, 1.0)).any()
    half, shut = (change(large.image_rgb, close_lids(large.image_rgb, points, openness)) for openness in (0.5, 0.0))
    for eye, iris in ((EYE_LEFT, 468), (EYE_RIGHT, 473)):
        outline = points[list(eye)]
        width = float(np.ptp(outline[:, 0]))
        left, top = np.floor(outline.min(0) - 0.8 * width).astype(int)
        right, bottom = np.ceil(outline.max(0) + 0.8 * width).astype(int)
        middle, lower = points[iris], points[eye[12]]
        x, y = np.rint(middle + 0.6 * (lower - middle)).astype(int)
        assert half[y, x] < 2 < shut[y - 2 : y + 3, x - 2 : x + 3].max()
        half[top:bottom, left:right] = shut[top:bottom, left:right] = 0
    assert not half.any()
    assert not shut.any()
    turned_away = points.copy()
    turned_away[[*EYE_LEFT, *EYE_RIGHT]] = points[EYE_LEFT[0]]
    assert not change(large.image_rgb, close_lids(large.image_rgb, turned_away, 0.0)).any()


def test_a_head_turns_as_far_as_its_photograph_shows(large: EncodedPhoto) -> None:
    left = replace(large, sliders=replace(large.sliders, head=0.2))
    asked = [replace(left.sliders, head=head) for head in (0.0, 0.4, 1.0)]
    assert [left.limit(sliders).head for sliders in asked] == [0.0, 0.4, 0.43]
    as_asked = [*asked[:2], replace(left.sliders, head=0.3333)]
    assert [list(left.describe_limits(sliders)) for sliders in as_asked] == [[], [], []]
    (words,) = left.describe_limits(asked[2])
    assert "beyond 0.43" in words


def eye_gap(face: Face) -> float:
    """Height of the eyes over their width."""
    points = face.points478[:, :2]
    pairs = ((159, 145, 33, 133), (386, 374, 263, 362))
    return float(
        np.mean([np.linalg.norm(points[a] - points[b]) / np.linalg.norm(points[c] - points[d]) for a, b, c, d in pairs])
    )


def test_dark_hair_is_brightened_as_far_as_it_looks_like_hair(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    dark = replace(large, lightest_hair=0.4, sliders=replace(large.sliders, hair=0.9))
    asked = [replace(dark.sliders, hair=hair) for hair in (0.1, 0.4, 0.95)]
    assert [dark.limit(sliders).hair for sliders in asked] == [0.4, 0.4, 0.95]
    fair = replace(dark, sliders=replace(large.sliders, hair=0.2))
    assert fair.limit(replace(fair.sliders, hair=0.2)).hair == 0.2
    assert lightest_hair(np.full((4, 4, 3), 0.1, np.float32), np.ones((4, 4), np.float32)) == pytest.approx(0.3)


def test_a_photograph_without_colour_stays_so(pipeline: GeneratePipeline, large: EncodedPhoto) -> None:
    grey = np.repeat(cv2.cvtColor(large.image_rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    opened = edited(pipeline, replace(large, image_rgb=grey), mouth=0.9)
    assert np.ptp(opened.astype(int), axis=2).max() <= 2


def test_nothing_inside_of_an_open_mouth_is_blue_or_green() -> None:
    points = np.zeros((478, 3), np.float32)
    angles = np.linspace(0, 2 * np.pi, len(LIPS_INNER), endpoint=False)
    points[list(LIPS_INNER), :2] = 128 + np.stack([40 * np.cos(angles), 15 * np.sin(angles)], 1)
    drawn = np.tile(np.array([0.3, 0.6, 0.5], np.float32), (256, 256, 1))
    reddened = _redden_mouth(drawn, points)
    assert reddened[128, 128] == pytest.approx([0.6, 0.6, 0.5])
    assert (reddened[:100] == drawn[:100]).all()
