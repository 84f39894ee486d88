"""Sequences of pictures: every frame as it is, when it is shown, and what is heard meanwhile."""

import csv
import io
import wave
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.media import check_animation, frame_times, probe, read_audio, read_frames, replace_sound, trim, write_video
from tests.media.clips import Clip, named
from tests.media.test_encoders import clear_clip, rewrite


def pictures(path: Path) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {item.compress_type for item in archive.infolist()} == {zipfile.ZIP_STORED}
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        assert names == [f"{number:06d}.png" for number in range(len(names))]
        return [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names]


def times(path: Path) -> list[float]:
    rows = list(csv.DictReader(io.StringIO(zipfile.ZipFile(path).read("times.csv").decode())))
    assert [int(row["index"]) for row in rows] == list(range(len(rows)))
    return [float(row["seconds"]) for row in rows]


def sound(path: Path) -> tuple[np.ndarray, int]:
    with zipfile.ZipFile(path) as archive, wave.open(io.BytesIO(archive.read("sound.wav"))) as samples:
        heard = np.frombuffer(samples.readframes(samples.getnframes()), "<i2")
        return heard.reshape(-1, samples.getnchannels()).mean(1) / 32768, samples.getframerate()


def expected_sound(path: Path, rate: int) -> np.ndarray:
    """One of the two equal channels of a clip; mixed in floating point they are louder by 3 dB."""
    return read_audio(path, rate) / np.sqrt(2)


def test_a_sequence_holds_every_frame_as_a_lossless_film_does(tmp_path: Path) -> None:
    path = named("variable_rate").write(tmp_path)
    rewrite(path, tmp_path / "out.mkv", crf=0)
    notices = rewrite(path, tmp_path / "out.zip")
    assert not notices
    made = pictures(tmp_path / "out.zip")
    for picture, frame in zip(made, read_frames(tmp_path / "out.mkv"), strict=True):
        assert np.array_equal(picture, frame.image_rgb)
    ticks, base = frame_times(path)
    assert times(tmp_path / "out.zip") == pytest.approx([float((tick - ticks[0]) * base) for tick in ticks], abs=1e-6)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.comment == b"a comment of the file"
        assert Image.open(io.BytesIO(archive.read("000000.png"))).text["comment"] == "a comment of the file"
    first = (tmp_path / "out.zip").read_bytes()
    rewrite(path, tmp_path / "out.zip")
    assert (tmp_path / "out.zip").read_bytes() == first


def test_its_sound_is_that_of_the_film_and_as_long_as_the_pictures(tmp_path: Path) -> None:
    path = Clip(name="clip", sound=("aac", "aac"), sound_start_seconds=0.2).write(tmp_path)
    notices = rewrite(path, tmp_path / "out.zip")
    assert notices == ("Only the first of 2 sound tracks was kept: sound.wav holds one.",)
    heard, rate = sound(tmp_path / "out.zip")
    assert (rate, len(heard)) == (48000, round(12 / 25 * 48000))
    expected = expected_sound(path, rate)[: len(heard)]
    assert np.abs(expected).max() > 0.1
    assert np.abs(heard[: round(0.17 * rate)]).max() == 0  # AAC spreads it a little
    assert heard[: len(expected)] == pytest.approx(expected, abs=1e-3)


def test_a_piece_begins_at_zero_with_what_is_heard_there(tmp_path: Path) -> None:
    path = Clip(name="clip", pts=range(0, 50 * 512, 512)).write(tmp_path)
    trim(path, tmp_path / "out.zip", start_seconds=0.4, end_seconds=0.8)
    assert times(tmp_path / "out.zip") == pytest.approx([number / 25 for number in range(10)], abs=1e-6)
    heard, rate = sound(tmp_path / "out.zip")
    expected = expected_sound(path, rate)[round(0.4 * rate) :][: len(heard)]
    assert len(heard) == round(0.4 * rate)
    middle = slice(2048, len(expected))  # a piece begins with the first whole packet
    assert heard[middle] == pytest.approx(expected[middle], abs=2e-3)


@pytest.mark.parametrize("transparency", [True, False])
def test_transparency_is_kept_where_it_is_asked_for(transparency: bool, tmp_path: Path) -> None:
    rewrite(clear_clip(tmp_path), tmp_path / "out.zip", transparency=transparency)
    picture = pictures(tmp_path / "out.zip")[3]
    assert picture.shape == (64, 96, 4 if transparency else 3)
    if transparency:
        assert (picture[:, :40, 3].max(), picture[:, 56:, 3].min()) == (0, 255)
    else:
        assert picture[:, :40].min() > 240
    assert "sound.wav" not in zipfile.ZipFile(tmp_path / "out.zip").namelist()


def test_pictures_are_in_display_pixels(tmp_path: Path) -> None:
    path = named("plain").write(tmp_path)
    like = replace(probe(path), pixel_aspect=Fraction(3, 2))
    frames = (frame.replace(pixel_aspect=like.pixel_aspect) for frame in read_frames(path))
    write_video(tmp_path / "out.zip", frames, like)
    assert {picture.shape[:2] for picture in pictures(tmp_path / "out.zip")} == {(48, 96)}


def test_what_a_sequence_cannot_be_is_refused(tmp_path: Path) -> None:
    check_animation("out.zip", 600)
    with pytest.raises(InputError, match="at most 600 s"):
        check_animation("out.zip", 601)
    path = Clip(name="clip").write(tmp_path)
    with pytest.raises(InputError, match="choose .mkv instead"):
        replace_sound(path, path, tmp_path / "sound.zip")
    with pytest.raises(InputError, match="at least one frame"):
        write_video(tmp_path / "none.zip", [], probe(path), encode=EncodeOptions())
    assert not list(tmp_path.glob("*.zip"))
