"""The classifier of photographs against generated faces."""

from pathlib import Path

import numpy as np

from facegen.generate.attributes.network import AttributeNet
from facegen.generate.realism import REALISM_CONFIG, RealismClassifier
from facegen.restore.checkpoint import save_half
from tests.factories import noise_rgb


def test_scores_and_maps(tmp_path: Path) -> None:
    realism = RealismClassifier("cpu", save_half(AttributeNet(REALISM_CONFIG).eval(), tmp_path / "realism.safetensors"))
    pictures = np.stack([noise_rgb(256, 256, seed) for seed in (0, 1)])
    assert realism.score_map(pictures).shape == (2, 8, 8)
    assert realism.highlight(pictures[0]).shape == (256, 256, 3)
    assert ((realism.score(pictures) > 0) & (realism.score(pictures) < 1)).all()
