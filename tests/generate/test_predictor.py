"""The attribute predictor, and directions fitted to measured scores."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from facegen.generate.attributes.network import AttributeNet, AttributeNetConfig
from facegen.generate.attributes.predictor import AttributePredictor, refit_gender
from facegen.generate.attributes.task import FEMALE
from facegen.generate.editing.directions import NAMES, fit_directions
from tests.generate.faces import small_pack


def test_a_refit_separates_genders_and_keeps_the_sliders() -> None:
    pack = small_pack(24)
    pictures = pack.pictures.copy()
    pictures[1::2] //= 3  # darker, so that there is something to tell
    pack = replace(pack, pictures=pictures)
    torch.manual_seed(0)
    network = AttributeNet(AttributeNetConfig(widths=(8, 8, 8), blocks=(1, 1, 1))).eval()
    inputs = torch.from_numpy(pictures[:, 0].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        before = network(inputs)
        refit_gender(network, pack)
        after = network(inputs)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert after[1::2, FEMALE].min() > after[::2, FEMALE].max()


def test_the_bundled_predictor_returns_probabilities() -> None:
    outputs = AttributePredictor().predict(np.full((2, 128, 128, 3), 128, np.uint8))
    assert outputs.shape == (2, 6)
    assert ((outputs[:, FEMALE] >= 0) & (outputs[:, FEMALE] <= 1)).all()


def test_a_direction_follows_its_score(tmp_path: Path) -> None:
    pack = small_pack(24)
    random = np.random.default_rng(0)
    shapes = pack.shapes + random.normal(0, 2, pack.shapes.shape).astype(np.float32)
    pack = replace(pack, shapes=shapes)
    texture, shape = random.normal(size=(24, 6)), random.normal(size=(24, 3))
    texture[:, 2] += 3 * np.array([group == "female" for group in pack.groups])
    directions = fit_directions(pack, texture, shape, np.ones((3, 1404)))
    assert directions.texture.shape == (len(NAMES), 6)
    feminine = directions.texture[NAMES.index("feminine")]
    assert feminine[2] > 0.3
    directions.save(tmp_path / "directions.safetensors")
    stored = load_file(tmp_path / "directions.safetensors")
    np.testing.assert_allclose(stored["texture"], directions.texture, atol=1e-2)
