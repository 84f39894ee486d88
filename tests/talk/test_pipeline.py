"""A talk from files to a file: sound, length, marks, resume, refusals."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import media, provenance
from facegen.errors import Cancelled, FacegenError, InputError
from facegen.faces import FaceAnalyser
from facegen.jobs import Run
from facegen.talk import TalkOptions, TalkPipeline, TalkRequest
from facegen.talk.clips import analyse_video
from facegen.talk.renderers.portrait import choose_face
from facegen.talk.rig import lip_gap
from tests.factories import moving_portrait, noise_rgb, portrait_rgb, write_clip, write_portrait
from tests.talk.sounds import babble, no_speech, write_wave


@pytest.fixture(scope="module")
def pipeline() -> TalkPipeline:
    return TalkPipeline(analyser=FaceAnalyser())


@pytest.fixture
def portrait(tmp_path: Path) -> str:
    return str(write_portrait(tmp_path / "portrait.png"))


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return str(write_wave(tmp_path / "said.wav", babble(1.2)))


@pytest.fixture
def asked(portrait: str, sound: str, tmp_path: Path) -> TalkRequest:
    options = TalkOptions(preset="ultrafast")
    return TalkRequest(portrait=portrait, audio=sound, output=str(tmp_path / "out.mp4"), options=options)


def test_a_portrait_talks(pipeline: TalkPipeline, asked: TalkRequest) -> None:
    fractions: list[float] = []
    result = pipeline(asked, on_progress=lambda fraction, _: fractions.append(fraction))
    info = media.probe(result.output)
    assert (result.frames, info.frame_count) == (30, 30)
    assert (info.width, info.height) == (300, 300)
    assert info.frame_rate == 25
    assert len(info.audio) == 1
    assert fractions == sorted(fractions)
    assert info.metadata["comment"] == provenance.NOTICE
    report = provenance.verify(result.output)
    assert report.credentials is not None
    pictures = [frame.image_rgb.astype(int) for frame in media.read_frames(result.output)]
    assert max(np.abs(a - b).mean() for a, b in zip(pictures, pictures[8:], strict=False)) > 0.5


def test_music_is_told_from_speech(pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path) -> None:
    tune = str(write_wave(tmp_path / "tune.wav", no_speech("tune", 2.5)))
    result = pipeline(replace(asked, audio=tune, options=replace(asked.options, seconds=0.4)))
    assert "Little speech" in " ".join(result.notices)
    assert "Little speech" not in " ".join(pipeline(asked).notices)


def test_sound_stays_sample_for_sample_where_the_container_allows(pipeline: TalkPipeline, asked: TalkRequest) -> None:
    output = asked.output.replace(".mp4", ".mov")
    pipeline(replace(asked, output=output))
    assert np.array_equal(media.read_audio(output), media.read_audio(asked.audio))


def test_a_talk_that_was_cut_off_goes_on(
    pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegen.talk.recorder.SEGMENT_FRAMES", 10)
    pipeline(replace(asked, output=str(tmp_path / "whole.mp4")))

    def stop(fraction: float, text: str) -> None:
        if text.startswith("Drawing frame 25"):
            raise Cancelled("Cancelled.")

    run = Run.create("talk", {}, path=tmp_path / "run")
    with pytest.raises(Cancelled):
        pipeline(asked, run=run, on_progress=stop)
    assert not Path(asked.output).exists()
    result = pipeline(asked, run=run)
    assert result.resumed_frames in (10, 20)
    pairs = zip(media.read_frames(asked.output), media.read_frames(tmp_path / "whole.mp4"), strict=True)
    assert all(np.array_equal(a.image_rgb, b.image_rgb) for a, b in pairs)


def test_only_the_mouth_of_a_video_changes(pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path) -> None:
    video = str(write_clip(tmp_path / "clip.mp4", moving_portrait(20), has_sound=True))
    result = pipeline(replace(asked, portrait=video))
    assert "ends with it" in " ".join(result.notices)
    assert media.frame_times(result.output) == media.frame_times(video)
    before, after = analyse_video(Path(video)), analyse_video(Path(result.output))
    eyes = int(before.faces(5)[0].points478[168, 1])
    pairs = list(zip(media.read_frames(video), media.read_frames(result.output), strict=True))
    # what lies above the nose is only marked and encoded again
    assert max(np.abs(a.image_rgb[:eyes].astype(int) - b.image_rgb[:eyes]).mean() for a, b in pairs) < 3
    gaps = [lip_gap(analysis.faces(index)[0].points478[:468]) for analysis in (before, after) for index in range(20)]
    assert np.ptp(gaps[20:]) > np.ptp(gaps[:20]) + 1


def test_a_frame_of_a_video_speaks_as_a_picture_does(
    pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path
) -> None:
    video = str(write_clip(tmp_path / "clip.mp4", moving_portrait(10)))
    result = pipeline(replace(asked, portrait=video, options=replace(asked.options, frame=0.2, still=True)))
    assert result.frames == media.probe(result.output).frame_count == 30
    picture = media.read_frame_at(video, seconds=0.2).image_rgb
    first = media.read_frame_at(result.output, index=0).image_rgb
    assert np.abs(first[:40].astype(int) - picture[:40]).mean() < 4


def test_a_preview_is_a_frame_of_the_result(pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "clip.mp4", moving_portrait(20)))
    for request in (replace(asked, driving=clip), replace(asked, portrait=clip)):
        pipeline(request)
        seen = pipeline.preview(request, 0.6).astype(int)
        made = media.read_frame_at(request.output, seconds=0.6).image_rgb.astype(int)
        other = media.read_frame_at(request.output, index=0).image_rgb.astype(int)
        assert np.abs(seen - made).mean() < min(3.0, np.abs(seen - other).mean())


def test_a_driving_video_moves_the_head(pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path) -> None:
    driving = str(write_clip(tmp_path / "driving.mp4", moving_portrait(20)))
    result = pipeline(replace(asked, driving=driving))
    assert "to and fro" in " ".join(result.notices)
    assert result.frames == 30


def test_silence_gives_a_calm_video_and_says_so(pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path) -> None:
    quiet = str(write_wave(tmp_path / "quiet.wav", np.zeros(8000, np.float32)))
    result = pipeline(replace(asked, audio=quiet))
    assert "No speech was heard" in result.notices[0]


def _no_face(folder: Path) -> dict[str, str]:
    Image.fromarray(noise_rgb(200, 200)).save(folder / "noise.png")
    return {"portrait": str(folder / "noise.png")}


def _short(folder: Path) -> dict[str, str]:
    return {"audio": str(write_wave(folder / "short.wav", babble(0.1)))}


def _corrupt(folder: Path) -> dict[str, str]:
    (folder / "corrupt.mp3").write_bytes(b"\0no sound at all" * 100)
    return {"audio": str(folder / "corrupt.mp3")}


def _no_sound(folder: Path) -> dict[str, str]:
    return {"audio": str(write_clip(folder / "mute.mp4", moving_portrait(3)))}


def _picture_as_sound(folder: Path) -> dict[str, str]:
    buffer = io.BytesIO()
    Image.fromarray(noise_rgb(8, 8)).save(buffer, "PNG")
    (folder / "a.png").write_bytes(buffer.getvalue())
    return {"audio": str(folder / "a.png")}


def _input_as_output(folder: Path) -> dict[str, str]:
    return {"output": str(folder / "said.wav")}


@pytest.mark.parametrize(
    "broken",
    [_no_face, _short, _corrupt, _no_sound, _picture_as_sound, _input_as_output],
    ids=lambda call: call.__name__,
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    broken: Callable[[Path], dict[str, str]], pipeline: TalkPipeline, asked: TalkRequest, tmp_path: Path
) -> None:
    request = replace(asked, **broken(tmp_path))
    with pytest.raises(FacegenError) as refused:
        pipeline(request)
    assert str(refused.value).endswith(".")
    assert not Path(asked.output).exists()


def test_who_looks_at_the_camera_speaks_and_a_profile_is_refused(pipeline: TalkPipeline) -> None:
    (face,) = pipeline.analyser.detect(portrait_rgb()[:301, 70:371])
    aside = face.matrix.copy()
    cosine, sine = np.cos(np.radians(46)), np.sin(np.radians(46))
    aside[:3, :3] = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]) @ face.matrix[:3, :3]
    profile = face.replace(matrix=aside.astype(np.float32), box_xyxy=face.box_xyxy - 20)
    assert abs(profile.yaw_deg) > 38
    assert choose_face([profile, face], None, "two.png") is face
    assert choose_face([profile, face], 1, "two.png") is face
    for faces, wanted in (([profile], None), ([profile, face], 0)):
        with pytest.raises(InputError, match="profile in 'two.png'"):
            choose_face(faces, wanted, "two.png")


def test_a_face_that_is_not_there_is_refused(pipeline: TalkPipeline, asked: TalkRequest) -> None:
    with pytest.raises(InputError, match="face number up to"):
        pipeline(replace(asked, options=TalkOptions(face=7)))
