"""`facegen video` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from facegen.media import probe
from tests.media.clips import Clip, named


def facegen(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs the command and checks its exit code."""
    command = [sys.executable, "-m", "facegen", "video", *(str(a) for a in arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


def test_info_in_words_and_as_json(tmp_path: Path) -> None:
    clip = named("rotated_90").write(tmp_path)
    assert "48 x 64" in facegen("info", clip).stdout
    described = json.loads(facegen("info", clip, "--json").stdout)
    assert described["frames"] == 12
    assert described["rotation"] == "90 degrees"
    assert "constant" in described["frame rate"]
    assert "variable" in facegen("info", named("variable_rate").write(tmp_path)).stdout


def test_stills_and_back(tmp_path: Path) -> None:
    clip = named("plain").write(tmp_path)
    done = facegen("frames", clip, "-o", tmp_path / "stills", "--rate", 10, "--size", 32, "--kind", "jpg", "--json")
    assert json.loads(done.stdout)["stills"] == 5
    facegen("assemble", tmp_path / "stills", "-o", tmp_path / "out.mp4", "--sound", clip)
    assert probe(tmp_path / "out.mp4").frame_count == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ("cut", "a.mp4", "--start", "0.1", "--end", "0.4"),
        ("cut", "a.mp4"),
        ("denoise", "a.mp4", "--strength", "3"),
        ("sidebyside", "a.mp4", "b.mp4"),
        ("sidebyside", "a.mp4", "b.mp4", "--stacked"),
        ("join", "a.mp4", "b.mp4"),
        ("replace-sound", "a.mp4", "b.mp4"),
    ],
    ids=" ".join,
)
def test_each_command_writes_a_clip(arguments: tuple[str, ...], tmp_path: Path) -> None:
    for name in ("a", "b"):
        Clip(name=name).write(tmp_path)
    typed = [tmp_path / word if word.endswith(".mp4") else word for word in arguments]
    done = facegen(*typed, "--output", tmp_path / "out.mp4", "--json")
    assert json.loads(done.stdout)["output"] == str(tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").duration_seconds > 0.2


def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film")
    done = facegen("cut", tmp_path / "text.mp4", "-o", tmp_path / "out.mp4", code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("Expected a video")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.mp4").exists()
