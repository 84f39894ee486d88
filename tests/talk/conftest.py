"""A video prepared for a radiance field, made once for all of its tests."""

from pathlib import Path

import pytest

from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.prepare import prepare
from tests.factories import moving_portrait, write_clip
from tests.talk.sounds import babble, write_wave


def speaking_clip(folder: Path, frames: int = 52) -> Path:
    """A head that drifts, with a voice beside it, as one video."""
    import av

    silent = write_clip(folder / "silent.mp4", moving_portrait(frames, 192))
    sound = write_wave(folder / "said.wav", babble(frames / 25))
    path = folder / "speaks.mp4"
    with av.open(str(path), "w") as made, av.open(str(silent)) as pictures, av.open(str(sound)) as voice:
        video = made.add_stream_from_template(pictures.streams.video[0])
        audio = made.add_stream("aac", rate=16000, layout="mono")
        for packet in pictures.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
        for frame in voice.decode(audio=0):
            frame.pts = None
            made.mux(audio.encode(frame))
        made.mux(audio.encode(None))
    return path


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
