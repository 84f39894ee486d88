"""A talk from what the widgets hold to the command that does it."""

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from facegen import media
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.talk.engines import LIPSYNC
from facegen.talk.jobs import TALK
from facegen.ui.endpoints import talk as talk_endpoints
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.talk import requests as talks
from tests.factories import moving_portrait, write_clip, write_portrait
from tests.talk.sounds import babble, write_wave


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services(Profile(shared=True))


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return str(write_wave(tmp_path / "said.wav", babble(1)))


@pytest.fixture
def portrait(tmp_path: Path) -> str:
    return str(write_portrait(tmp_path / "face.png"))


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "clip.mp4", moving_portrait(20)))


def trained(kind: str, visitor: Visitor, file: str) -> Run:
    run = Run.create(kind, {}, owner=visitor.mark)
    (run.path / file).parent.mkdir(parents=True)
    (run.path / file).touch()
    return run


def test_the_picture_that_will_speak_is_shown(clip: str, portrait: str) -> None:
    words, picture = talks.load_poster(clip, " 0.4 ")
    assert "0.4 s" in words
    assert np.array_equal(picture, media.read_frame_at(clip, seconds=0.4).image_rgb)
    words, first = talks.load_poster(clip, "")
    assert "video" in words
    assert np.array_equal(first, media.read_frame_at(clip, index=0).image_rgb)
    assert not np.array_equal(first, picture)
    assert talks.load_poster(portrait, "0.4")[1].shape == (301, 301, 3)
    with pytest.raises(InputError, match="frame"):
        talks.load_poster(clip, "soon")


def test_own_trainings_are_offered_and_others_are_refused(
    services: Services, portrait: str, sound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, other = Visitor("me"), Visitor("other")
    monkeypatch.setattr(services, "start_next", lambda: None)
    mine = trained("train", me, "exports/final/motion.safetensors")
    theirs = trained("train", other, "exports/final/motion.safetensors")
    field = trained("talk-train", other, "field/field.json")
    assert [name for _, name in talks.list_motion_networks(services, me)] == ["", mine.name]
    assert [name for _, name in talks.list_engines(services, me)] == ["portrait", "live-portrait", *LIPSYNC]
    assert [name for _, name in talks.list_engines(services, other)] == [
        "portrait",
        "live-portrait",
        *LIPSYNC,
        f"dfrf:{field.name}",
    ]
    for settings in ({"motion": theirs.name}, {"motion": str(theirs.path)}, {"engine": f"dfrf:{field.name}"}):
        asked = talks.make_request(portrait, sound, settings)
        with pytest.raises(InputError, match="Expected the name of"):
            talks.resolve_runs(services, me, asked)
        with pytest.raises(InputError, match="Expected the name of"):
            talks.draw_preview(services, me, asked, 0.5)


def test_the_request_has_all_that_was_chosen(
    services: Services, portrait: str, sound: str, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = Visitor("me")
    monkeypatch.setattr(services, "start_next", lambda: None)
    # only uploads of the visitor's own are admitted
    services.folder.mkdir(exist_ok=True)
    portrait, sound, clip = (str(shutil.copy(path, services.folder)) for path in (portrait, sound, clip))
    mine = trained("train", me, "exports/final/motion.safetensors")
    settings = {"motion": mine.name, "still": True, "blink": False, "seed": 3.0, "face": "1", "mouth": 0.8}
    asked = talks.resolve_runs(services, me, talks.make_request(portrait, sound, settings, clip))
    request = TALK.read_request(services.start(me, TALK, asked))
    options = request.options
    assert options.motion == str(mine.path)
    assert (options.seed, options.face, options.mouth, options.still, options.blink) == (3, 1, 0.8, True, False)
    assert Path(request.driving).read_bytes() == Path(clip).read_bytes()


def test_the_endpoint_waits_once_there_is_consent(
    services: Services, portrait: str, sound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "start_next", lambda: None)
    services.folder.mkdir(exist_ok=True)
    files = [str(shutil.copy(path, services.folder)) for path in (portrait, sound)]
    wait = talk_endpoints.endpoints(services)[0].function
    assert wait.__name__ == "talk"
    with pytest.raises(InputError, match="consent"):
        asyncio.run(anext(wait(Visitor("me"), *files, None, {}, False)))
    status, result = asyncio.run(anext(wait(Visitor("me"), *files, None, {}, True)))
    assert (status["kind"], status["state"], result) == ("talk", "queued", None)
