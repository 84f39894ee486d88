"""The whole way: mark, write, sign, and what is found after somebody changed or re-encoded the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.media import probe, read_frames, read_picture, write_picture, write_video
from facegen.provenance import NOTICE, Claims, get_installation_key, mark_picture, sign, verify
from tests.provenance.conftest import encode, reencode
from tests.talk.sounds import babble, write_wave

SWAP = Claims(job="swap", engine="mesh")


@pytest.fixture
def marked(marked_clip: Path) -> Path:
    sign(marked_clip, SWAP)
    return marked_clip


def test_a_fresh_output_is_proven(marked: Path) -> None:
    report = verify(marked)
    assert (report.kind, report.verdict, report.is_proven) == ("video", "made here", True)
    assert report.search.best is not None
    assert report.search.best.is_found
    assert report.is_mark_ours
    assert report.search.positions == report.search.marked_positions == 1
    text = "\n".join(report.lines())
    assert "proven" in text
    assert "a face was swapped" in text
    assert "engine mesh" in text


def test_a_changed_output_is_known_by_its_mark(marked: Path) -> None:
    content = bytearray(marked.read_bytes())
    content[-100] ^= 1
    marked.write_bytes(content)
    report = verify(marked)
    assert report.credentials is not None
    assert not report.credentials.is_intact
    assert report.verdict == "marked here"


@pytest.mark.parametrize(("crf", "scale"), [(18, 1.0), (23, 1.0), (28, 1.0), (23, 0.75), (23, 0.6)])
def test_a_reencoded_output_loses_its_signature_and_keeps_its_mark(marked: Path, crf: int, scale: float) -> None:
    report = verify(reencode(marked, marked.with_name("again.mp4"), crf=crf, scale=scale))
    assert report.credentials is None
    assert report.verdict == "marked here"
    assert not report.is_proven
    assert report.search.best is not None
    assert report.search.best.payload == get_installation_key().installation_id


def test_a_marked_scene_among_others_is_found(tmp_path: Path, frames: list[np.ndarray]) -> None:
    marked, unmarked = [mark_picture(image) for image in frames], [image[::-1].copy() for image in frames]
    report = verify(encode(tmp_path / "film.mp4", [*unmarked * 3, *marked, *unmarked * 2]))
    assert report.verdict == "marked here"
    assert 1 <= report.search.marked_positions < report.search.positions


def test_an_unmarked_video_is_not_taken_for_one(clip: Callable[[str], Path]) -> None:
    report = verify(clip("clip.mp4"))
    assert (report.verdict, report.is_proven, report.credentials) == ("nothing found", False, None)
    assert report.search.best is not None
    assert not report.search.best.is_found


def test_a_changed_output_without_a_mark_is_not_proven(clip: Callable[[str], Path]) -> None:
    path = clip("clip.mp4")
    sign(path, SWAP)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert (verify(path).verdict, verify(path).is_proven) == ("changed", False)


def test_another_installations_output_is_told_apart(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_HOME", str(marked.parent / "elsewhere"))
    report = verify(marked)
    assert (report.verdict, report.is_proven) == ("marked", False)
    assert not report.is_mark_ours
    assert "it names the installation" in "\n".join(report.lines())


def test_a_sequence_of_pictures_is_proven_by_what_lies_beside_it(marked_clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "frames.zip"
    write_video(path, read_frames(marked_clip), probe(marked_clip), metadata={"comment": NOTICE})
    assert (verify(path).verdict, verify(path).has_notice) == ("marked here", True)
    sign(path, SWAP)
    assert (verify(path).kind, verify(path).verdict) == ("video", "made here")
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="Expected a sequence"):
        verify(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_notice_is_found_and_proves_nothing(tmp_path: Path, frames: list[np.ndarray], suffix: str) -> None:
    path = tmp_path / f"picture{suffix}"
    write_picture(path, frames[0], metadata={"comment": NOTICE})
    report = verify(path)
    assert (report.kind, report.verdict, report.is_proven) == ("picture", "only says so", False)


def test_a_signed_and_marked_picture(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "picture.jpg"
    write_picture(path, mark_picture(frames[0]), metadata={"comment": NOTICE})
    sign(path, Claims(job="generate", engine="nvae"))
    report = verify(path)
    assert (report.verdict, report.has_notice, report.is_mark_ours) == ("made here", True, True)
    write_picture(path, read_picture(path))
    assert verify(path).verdict == "marked here"


def test_a_tiny_picture_cannot_carry_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "tiny.png"
    write_picture(path, np.zeros((1, 1, 3), np.uint8))
    report = verify(path)
    assert (report.search.best, report.verdict) == (None, "nothing found")
    assert "too small" in "\n".join(report.lines())


@pytest.mark.parametrize("content", [b"", b"hello, world\n" * 50])
def test_what_is_no_picture_or_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match="Expected"):
        verify(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found nothing"):
        verify(tmp_path / "missing.mp4")


def test_a_sound_is_signed_and_carries_no_mark(tmp_path: Path) -> None:
    path = write_wave(tmp_path / "said.wav", babble(0.5))
    assert verify(path).verdict == "nothing found"
    sign(path, Claims(job="speech", engine="espeak-ng"))
    report = verify(path)
    assert (report.kind, report.verdict, report.is_proven) == ("sound", "made here", True)
    assert "a text was read aloud" in "\n".join(report.lines())
    content = bytearray(path.read_bytes())
    content[200] ^= 1  # a sample
    path.write_bytes(content)
    assert verify(path).verdict == "changed"
    path.write_text("no sound")
    with pytest.raises(InputError):
        verify(path)
