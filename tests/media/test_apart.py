"""Files of strangers are decoded in processes with limits, and come back as they would have been read here."""

import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegen import media
from facegen.errors import InputError
from facegen.media import apart
from facegen.media.apart import decode_apart, each_apart, is_foreign, pack, unpack
from tests.factories import moving_portrait, portrait_rgb, write_clip

pytestmark = pytest.mark.usefixtures("kind_of_process")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", moving_portrait(12), has_sound=True)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[None]:
    """All files of the test are a stranger's."""
    decode_apart(lambda path: path.is_relative_to(tmp_path.resolve()))
    yield
    decode_apart(None)


@apart.apart
def misbehave(path: Path, how: str) -> int:
    """What a decoder may do with a hostile file; the process that it did it in otherwise."""
    if how == "crash":
        os.abort()
    if how == "hang":
        time.sleep(60)
    if how == "swell":
        return len(bytearray(3 << 30))
    return os.getpid()


@each_apart
def count(path: Path, most: int) -> Iterator[int]:
    """Numbers, the first one of the process."""
    yield os.getpid()
    yield from range(most)


def _frame(frame: media.Frame) -> Any:
    plain = frame.to_plain()
    return [plane.tobytes() for plane in plain.pop("planes")], plain


def _everything(clip: Path) -> Any:
    """All that is read of a clip."""
    return (
        media.is_picture(clip),
        media.is_video(clip),
        media.probe(clip),
        media.frame_times(clip),
        media.key_frames(clip),
        _frame(media.read_frame_at(clip, index=7)),
        _frame(media.read_frame_at(clip, seconds=0.2)),
        [_frame(frame) for frame in media.read_frames(clip, start_index=3, every=2)],
        media.read_audio(clip).tobytes(),
        media.stated_seconds(clip),
    )


def test_a_clip_is_the_same_wherever_it_is_decoded(clip: Path, tmp_path: Path) -> None:
    here = _everything(clip)
    decode_apart(lambda path: path.is_relative_to(tmp_path.resolve()))
    try:
        assert is_foreign(clip)
        assert _everything(clip) == here
    finally:
        decode_apart(None)
    assert not is_foreign(clip)


def test_a_picture_keeps_its_transparency_and_its_exif(tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    exif = Image.Exif()
    exif[0x0110] = "A camera"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # a rational
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.5)
    alpha = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    Image.fromarray(np.dstack([portrait_rgb()[:256, :256], alpha])).save(file, exif=exif.tobytes())
    here = media.read_still(file)
    decode_apart(lambda path: True)
    try:
        there = media.read_still(file)
    finally:
        decode_apart(None)
    assert np.array_equal(there.image_rgb, here.image_rgb)
    assert here.alpha is not None
    assert there.alpha is not None
    assert np.array_equal(there.alpha, here.alpha)
    assert there.exif == here.exif
    assert len(there.exif) == 3
    media.write_picture(tmp_path / "again.png", there.image_rgb, like=there, keep_position=True)


@pytest.mark.parametrize(("how", "words"), [("crash", "broke off"), ("hang", "still busy"), ("swell", "out of memory")])
def test_a_hostile_file_costs_nobody_else(
    how: str, words: str, clip: Path, guarded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = clip.parent / "other"
    other.mkdir()
    neighbour = misbehave(other / "file", "")
    assert neighbour != os.getpid()
    mine = misbehave(clip, "")
    assert mine not in (neighbour, os.getpid())
    if how == "hang":
        decode_apart(lambda path: True)
        monkeypatch.setattr(apart, "LIMITS", replace(apart.LIMITS, wall_seconds=4.0))
        neighbour = misbehave(other / "file", "")
    with pytest.raises(InputError, match=words):
        misbehave(clip, how)
    assert misbehave(other / "file", "") == neighbour
    assert misbehave(clip, "") != mine  # a new one
    assert media.probe(clip).width == 256


def test_what_is_wrong_is_said_as_here(tmp_path: Path, guarded: None) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    for read in (media.probe, media.read_picture, media.stated_seconds, lambda path: [*media.read_frames(path)]):
        with pytest.raises(InputError, match="bad.mp4"):
            read(bad)
    assert not media.is_picture(bad)


def test_who_stops_reading_ends_the_process(clip: Path, guarded: None) -> None:
    numbers = count(clip, 10**9)
    process = next(numbers)
    assert next(numbers) == 0
    numbers.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_processes_are_few_and_end_when_idle(tmp_path: Path, guarded: None) -> None:
    folders = [tmp_path / str(number) for number in range(6)]
    found = [misbehave(folder / "file", "") for folder in folders]
    assert len(set(found)) == 6
    assert misbehave(folders[5] / "file", "") == found[5]
    assert misbehave(folders[0] / "file", "") != found[0]
    assert apart._decoders is not None
    apart._decoders.close_idle(0.0)
    assert misbehave(folders[5] / "file", "") != found[5]


@pytest.mark.parametrize(
    "words",
    [
        b'{"class": ["subprocess:Popen", {"map": [["args", "true"]]}]}',
        b'{"class": ["facegen.media.source:open_input", {"map": [["path", "/etc/passwd"]]}]}',
        b'{"array": ["O", [1]]}',
        b'{"anything": []}',
    ],
)
def test_nothing_but_values_is_built(words: bytes) -> None:
    with pytest.raises((ValueError, AttributeError)):
        unpack(len(words).to_bytes(8, "little") + words + bytes(64))


def test_values_go_there_and_back() -> None:
    value = (
        1,
        None,
        "a",
        [1.5, True],
        {"b": (2,)},
        frozenset({"c"}),
        b"\0\1",
        np.arange(6, dtype=np.int16).reshape(2, 3),
    )
    again = unpack(pack(value))
    assert again[:-1] == value[:-1]
    assert np.array_equal(again[-1], value[-1])
    with pytest.raises(TypeError, match="handed over"):
        pack(io.BytesIO())
