"""Fine parts of faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import WeightsError
from facegen.generate.pipeline import GeneratePipeline
from facegen.generate.skin import Skin, counted, gather, inside
from facegen.generate.sliders import NAMES, Sliders
from tests.generate.faces import small_pack


def test_a_bank_gives_a_face_its_own_fine_part_back(tmp_path: Path) -> None:
    pack = small_pack(20)
    measured = pack.measured.copy()
    measured[:, 0] = 0.5
    measured[:, 0, NAMES.index("mouth")] = 0.0
    skin = gather(replace(pack, measured=measured), 4)
    skin.write(tmp_path / "skin.safetensors")
    skin = Skin.read(tmp_path / "skin.safetensors")
    assert 1 <= len(skin.fine) <= 4
    faces = pack.canonical[~pack.held_back()][..., :3]
    own = [face for face in faces if np.square(skin.looks.astype(int) - _looks(face)).sum(1).min() == 0]
    assert own
    added = skin.fine_of(np.stack(own), inside(pack.mean_shape))
    assert np.abs(added).max() < 2 / 255  # what int8 takes away, and the edge of the box
    with pytest.raises(WeightsError, match="fine parts"):
        Skin.read(Path(__file__))


def _looks(face: np.ndarray) -> np.ndarray:
    from facegen.generate.skin import looks_of

    return looks_of(face[None]).astype(int)


def test_nothing_fine_lies_on_lips_and_between_closed_lids() -> None:
    mean = small_pack(2).mean_shape
    still, closed = counted(mean, [Sliders(eyes=1.0), Sliders(eyes=0.0)])
    lids, lips, forehead = (159, 145), (13, 14), (10, 64)

    def at(share: np.ndarray, points: tuple[int, int]) -> float:
        column, row = (mean[list(points), :2].mean(0) / 2).astype(int)
        return float(share[row, column, 0])

    assert at(still, lids) == still[forehead] == closed[forehead] == 1
    assert at(closed, lids) < 0.6
    assert at(still, lips) < 0.1
    assert at(closed, lips) < 0.1


def test_a_retouch_adds_the_fine_part_and_the_plain_picture_lacks_it() -> None:
    pipeline = GeneratePipeline(device="cpu")
    face = pipeline.sample([7])
    bare = replace(face, fine=None)
    with_fine, without = (pipeline.draw(f, Sliders(), retouch=True).astype(int) for f in (face, bare))
    assert np.abs(with_fine - without).mean() > 0.5
    np.testing.assert_array_equal(*(pipeline.draw(f, Sliders(), retouch=False) for f in (face, bare)))
