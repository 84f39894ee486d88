"""`facegen talk`: what it prints, what it refuses, and text that is read aloud."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from facegen.__main__ import main
from facegen.errors import InputError
from facegen.talk.speech import load_speech
from facegen.talk.text_to_speech import can_synthesize, synthesize_speech
from tests.factories import portrait_rgb
from tests.talk.sounds import babble, write_wave

reads = pytest.mark.skipif(not can_synthesize(), reason="no espeak-ng here; apt-get install espeak-ng")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["facegen", "talk", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    path = tmp_path / "portrait.png"
    Image.fromarray(portrait_rgb()[:300, 70:370]).save(path)
    return path


def test_the_command_tells_what_it_did(
    portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = write_wave(tmp_path / "said.wav", babble(1))
    given = ("--portrait", portrait, "--audio", sound, "--output", tmp_path / "out.mp4", "--run", tmp_path / "run")
    assert _run(monkeypatch, *given, "--seconds", "0.4", "--consent", "--json") == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["frames"], answer["consent"]) == (10, True)
    assert (tmp_path / "out.mp4").exists()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"


@pytest.mark.parametrize("said", [(), ("--audio", "a.wav", "--text", "Hello")])
def test_one_thing_must_be_said(
    said: tuple[str, ...], portrait: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "--portrait", portrait, "--output", portrait.with_suffix(".mp4"), *said) == 2
    assert "--audio or as --text" in capfd.readouterr().err


@reads
def test_a_text_is_read_once() -> None:
    path = synthesize_speech("Good morning, everybody.")
    assert load_speech(path).voiced.any()
    assert synthesize_speech("Good morning, everybody.") == path


@reads
@pytest.mark.parametrize(("text", "voice"), [("", "en"), ("Hello", "no-such-voice"), ("Hello", "en; rm -rf /")])
def test_what_cannot_be_read_is_refused(text: str, voice: str) -> None:
    with pytest.raises(InputError):
        synthesize_speech(text, voice)
