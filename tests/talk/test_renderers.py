"""Which renderer a request gets, what it refuses, and that it stays loaded."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.talk import TalkOptions, TalkRequest
from facegen.talk.engines import FIELD, PORTRAIT, EngineName
from facegen.talk.renderers import DrivingSignals, RendererCache, choose_renderer
from facegen.talk.renderers.dubbing import DubbingRenderer
from facegen.talk.renderers.field import FieldRenderer
from facegen.talk.renderers.portrait import PortraitRenderer
from facegen.talk.speech import load_speech
from tests.factories import moving_portrait, write_clip, write_portrait
from tests.talk.sounds import babble, write_wave


@pytest.fixture(scope="module")
def renderers() -> RendererCache:
    return RendererCache(FaceAnalyser())


@pytest.fixture
def portrait(tmp_path: Path) -> TalkRequest:
    sound = write_wave(tmp_path / "said.wav", babble(1.2))
    return TalkRequest(portrait=str(write_portrait(tmp_path / "face.png")), audio=str(sound), output="")


@pytest.fixture
def video(portrait: TalkRequest, tmp_path: Path) -> TalkRequest:
    return replace(portrait, portrait=str(write_clip(tmp_path / "clip.mp4", moving_portrait(10))))


@pytest.mark.parametrize("text", ["portrait", "dfrf:anna", "dfrf:/runs/a:b"])
def test_an_engine_has_a_kind_and_perhaps_a_run(text: str) -> None:
    engine = EngineName.parse(text)
    assert str(engine) == text
    assert engine.kind == (FIELD if engine.run else PORTRAIT)
    assert engine.needs_portrait is not bool(engine.run)


@pytest.mark.parametrize("text", ["", "dfrf", "dfrf:", "portrait:anna", "mesh"])
def test_other_engines_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="portrait or dfrf:RUN"):
        TalkOptions(engine=text)


def test_a_request_says_what_draws_it(portrait: TalkRequest, video: TalkRequest) -> None:
    assert choose_renderer(portrait) is PortraitRenderer
    assert choose_renderer(video) is DubbingRenderer
    assert choose_renderer(replace(video, options=TalkOptions(frame=0.2))) is PortraitRenderer
    for path in (portrait.portrait, video.portrait, ""):
        assert (
            choose_renderer(replace(portrait, portrait=path, options=TalkOptions(engine="dfrf:anna"))) is FieldRenderer
        )


def test_a_driving_video_moves_pictures_only(renderers: RendererCache, video: TalkRequest) -> None:
    driven = replace(video, driving=video.portrait)
    with pytest.raises(InputError, match="driving video"):
        renderers.get(driven)
    with pytest.raises(InputError, match="driving video"):
        renderers.get(replace(driven, options=TalkOptions(engine="dfrf:anna")))


def test_a_speaker_stays_loaded_until_others_come(
    renderers: RendererCache, portrait: TalkRequest, video: TalkRequest
) -> None:
    first = renderers.get(portrait)
    assert renderers.get(replace(portrait, options=TalkOptions(seed=3, restore=0.5))) is first
    others = [renderers.get(request) for request in (video, replace(portrait, options=TalkOptions(longest_side=200)))]
    assert len({id(renderer) for renderer in (first, *others)}) == 3
    assert renderers.get(portrait) is not first


def test_frames_follow_from_their_number_alone(renderers: RendererCache, portrait: TalkRequest) -> None:
    signals = DrivingSignals(portrait, load_speech(portrait.audio), FaceAnalyser())
    clips = [renderers.get(portrait).prepare(signals) for _ in range(2)]
    assert [len(clip.info.times) for clip in clips] == [30, 30]
    drawn = [
        [clip.frame(index, None).image_rgb for index in order]
        for clip, order in zip(clips, ((4, 9), (9, 4)), strict=True)
    ]
    assert np.array_equal(drawn[0][0], drawn[1][1])
    assert np.array_equal(drawn[0][1], drawn[1][0])
    assert not np.array_equal(*drawn[0])
