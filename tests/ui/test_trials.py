"""Uploads are decoded once before a run takes them."""

from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.media import trial
from facegen.media.trial import try_media
from facegen.ui.trials import Trials
from tests.factories import moving_portrait, write_clip
from tests.talk.sounds import babble, write_wave


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", moving_portrait(8))


def test_each_file_is_tried_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def count(path: str, kind: str) -> object:
        tried.append(path)
        return try_media(path, kind)

    monkeypatch.setattr(trial, "try_media", count)
    held = Trials(is_held=True)
    for _ in range(2):
        held.check(str(clip))
    Trials(is_held=False).check(str(clip))
    held.check(str(clip.with_name("missing.mp4")))
    held.check(str(clip.with_name("words.txt")))
    assert tried == [str(clip)]
    damaged = clip.with_name("damaged.mp4")
    damaged.write_bytes(clip.read_bytes()[:200])
    with pytest.raises(InputError):
        held.check(str(damaged))


def test_a_trial_says_what_the_file_is(clip: Path, tmp_path: Path) -> None:
    assert try_media(str(clip), "picture or video") == {"width": 256, "height": 256, "seconds": pytest.approx(0.32)}
    sound = write_wave(tmp_path / "said.wav", babble(1))
    assert try_media(str(sound), "sound")["seconds"] == pytest.approx(1, abs=0.05)
