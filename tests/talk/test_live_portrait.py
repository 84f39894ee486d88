"""A portrait that LivePortrait moves, with stand-ins of its networks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facegen import media
from facegen.errors import InputError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.reenact.crop import ReenactmentCrop
from facegen.talk import TalkOptions, TalkRequest
from facegen.talk.motion import Motion
from facegen.talk.pipeline import TalkPipeline
from facegen.talk.renderers import choose_renderer
from facegen.talk.renderers.live_portrait import LivePortraitRenderer
from facegen.talk.rig import MOUTH_CM, RIG_SIZE, load_rig
from tests.factories import moving_portrait, portrait_rgb, write_clip, write_portrait
from tests.reenact.stand_ins import RETARGETING, use_stand_ins
from tests.talk.sounds import babble, write_wave


@pytest.fixture(scope="module")
def analyser() -> FaceAnalyser:
    return FaceAnalyser()


@pytest.fixture
def renderer(analyser: FaceAnalyser, tmp_path: Path) -> LivePortraitRenderer:
    use_stand_ins(tmp_path)
    (face,) = analyser.detect(portrait_rgb())
    return LivePortraitRenderer(ReenactmentCrop.of(portrait_rgb(), face), face.points5)


def test_a_driving_face_is_followed_from_its_first_frame(renderer: LivePortraitRenderer) -> None:
    """Row vectors and transposed rotations, as LivePortrait itself writes it."""
    rows = np.random.default_rng(0).normal(0, 0.1, (3, 70))
    rows[:, :3] *= 100
    rows[:, 3] += 1.2
    own = renderer.crop.motion
    angles = np.array([(own.pitch_deg, own.yaw_deg, own.roll_deg), *rows[:, :3]])
    ours, first, _, last = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().transpose(0, 2, 1)
    delta = own.expression + (rows[2] - rows[0])[7:].reshape(21, 3)
    place = own.translation + (rows[2] - rows[0])[4:7]
    place[2] = 0
    expected = own.scale * rows[2, 3] / rows[0, 3] * (own.points @ (last @ first.T @ ours) + delta) + place
    move = renderer._follow_face(rows, first=rows[0], mouth=1.0, is_still=False)
    np.testing.assert_allclose(move(2), expected, atol=1e-4)
    still = renderer._follow_face(rows, first=rows[0], mouth=1.0, is_still=True)
    expected = own.scale * (own.points @ ours + delta) + own.translation * [1, 1, 0]
    np.testing.assert_allclose(still(2), expected, atol=1e-4)


def test_lips_and_lids_open_as_the_sound_says(renderer: LivePortraitRenderer) -> None:
    mouth = np.random.default_rng(1).normal(0, 1, (2, RIG_SIZE)).astype(np.float32)
    motion = replace(Motion.of_mouth(mouth), lids=np.array([[0.0, 0.0], [0.5, 1.0]], np.float32))
    own, crop = renderer.crop.motion.keypoints, renderer.crop
    move = renderer._follow_sound(motion)
    for index in (0, 1):
        gap = max(float(mouth[index] @ load_rig().opening), 0) / MOUTH_CM
        expected = own + 0.01 * own + RETARGETING[:2] @ np.array([crop.lips_open, gap])
        if index:
            wanted = 0.25 * np.mean(crop.eyes_open)
            expected += 0.01 * own + RETARGETING @ np.array([*crop.eyes_open, wanted])
        np.testing.assert_allclose(move(index), expected, atol=1e-3)


def test_a_portrait_is_driven_from_file_to_file(analyser: FaceAnalyser, tmp_path: Path) -> None:
    use_stand_ins(tmp_path)
    picture = write_portrait(tmp_path / "face.png")
    frames = [np.clip(frame * (1 - 0.1 * i), 0, 255).astype(np.uint8) for i, frame in enumerate(moving_portrait(8))]
    driving = write_clip(tmp_path / "driving.mp4", frames)
    sound = write_wave(tmp_path / "said.wav", babble(0.4))
    request = TalkRequest(
        portrait=str(picture),
        audio=str(sound),
        driving=str(driving),
        output=str(tmp_path / "out.mp4"),
        options=TalkOptions(engine="live-portrait"),
    )
    pipeline = TalkPipeline(analyser=analyser, on_line=lambda line: None)
    for one in (request, replace(request, driving=None, output=str(tmp_path / "sound.mp4"))):
        result = pipeline(one)
        drawn = [frame.image_rgb.astype(int) for frame in media.read_frames(one.output)]
        assert result.frames == len(drawn) == 10
        assert media.probe(one.output).audio
        # the stand-in is brighter or darker as keypoints move
        assert np.ptp([float(image[100:200].mean()) for image in drawn]) > 0.15


def test_what_it_cannot_do_is_one_sentence(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_portrait(2))
    options = TalkOptions(engine="live-portrait")
    request = TalkRequest(portrait=str(clip), audio="said.wav", output="", options=options)
    with pytest.raises(InputError, match="Expected a picture as portrait"):
        choose_renderer(request)
    assert choose_renderer(replace(request, options=replace(options, frame=0.0))) is LivePortraitRenderer
    with pytest.raises(WeightsError, match="live-portrait-feature-extractor"):
        LivePortraitRenderer.check(request)
