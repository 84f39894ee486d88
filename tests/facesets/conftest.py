"""Facesets for tests: one cut out of a real clip once, and copies of it that a test may change."""

import shutil
from pathlib import Path

import pytest

from facegen.faces import FaceAnalyser
from facegen.facesets import ExtractOptions, Faceset, extract
from tests import factories


@pytest.fixture(scope="session")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="session")
def portrait_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of the portrait's head, drifting."""
    return factories.write_clip(tmp_path_factory.mktemp("clip") / "portrait.mp4", factories.moving_portrait(12))


@pytest.fixture(scope="session")
def made(portrait_clip: Path, analyser: FaceAnalyser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faceset of that clip; read only."""
    folder = tmp_path_factory.mktemp("facesets") / "portrait"
    extract([portrait_clip], folder, ExtractOptions(size=96), analyser=analyser)
    return folder


@pytest.fixture
def faceset(made: Path, tmp_path: Path) -> Faceset:
    """A faceset of the test's own: twelve faces of 96 pixels."""
    return Faceset.open(shutil.copytree(made, tmp_path / "faces"))
