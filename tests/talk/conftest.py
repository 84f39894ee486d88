"""A video prepared for a radiance field, made once for all of its tests."""

from pathlib import Path

import pytest

from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.preparation import prepare
from tests.talk.clips import speaking_clip


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody with a voice, two seconds."""
    return speaking_clip(tmp_path_factory.mktemp("video"))


@pytest.fixture(scope="session")
def prepared(video: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """That video, prepared to the end."""
    patch = pytest.MonkeyPatch()
    patch.setenv("FACEGEN_HOME", str(tmp_path_factory.mktemp("home")))
    try:
        return prepare(video, tmp_path_factory.mktemp("person") / "prepared")
    finally:
        patch.undo()
