"""`facegen swap`: what it prints, what it refuses, and that nothing half-written stays."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from facegen import media
from facegen.__main__ import main
from tests.factories import moving_portrait, noise_rgb, portrait_rgb, write_clip


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def facegen(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command line in this process, so that imports are paid once."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["facegen", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, out, err)

    yield run
    signal.signal(signal.SIGTERM, handler)


def sentence(ended: Ended) -> str:
    """The one line that the command printed, beside log lines of C++ libraries (absl), which some versions write at times."""
    assert ended.code == 2, ended
    assert ended.out == ""
    (line,) = (line for line in ended.err.strip().splitlines() if not re.match(r"[IW]\d{4} ", line))
    assert line.endswith(".")
    return line


def empty(path: Path) -> Path:
    path.touch()
    return path


def text(path: Path) -> Path:
    path.write_text("This is no film.\n" * 50)
    return path


def truncated(path: Path) -> Path:
    write_clip(path, moving_portrait(20))
    path.write_bytes(path.read_bytes()[:-4000])
    return path


def sound_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def without_a_face(path: Path) -> Path:
    return write_clip(path, [noise_rgb(160, 160, seed) for seed in range(6)])


def without_frames(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return path


def picture(path: Path, width: int, height: int) -> Path:
    Image.new("L", (width, height), 128).save(path, format="PNG", compress_level=1)
    return path


def one_pixel(path: Path) -> Path:
    return picture(path, 1, 1)


def huge(path: Path) -> Path:
    return picture(path, 12000, 9000)


def faceless_picture(path: Path) -> Path:
    media.write_picture(path, noise_rgb(256, 256))
    return path


def five_faces(path: Path) -> Path:
    head = portrait_rgb()[0:260, 100:360]
    media.write_picture(path, np.hstack([head] * 5))
    return path


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (empty, "in.mp4", "empty file"),
        (text, "in.mp4", "Expected a video"),
        (truncated, "in.mp4", "cut short"),
        (sound_only, "in.mp4", "only sound"),
        (without_a_face, "in.mp4", "Expected a face in the target"),
        (without_frames, "in.mp4", "video"),
        (one_pixel, "in.png", "Expected a face in the target"),
        (huge, "in.png", "12,000 x 9,000"),
        (faceless_picture, "in.png", "Expected a face in the target"),
    ],
)
def test_a_bad_target_is_one_sentence(
    facegen: Callable[..., Ended], source: str, tmp_path: Path, make: Callable[[Path], Path], name: str, words: str
) -> None:
    target = make(tmp_path / name)
    output = tmp_path / f"out{target.suffix}"
    ended = facegen("swap", "--source", source, "--target", target, "--output", output, "--consent")
    assert words in sentence(ended)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "facegen-home") == [name]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty, "empty file"),
        (text, "Expected a"),
        (one_pixel, "Expected a face in the source"),
        (huge, "12,000 x 9,000"),
        (faceless_picture, "Expected a face in the source"),
        (five_faces, "found 5; choose one with --source-face N (0 to 4, from left to right)"),
        (Path.mkdir, "Expected pictures that can be read in the source folder"),
        (lambda path: path, "found nothing at"),
    ],
    ids=["empty", "text", "one pixel", "huge", "no face", "five faces", "empty folder", "missing"],
)
def test_a_bad_source_is_one_sentence(
    facegen: Callable[..., Ended], clip: str, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    make(tmp_path / "face.png")
    output = tmp_path / "out.mp4"
    ended = facegen("swap", "--source", tmp_path / "face.png", "--target", clip, "--output", output, "--consent")
    assert words in sentence(ended)
    assert not list(tmp_path.glob("out*"))


def test_one_of_five_faces_can_be_chosen(facegen: Callable[..., Ended], clip: str, tmp_path: Path) -> None:
    source = five_faces(tmp_path / "face.png")
    arguments = ["--source", source, "--source-face", "2", "--target", clip, "--output", tmp_path / "sheet.png"]
    assert facegen("swap", *arguments, "--preview", "1").code == 0
    arguments[3] = "7"
    assert "choose --source-face 0 to 4" in sentence(facegen("swap", *arguments, "--preview", "1", "--consent"))


@pytest.mark.parametrize("place", ["missing/out.mp4", "file/out.mp4", ".", "/proc/out.mp4"])
def test_a_place_that_cannot_be_written_is_one_sentence(
    facegen: Callable[..., Ended], source: str, clip: str, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    ended = facegen("swap", "--source", source, "--target", clip, "--output", tmp_path / place, "--consent")
    assert sentence(ended).startswith("Expected")


def limited() -> None:
    """No file may grow beyond 40 kB, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))


