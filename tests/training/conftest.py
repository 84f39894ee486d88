"""Small training folders, made on the spot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen.faces.autoencoder import AutoencoderTask
from facegen.training.settings import OptimiserSettings, TrainSettings
from tests.factories import gradient_rgb


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of twelve 32-pixel pictures."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(gradient_rgb(32, 32, number / 12)).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Twenty pictures of a disc on a ground, with classes: 1 on the disc, 13 above its middle, else 0."""
    folder = tmp_path / "labelled"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:64, 0:64]
    for number in range(20):
        cx, cy, radius = random.uniform(24, 40), random.uniform(24, 40), random.uniform(14, 22)
        inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        mask = np.where(inside, np.where(y < cy, 13, 1), 0).astype(np.uint8)
        colours = np.zeros((19, 3), np.uint8)
        colours[[0, 1, 13]] = [(30, 60, 90), (220, 170, 150), (70, 40, 20)]
        Image.fromarray(colours[mask]).save(folder / "images" / f"{number:02d}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")
    return folder


@pytest.fixture
def task() -> AutoencoderTask:
    """The smallest autoencoder."""
    return AutoencoderTask(size=32, width=4, code=8)


@pytest.fixture
def settings() -> TrainSettings:
    """Eight steps with a checkpoint every second one."""
    return TrainSettings(
        steps=8,
        batch_size=4,
        save_every=2,
        log_every=1,
        keep=100,
        precision="float32",
        device="cpu",
        ema_decay=0.9,
        optimiser=OptimiserSettings(name="adamw", rate=1e-3, schedule="cosine", warmup_steps=2),
    )


@pytest.fixture
def plain_settings(settings: TrainSettings) -> TrainSettings:
    """The same without running average, warm-up or schedule."""
    return replace(settings, ema_decay=0.0, optimiser=OptimiserSettings(name="adam", rate=1e-3))
