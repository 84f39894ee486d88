"""The choice of training data."""

from dataclasses import replace

import numpy as np
import torch

from facegen.generate.attributes.network import AttributeNet, AttributeNetConfig
from facegen.generate.attributes.predictor import Choice, refit_choice
from facegen.generate.attributes.task import FEMALE
from tests.generate.faces import small_pack


def test_refitting_makes_the_choice_sure_and_leaves_the_sliders() -> None:
    pack = small_pack(24)
    pictures = pack.pictures.copy()
    pictures[1::2] //= 3  # darker, so that there is something to tell
    pack = replace(pack, pictures=pictures)
    torch.manual_seed(0)
    network = AttributeNet(AttributeNetConfig(widths=(8, 8, 8), blocks=(1, 1, 1))).eval()
    inputs = torch.from_numpy(pictures[:, 0].copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        before = network(inputs)
        refit_choice(network, pack)
        after = network(inputs)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert after[1::2, FEMALE].min() > after[::2, FEMALE].max()


def test_the_bundled_choice_says_probabilities() -> None:
    said = Choice().outputs(np.full((2, 128, 128, 3), 128, np.uint8))
    assert said.shape == (2, 6)
    assert ((said[:, FEMALE] >= 0) & (said[:, FEMALE] <= 1)).all()
