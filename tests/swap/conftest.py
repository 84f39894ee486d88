"""One analyser, one source and one clip for the whole room: models load once."""

from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.faces import FaceAnalyser
from facegen.swap import SwapPipeline
from tests.factories import moving_portrait, noise_rgb, portrait_rgb, write_clip
from tests.swap.oval import OvalEngine


@pytest.fixture(scope="session")
def analyser() -> FaceAnalyser:
    """What finds the faces."""
    return FaceAnalyser()


@pytest.fixture
def pipeline(analyser: FaceAnalyser) -> SwapPipeline:
    """A pipeline that paints ovals: quick, and easy to see."""
    return SwapPipeline(analyser=analyser, engine=OvalEngine())


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what all tests of the room read."""
    return tmp_path_factory.mktemp("swap")


@pytest.fixture(scope="session")
def source(folder: Path) -> str:
    """A picture with one face, reddened so that its oval can be told from anything in the clip."""
    path = folder / "source.png"
    media.write_picture(path, np.clip(portrait_rgb() * np.array([1.0, 0.2, 0.2]), 0, 255).astype(np.uint8))
    return str(path)


@pytest.fixture(scope="session")
def clip(folder: Path) -> str:
    """One face for 40 frames, with sound."""
    return str(write_clip(folder / "clip.mp4", moving_portrait(40), has_sound=True))


@pytest.fixture(scope="session")
def gap_clip(folder: Path) -> str:
    """A face, then noise from frame 20 to frame 44, then the face again; 60 frames, with sound."""
    frames = moving_portrait(60)
    frames[20:45] = [noise_rgb(256, 256, seed) // 4 for seed in range(25)]
    return str(write_clip(folder / "gap.mp4", frames, has_sound=True))


@pytest.fixture(scope="session")
def faceless_clip(folder: Path) -> str:
    """Ten frames of noise."""
    return str(write_clip(folder / "faceless.mp4", [noise_rgb(160, 160, seed) for seed in range(10)]))