def test_a_full_disk_is_one_sentence(source: str, clip: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = ["--source", source, "--target", clip, "--output", str(output), "--consent", "--crf", "0"]
    ended = subprocess.run(
        [sys.executable, "-m", "facegen", "swap", *arguments], capture_output=True, text=True, preexec_fn=limited
    )
    assert "disk is full" in sentence(Ended(ended.returncode, ended.stdout, ended.stderr))
    assert not list(tmp_path.glob("*.mp4")) + list(tmp_path.glob(".facegen*"))


def test_a_full_tmpfs_is_one_sentence(source: str, clip: str, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted here; test_a_full_disk_is_one_sentence does the same with a limit")
    try:
        output = small / "out.mp4"
        arguments = ["--source", source, "--target", clip, "--output", str(output), "--consent", "--crf", "0"]
        ended = subprocess.run([sys.executable, "-m", "facegen", "swap", *arguments], capture_output=True, text=True)
        assert "disk is full" in sentence(Ended(ended.returncode, ended.stdout, ended.stderr))
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    "name",
    [
        "--output.mp4",
        "a%03d.mp4",
        "$(touch pwned);'\".mp4",
        "pipe:1|x.mp4",
        "zeile\nzwei.mp4",
        "новый 🎭.mp4",
        "x" * 240,
    ],
)
def test_hostile_names_are_only_names(
    facegen: Callable[..., Ended], source: str, clip: str, tmp_path: Path, name: str
) -> None:
    target = tmp_path / name
    shutil.copy(clip, target)
    output = tmp_path / "results" / (name if name.endswith(".mp4") else f"{name}.mp4")
    output.parent.mkdir()
    arguments = [f"--source={source}", f"--target={target}", f"--output={output}", "--end-seconds", "0.12", "--consent"]
    ended = facegen("swap", *arguments)
    assert ended.code == 0, ended.err
    assert [path.name for path in output.parent.iterdir()] == [output.name]
    assert len(list(media.read_frames(output))) == 3
    assert not Path("pwned").exists()


def test_the_summary_is_one_json_object(facegen: Callable[..., Ended], source: str, clip: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = ["--source", source, "--target", clip, "--output", output, "--end-seconds", "0.4"]
    ended = facegen("swap", *arguments, "--json", "--consent")
    assert (ended.code, ended.err) == (0, "")
    summary = json.loads(ended.out)
    assert summary["output"] == str(output)
    assert (summary["frames"], summary["faces"], summary["people"]) == (10, 10, 1)
    assert {"analyse", "composite", "paste", "encode"} <= set(summary["stages"])
    assert set(summary["rates"]) == {"analyse", "render"}


def test_people_are_given_sources(facegen: Callable[..., Ended], source: str, clip: str, tmp_path: Path) -> None:
    arguments = ["--target", clip, "--output", tmp_path / "sheet.png", "--preview", "1", "--consent"]
    assert facegen("swap", *arguments, "--person", f"0={source}", "--person", f"0={source}").code == 0
    assert facegen("swap", *arguments, "--source", source, "--person", "0").code == 0
    assert "found 'zero='" in sentence(facegen("swap", *arguments, "--person", "zero="))
    assert "Expected a source face" in sentence(facegen("swap", *arguments))


def test_ctrl_c_leaves_nothing(source: str, clip: str, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = ["--source", source, "--target", clip, "--output", str(output), "--consent"]
    process = subprocess.Popen([sys.executable, "-m", "facegen", "swap", *arguments], stderr=subprocess.PIPE, text=True)
    runs = Path(os.environ["FACEGEN_HOME"]) / "runs"
    deadline = time.monotonic() + 60
    while not list(runs.glob("swap-*/journal.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*.mp4")) + list(tmp_path.glob(".facegen*"))
