"""Two small facesets, and a model that was trained on them for a moment."""

from pathlib import Path

import pytest

from facegen.config import from_dict
from facegen.faces import FaceAnalyser
from facegen.facesets import ExtractOptions, extract
from facegen.swap.autoencoder.task import SaehdTask
from facegen.swap.tasks import SAEHD
from facegen.training.launch import train_in
from facegen.training.request import make_request
from tests import factories


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return factories.write_clip(tmp_path_factory.mktemp("clip") / "portrait.mp4", factories.moving_portrait(6))


@pytest.fixture(scope="session")
def two_people(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the facesets a and b: the portrait, and the portrait mirrored and tinted."""
    folder = tmp_path_factory.mktemp("people")
    other = [frame[:, ::-1] // 2 + 60 for frame in factories.moving_portrait(6)]
    analyser = FaceAnalyser()
    extract([clip], folder / "a", ExtractOptions(size=96), analyser=analyser)
    extract(
        [factories.write_clip(folder / "other.mp4", other)], folder / "b", ExtractOptions(size=96), analyser=analyser
    )
    return folder


@pytest.fixture(scope="session")
def trained(two_people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a training of four steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    request = make_request(
        SAEHD, preset="tiny", data=str(two_people), changes=["steps=4", "save_every=2", "export_every=2"]
    )
    train_in(folder, SAEHD, request, say=lambda _: None)
    return folder


@pytest.fixture
def task() -> SaehdTask:
    request = make_request(SAEHD, preset="tiny")
    return from_dict(SaehdTask, request.task_settings)
