"""Strands, neck and shoulders for drawn faces, and a clean outline."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen.errors import InputError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, CLASSES, CLOTH, HAIR, NECK, SKIN
from facegen.generate.bodies import fitted, learn_bodies
from facegen.generate.matte import carried, put_together
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.generate.strands import Strands, learn_strands
from facegen.generate.surroundings import Surroundings
from facegen.media import write_picture
from tests.factories import noise_rgb, portrait_rgb
from tests.generate.faces import small_pack


def _scene() -> tuple[np.ndarray, np.ndarray]:
    """A picture of a head on a noisy ground with a bright halo round it, and its classes."""
    y, x = np.mgrid[0:256, 0:256]
    head = (np.hypot(x - 128, y - 110) < 70).astype(np.float32)
    body = ((y > 170) & (np.abs(x - 128) < 30)).astype(np.float32) * (1 - head)
    hair = head * (y < 90)
    picture = np.full((256, 256, 3), 150.0)
    picture[cv2.dilate(head, np.ones((9, 9))) > 0] = 255
    picture[head > 0] = (200, 150, 120)
    picture[hair > 0] = (60, 40, 30)
    picture[body > 0] = (90, 90, 200)
    picture += np.random.default_rng(0).normal(0, 6, picture.shape) * (1 - head)[..., None]
    classes = np.zeros((len(CLASSES), 256, 256), np.float32)
    classes[HAIR], classes[SKIN], classes[NECK] = hair, head - hair, body
    classes[BACKGROUND] = 1 - head - body
    return picture.clip(0, 255).astype(np.uint8), classes


def test_a_ground_becomes_plain_and_a_halo_goes() -> None:
    picture, classes = _scene()
    body = np.full((256, 256, 3), 20.0, np.float32), classes[NECK]
    made = put_together(picture, classes, np.zeros((256, 256), np.float32), body)
    ground = made[:40, :60].astype(float)
    assert abs(ground.mean() - 150) < 3
    assert ground.std() < 1 < picture[:40, :60].std()
    beside = made[108:112, 50:56].astype(float)  # where the halo was
    assert np.abs(beside - 150).max() < 25
    np.testing.assert_allclose(made[120:150, 100:156], picture[120:150, 100:156], atol=2)
    np.testing.assert_allclose(made[220:250, 120:136], 20, atol=2)


def test_hair_gets_strands_and_keeps_its_colour() -> None:
    picture, classes = _scene()
    strands = np.zeros((256, 256), np.float32)
    strands[:, ::2], strands[:, 1::2] = 0.3, -0.3
    body = np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.float32)
    hair = put_together(picture, classes, strands, body)[60:76, 100:156].astype(float)
    assert np.abs(np.diff(hair[..., 0], axis=1)).mean() > 20
    np.testing.assert_allclose(hair.mean((0, 1)), (63, 42, 31), atol=4)


def test_without_a_ground_nothing_changes() -> None:
    picture, classes = _scene()
    classes[CLOTH] += classes[BACKGROUND]
    classes[BACKGROUND] = 0
    body = np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.float32)
    made = put_together(picture, classes, np.zeros((256, 256), np.float32), body)
    np.testing.assert_array_equal(made, picture)


def test_colours_are_carried_on_from_where_they_are_known() -> None:
    values, known = np.zeros((64, 64, 1), np.float32), np.zeros((64, 64), np.float32)
    values[:, :8], values[:, 56:] = 10, 90
    known[:, :8], known[:, 56:] = 1, 1
    found = carried(values, known, 2.0)[32, :, 0]
    np.testing.assert_allclose(found[[2, 12, 51, 61]], (10, 10, 90, 90), atol=1)


def _hair(angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """A canonical picture of hair whose locks lie at an angle, and where it is."""
    y, x = np.mgrid[0:128, 0:128]
    across = x * np.sin(np.deg2rad(angle_deg)) - y * np.cos(np.deg2rad(angle_deg))
    grey = 90 + 40 * np.sin(across / 3)
    return np.repeat(grey[..., None], 3, 2).astype(np.uint8), np.ones((128, 128), np.float32)


@pytest.mark.parametrize("angle_deg", [0.0, 40.0, 90.0])
def test_strands_lie_as_the_drawn_hair_does(angle_deg: float) -> None:
    model = Strands(field=np.zeros((32, 32, 2), np.float32))
    strands = model.drawn(*_hair(angle_deg), person=5)
    along = np.deg2rad(angle_deg)
    steps = [
        (round(4 * np.sin(along)), round(4 * np.cos(along))),
        (round(4 * np.cos(along)), round(-4 * np.sin(along))),
    ]
    middle = strands[64:192, 64:192]
    same, other = (np.mean(middle * np.roll(strands, step, (0, 1))[64:192, 64:192]) for step in steps)
    assert same > 3 * abs(other)
    np.testing.assert_array_equal(strands, model.drawn(*_hair(angle_deg), person=5))
    assert np.abs(strands - model.drawn(*_hair(angle_deg), person=6)).mean() > 0.05
    assert 0.1 < strands.std() < 0.25


def test_the_usual_way_of_hair_is_learnt() -> None:
    pack = small_pack(8)
    picture, _ = _hair(90.0)
    canonical = np.concatenate([np.repeat(picture[None], 8, 0), np.full((8, 128, 128, 2), 255, np.uint8)], 3)
    learnt = learn_strands(replace(pack, canonical=canonical)).field
    np.testing.assert_allclose(learnt[4:28, 4:28], np.broadcast_to((-1, 0), (24, 24, 2)), atol=0.05)


def test_bodies_mix_outlines_not_pictures() -> None:
    maps = np.zeros((4, 23, 64, 8), np.float32)
    x = np.abs(np.arange(64) - 31.5)
    for number, half in enumerate((12, 16, 20, 24)):
        maps[number, ..., 0] = np.clip((half - x) * 4 / 20, -2, 2)
        maps[number, ..., 1] = 1 - np.arange(23)[:, None] / 11
        maps[number, ..., 5:] = np.log(60 + 20 * number)
    bodies = fitted(maps, 3)
    none = np.zeros((64, 64, 2), np.float32)
    colours, lies = bodies.placed(bodies.mixed(3), none, np.full(3, 150.0))
    edge = lies[220]
    assert ((edge > 0.05) & (edge < 0.95)).sum() <= 12  # sharp, though mixed: outlines lie up to 24 pixels apart
    assert 80 < (edge > 0.5).sum() < 200
    np.testing.assert_allclose(colours[190, 128], 150, atol=3)  # the neck has the face's colour
    assert 50 < colours[250, 128].mean() < 130
    assert lies[:160].max() == 0
    assert np.abs(bodies.mixed(1) - bodies.mixed(2)).max() > 0


def test_models_are_learnt_from_photographs_and_written(tmp_path: Path) -> None:
    pack = small_pack(8)
    measured, canonical = pack.measured.copy(), pack.canonical.copy()
    measured[:, 0], measured[:, 0, NAMES.index("mouth")] = 0.5, 0
    canonical[..., 3:] = 0
    pack = replace(pack, measured=measured, canonical=canonical)
    for name in pack.names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / name, noise_rgb(256, 256, 0) if name == pack.names[0] else portrait_rgb())
    with pytest.raises(InputError, match="shoulders"):
        learn_bodies(pack, tmp_path, FaceAnalyser())
    random = np.random.default_rng(0)
    both = Surroundings(strands=learn_strands(pack), bodies=fitted(random.random((4, 23, 64, 8), np.float32), 3))
    both.write(tmp_path / "both.safetensors")
    again = Surroundings.read(tmp_path / "both.safetensors")
    np.testing.assert_array_equal(again.strands.field, both.strands.field)
    np.testing.assert_array_equal(again.bodies.mixed(4), both.bodies.mixed(4))


def test_another_file_is_refused() -> None:
    with pytest.raises(WeightsError, match="hair and bodies"):
        Surroundings.read(Path(__file__))


def test_a_retouch_leaves_the_middle_of_a_face_alone() -> None:
    pipeline = GeneratePipeline()
    face = pipeline.sample([3])
    assert face.around is not None
    made = pipeline.draw(face, Sliders())[0].astype(int)
    restored = pipeline.restorer.restore(pipeline.generator.draw(face, Sliders(), fine=True))[0].astype(int)
    assert np.abs(made - restored)[110:180, 100:156].max() <= 1
    assert np.abs(made - restored)[:, :40].mean() > 1
