"""Files appear whole or not at all, and why not is one sentence."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from facegen.encoding import EncodeOptions
from facegen.errors import FacegenError, InputError, ResourceError
from facegen.media import (
    atomic_output,
    check_output,
    probe,
    read_frames,
    replace_sound,
    trim,
    write_picture,
    write_video,
)
from tests.factories import noise_rgb
from tests.media.clips import Clip

NOISY = Clip(name="noisy", width=320, height=240)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 8 kB, in this process and those that it starts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def video(source: Path, output: Path) -> None:
    write_video(output, read_frames(source), probe(source), sound_from=source, encode=EncodeOptions(crf=1))


def edited(source: Path, output: Path) -> None:
    trim(source, output, start_seconds=0, end_seconds=0.4)


def new_sound(source: Path, output: Path) -> None:
    replace_sound(source, source, output)


def picture(source: Path, output: Path) -> None:
    write_picture(output.with_suffix(".png"), noise_rgb(200, 200))


WRITERS = (video, edited, new_sound, picture)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_full_disk_leaves_nothing(
    write: Callable[[Path, Path], None], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = NOISY.write(tmp_path)
    folder = tmp_path / "full"
    folder.mkdir()
    request.getfixturevalue("full_disk")
    with pytest.raises(ResourceError) as caught:
        write(source, folder / "out.mp4")
    assert "out." in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@pytest.mark.parametrize("where", ["missing/out.mp4", "folder.mp4", "a" * 300 + ".mp4", "/proc/out.mp4", "zero\0.mp4"])
def test_places_that_cannot_be_written(write: Callable[[Path, Path], None], where: str, tmp_path: Path) -> None:
    source = NOISY.write(tmp_path)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FacegenError, match=r"Expected|could not be written") as caught:
        write(source, tmp_path / where)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("name", ["out.avi", "out.ogv", "out", "out.mp4.txt"])
def test_an_ending_that_is_not_known(name: str, tmp_path: Path) -> None:
    source = NOISY.write(tmp_path)
    with pytest.raises(InputError, match=r"\.mp4"):
        video(source, tmp_path / name)


def test_a_failure_keeps_what_was_there_before(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("before")
    with pytest.raises(KeyError), atomic_output(target) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["kept.txt"]


def test_success_replaces_it(tmp_path: Path) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("before")
    with atomic_output(target) as temporary:
        temporary.write_text("after")
        assert target.read_text() == "before"
    assert target.read_text() == "after"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_closed_folder(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(ResourceError, match="permission"):
        check_output(folder / "out.mp4")


def test_an_output_may_be_its_own_source(tmp_path: Path) -> None:
    source = NOISY.write(tmp_path)
    before = [frame.pts for frame in read_frames(source)]
    video(source, source)
    assert [frame.pts for frame in read_frames(source)] == before


def test_hostile_names_of_an_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = NOISY.write(tmp_path)
    for name in ("-y.mp4", "http:x.mp4", "line\nbreak.mp4", "%03d.mp4", "a|b.mkv", "顔" * 83 + "aa.mp4"):
        for write in (video, edited, new_sound):
            write(source, Path(name))
            assert np.ptp(next(read_frames(name)).image_rgb) > 50
