"""A clip followed from end to end, kept in a file and read again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.faces import ClipAnalysis, FaceAnalyser, analyse_clip
from tests.factories import moving_portrait, noise_rgb


@dataclass(frozen=True, eq=False)
class _Frame:
    index: int
    pts_seconds: float
    image_rgb: np.ndarray


def test_a_face_is_followed_and_ends_at_a_cut(tmp_path: Path) -> None:
    images = moving_portrait(12) + [noise_rgb(256, 256)] * 3
    frames = [_Frame(index + 5, index / 25, image) for index, image in enumerate(images)]
    analysis = analyse_clip(frames, analyser=FaceAnalyser())
    assert analysis.frame_count == 15
    assert [person.frame_count for person in analysis.people] == [12]
    assert [len(analysis.faces(index)) for index in range(4, 21)] == [0] + [1] * 12 + [0] * 4
    assert {face.person_id for index in range(5, 17) for face in analysis.faces(index)} == {0}
    path = tmp_path / "kept"
    analysis.save(path)
    again = ClipAnalysis.load(path)
    np.testing.assert_array_equal(again.faces(7)[0].points478, analysis.faces(7)[0].points478)
    assert again.people[0].best_frame_index == analysis.people[0].best_frame_index


def test_what_is_no_analysis_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="analyse the clip again"):
        ClipAnalysis.load(path)
