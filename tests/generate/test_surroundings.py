"""Strands, neck and shoulders for drawn faces, and a clean outline."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facegen.errors import InputError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, CLASSES, CLOTH, HAIR, NECK, SKIN
from facegen.generate.bodies import Bodies, gather_bodies
from facegen.generate.matte import carried, put_together
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.sliders import NAMES, Sliders
from facegen.generate.strands import Strands, gather_strands, strands_of
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
    made = put_together(picture, classes, np.zeros((256, 256, 4), np.float32), body)
    ground = made[:40, :60].astype(float)
    assert abs(ground.mean() - 150) < 3
    assert ground.std() < 1 < picture[:40, :60].std()
    beside = made[108:112, 50:56].astype(float)  # where the halo was
    assert np.abs(beside - 150).max() < 25
    np.testing.assert_allclose(made[120:150, 100:156], picture[120:150, 100:156], atol=2)
    np.testing.assert_allclose(made[220:250, 120:136], 20, atol=2)


def test_hair_gets_strands_and_keeps_its_colour() -> None:
    picture, classes = _scene()
    strands = np.zeros((256, 256, 4), np.float32)
    strands[:, ::2, :3], strands[:, 1::2, :3], strands[..., 3] = 0.3, -0.3, 1
    body = np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.float32)
    hair = put_together(picture, classes, strands, body)[60:76, 100:156].astype(float)
    assert np.abs(np.diff(hair[..., 0], axis=1)).mean() > 20
    np.testing.assert_allclose(hair.mean((0, 1)), (63, 42, 31), atol=4)


def test_without_a_ground_nothing_changes() -> None:
    picture, classes = _scene()
    classes[CLOTH] += classes[BACKGROUND]
    classes[BACKGROUND] = 0
    body = np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.float32)
    made = put_together(picture, classes, np.zeros((256, 256, 4), np.float32), body)
    np.testing.assert_array_equal(made, picture)


def test_colours_are_carried_on_from_where_they_are_known() -> None:
    values, known = np.zeros((64, 64, 1), np.float32), np.zeros((64, 64), np.float32)
    values[:, :8], values[:, 56:] = 10, 90
    known[:, :8], known[:, 56:] = 1, 1
    found = carried(values, known, 2.0)[32, :, 0]
    np.testing.assert_allclose(found[[2, 12, 51, 61]], (10, 10, 90, 90), atol=1)


def test_the_hair_that_lies_alike_is_chosen_mirrored_too() -> None:
    random = np.random.default_rng(0)
    hairs = []
    for bottom, left in ((80, 20), (200, 120)):
        hair = np.zeros((256, 256), np.float32)
        hair[:bottom, left : left + 80] = 1
        hairs.append(hair)
    pictures = [random.random((256, 256, 3), np.float32) for _ in hairs]
    looks = [cv2.resize(hair, (32, 32), interpolation=cv2.INTER_AREA) for hair in hairs]
    bank = Strands(
        files=tuple(cv2.imencode(".webp", strands_of(p, h))[1].ravel() for p, h in zip(pictures, hairs, strict=True)),
        maps=(255 * np.stack(looks)).astype(np.uint8),
        shades=np.zeros((2, 16, 16), np.int8),
    )
    grey = np.full((256, 256, 3), 80, np.uint8)
    assert [bank.nearest(grey, hair) for hair in hairs] == [0, 1]
    found = bank.member(bank.nearest(grey, np.ascontiguousarray(hairs[0][:, ::-1])))
    known = found[..., 3] > 0.5
    assert (known == (hairs[0][:, ::-1] > 0)).mean() > 0.95


def test_strands_and_bodies_are_gathered_from_photographs(tmp_path: Path) -> None:
    pack = small_pack(8)
    measured, canonical = pack.measured.copy(), pack.canonical.copy()
    measured[:, 0], measured[:, 0, NAMES.index("mouth")] = 0.5, 0
    canonical[..., 3:] = 0
    canonical[:, :40, :, 3] = 255
    pack = replace(pack, measured=measured, canonical=canonical)
    for name in pack.names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_picture(tmp_path / name, noise_rgb(256, 256, 0) if name == pack.names[0] else portrait_rgb())
    analyser = FaceAnalyser()
    strands = gather_strands(pack, tmp_path, analyser, 3)
    with pytest.raises(InputError, match="shoulders"):
        gather_bodies(pack, tmp_path, analyser, 3)
    random = np.random.default_rng(0)
    maps, clothes = random.random((128, 128, 6)).astype(np.float16), 255 * random.random((4, 3)).astype(np.float32)
    bodies = Bodies(maps=maps, clothes=clothes)
    assert len(strands.files) == len(strands.maps) == len(strands.shades) >= 1
    both = Surroundings(strands=strands, bodies=bodies)
    both.write(tmp_path / "both.safetensors")
    again = Surroundings.read(tmp_path / "both.safetensors")
    np.testing.assert_array_equal(again.strands.member(0), strands.member(0))
    np.testing.assert_array_equal(again.bodies.maps, bodies.maps)
    colours, lies = again.bodies.placed(7, np.zeros((64, 64, 2), np.float32), np.full(3, 150.0))
    assert colours.shape == (256, 256, 3)
    assert 0 <= lies.min() <= lies.max() <= 1


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
