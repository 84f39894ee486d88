"""Uploads are decoded in a process with limits before the studio decodes them."""

from pathlib import Path

import pytest

from facegen.errors import InputError
from facegen.media.trial import try_media
from facegen.ui import trials
from facegen.ui.trials import Trials
from tests.factories import moving_portrait, write_clip
from tests.talk.sounds import babble, write_wave


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", moving_portrait(8))


def test_each_frame_that_is_looked_at_is_tried_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    run = trials.run_guarded
    monkeypatch.setattr(
        trials, "run_guarded", lambda *arguments, **more: (tried.append(arguments[3]), run(*arguments, **more))
    )
    held = Trials(is_held=True)
    for frame in (0, 5, 0, 5):
        held.check(clip, frame)
    assert tried == ["0", "5"]
    Trials(is_held=False).check(clip, 7)
    held.check(clip.with_name("missing.mp4"))
    held.check(None)
    assert tried == ["0", "5"]
    damaged = clip.with_name("damaged.mp4")
    damaged.write_bytes(clip.read_bytes()[:200])
    with pytest.raises(InputError):
        held.check(damaged)


@pytest.mark.parametrize("frame", ["0", "5", "0.200000", "all", "99"])
def test_a_trial_decodes_what_is_looked_at(clip: Path, frame: str) -> None:
    assert try_media(str(clip), "picture or video", frame)["width"] > 0


def test_a_sound_is_decoded_to_its_end(tmp_path: Path) -> None:
    assert try_media(str(write_wave(tmp_path / "said.wav", babble(1))), "sound")["seconds"] == pytest.approx(
        1, abs=0.05
    )
