"""One analyser, one source and one clip for the whole room: models load once."""

from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.config import from_dict
from facegen.faces import FaceAnalyser
from facegen.facesets import ExtractOptions, extract
from facegen.swap import SwapPipeline
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.tasks import SAEHD
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request
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


@pytest.fixture(scope="session")
def short_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One face for six frames, for models trained for two people."""
    return write_clip(tmp_path_factory.mktemp("clip") / "portrait.mp4", moving_portrait(6))


@pytest.fixture(scope="session")
def two_people(short_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the facesets a and b: the portrait, and the portrait mirrored and tinted."""
    folder = tmp_path_factory.mktemp("people")
    other = [frame[:, ::-1] // 2 + 60 for frame in moving_portrait(6)]
    analyser = FaceAnalyser()
    extract([short_clip], folder / "a", ExtractOptions(size=96), analyser=analyser)
    extract([write_clip(folder / "other.mp4", other)], folder / "b", ExtractOptions(size=96), analyser=analyser)
    return folder


@pytest.fixture(scope="session")
def trained(two_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training of four steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    request = make_request(
        SAEHD, preset="tiny", data=str(two_people), changes=["steps=4", "save_every=2", "export_every=2"]
    )
    train_in_folder(folder, SAEHD, request, on_line=lambda _: None)
    return folder


@pytest.fixture
def task() -> SaehdTask:
    """The smallest training."""
    request = make_request(SAEHD, preset="tiny")
    return from_dict(SaehdTask, request.task_settings)
