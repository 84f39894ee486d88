"""A swap of what a camera shows."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.errors import NoFaceError
from facegen.faces import FaceAnalyser
from facegen.faces.recogniser import distance
from facegen.provenance import verify
from facegen.swap.engines import make_engine
from facegen.swap.live import LONGEST_SIDE, LiveSwap
from facegen.ui.examples import FILES


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    clip: Iterator[media.Frame] = media.read_frames(FILES / "bea.mp4")
    return [frame.image_rgb for frame, _ in zip(clip, range(14), strict=False)]


def _embedding(analyser: FaceAnalyser, image_rgb: np.ndarray) -> np.ndarray:
    (face,) = analyser.embed(image_rgb, analyser.detect(image_rgb, max_faces=1))
    assert face.embedding is not None
    return face.embedding


def test_the_face_goes_onto_each_frame_and_carries_the_mark(
    analyser: FaceAnalyser, frames: list[np.ndarray], tmp_path: Path
) -> None:
    source = FILES / "ada.jpg"
    live = LiveSwap([str(source)], analyser, make_engine("mesh"))
    made = [live(frame) for frame in frames]
    before, after = _embedding(analyser, frames[-1]), _embedding(analyser, made[-1])
    wanted = _embedding(analyser, media.read_picture(source))
    assert distance(after, wanted) < distance(after, before)
    media.write_picture(tmp_path / "live.png", made[-1])
    assert verify(tmp_path / "live.png").verdict == "marked here"
    assert live.seconds > 0


def test_a_frame_depends_on_the_past_alone(analyser: FaceAnalyser, frames: list[np.ndarray]) -> None:
    first, second = (LiveSwap([str(FILES / "ada.jpg")], analyser, make_engine("mesh")) for _ in range(2))
    whole = [first(frame) for frame in frames[:4]]
    assert all((second(frame) == made).all() for frame, made in zip(frames[:3], whole[:3], strict=True))


def test_nobody_there_and_large_frames(analyser: FaceAnalyser) -> None:
    live = LiveSwap([str(FILES / "ada.jpg")], analyser, make_engine("mesh"))
    empty = np.full((720, 1280, 3), 90, np.uint8)
    made = live(empty)
    assert made.shape == (360, LONGEST_SIDE, 3)
    assert abs(int(made.mean()) - 90) <= 1


def test_a_source_without_a_face_is_refused(analyser: FaceAnalyser, tmp_path: Path) -> None:
    media.write_picture(tmp_path / "grey.png", np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(NoFaceError):
        LiveSwap([str(tmp_path / "grey.png")], analyser, make_engine("mesh"))
