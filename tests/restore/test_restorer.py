"""The restorer's network and pipeline."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facegen.errors import InputError
from facegen.media import write_picture
from facegen.restore import Restorer
from facegen.restore.data import RestorerData, degrade
from facegen.restore.losses import texture_distance
from facegen.restore.restorer import RestorerConfig
from facegen.training.task import BatchSpec
from tests.factories import noise_rgb, portrait_rgb


def test_a_fresh_network_changes_nothing() -> None:
    network = RestorerConfig(widths=(8, 8, 8)).build().eval()
    pictures = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(network(pictures), pictures)


def test_degradation_keeps_the_range_and_loses_texture() -> None:
    picture = torch.from_numpy(portrait_rgb()[:256, :256].copy()).permute(2, 0, 1)[None].float() / 255
    degraded = degrade(picture, torch.Generator().manual_seed(0))
    assert degraded.min() >= 0
    assert degraded.max() <= 1
    assert texture_distance(picture, picture) == 0
    assert texture_distance(degraded, picture) > 0.002


def test_a_black_and_white_face_gets_no_colour() -> None:
    small = cv2.resize(cv2.cvtColor(portrait_rgb(), cv2.COLOR_RGB2GRAY), (96, 96), interpolation=cv2.INTER_AREA)
    restored = Restorer("cpu").restore(np.repeat(small[None, ..., None], 3, 3))
    assert np.ptp(restored.astype(int), axis=3).max() <= 2


def test_restoring_brings_texture_back() -> None:
    picture = portrait_rgb()
    side = min(picture.shape[:2])
    original = torch.from_numpy(picture[:side, :side].copy()).permute(2, 0, 1)[None].float() / 255
    original = torch.nn.functional.interpolate(original, size=256, mode="bilinear", antialias=True)
    small = torch.nn.functional.interpolate(original, size=96, mode="bilinear", antialias=True)
    given = (small[0].permute(1, 2, 0) * 255).byte().numpy()[None]
    restorer = Restorer("cpu")
    enlarged, restored = restorer.restore(given, 0.0), restorer.restore(given)
    assert restored.shape == (1, 256, 256, 3)
    distances = [
        float(texture_distance(torch.from_numpy(p).permute(0, 3, 1, 2).float() / 255, original))
        for p in (enlarged, restored)
    ]
    assert distances[1] < distances[0]


def test_other_than_square_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="square"):
        Restorer("cpu").restore(np.zeros((1, 8, 9, 3), np.uint8))


def test_batches_mix_degraded_faces_reconstructions_and_samples(tmp_path: Path) -> None:
    for kind, side in (("originals", 256), ("drawn", 128), ("samples", 128)):
        (tmp_path / kind).mkdir()
        for number in range(13):
            write_picture(tmp_path / kind / f"{number:02}.png", noise_rgb(side, side, number))
    data = RestorerData(tmp_path, 64, torch.device("cpu"))
    spec = BatchSpec(indices=torch.arange(6), generator=torch.Generator().manual_seed(0), step=0, progress=0.0)
    batch = data.batch(spec)
    assert batch["pictures"].shape == batch["degraded"].shape == (6, 3, 64, 64)
    assert batch["is_pair"].flatten().tolist() == [1, 0, 1, 1, 0, 1]
    (tmp_path / "drawn" / "00.png").unlink()
    with pytest.raises(InputError, match="same names"):
        RestorerData(tmp_path, 64, torch.device("cpu"))
