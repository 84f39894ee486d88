"""From sound to movement: windows, pauses, blinks, seeds."""

import numpy as np
import pytest

from facegen.faces import mesh
from facegen.talk.head_motion import draw_blinks, generate_head_motion
from facegen.talk.motion import Motion, MotionModel
from facegen.talk.rig import RIG_SIZE, MouthRig, MouthTrack, lip_gap, load_rig
from facegen.talk.speech import Speech, extract_speech
from tests.talk.sounds import babble


@pytest.fixture(scope="module")
def speech() -> Speech:
    return extract_speech([babble(60)])


def _times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * 25)) / 25


def test_long_sound_is_heard_as_short_sound_is(speech: Speech) -> None:
    model = MotionModel.load()
    whole = model.predict(speech)
    assert whole.shape == (3000, RIG_SIZE)
    # the border of a window, at 20 s, leaves no step that the rows around it do not have
    steps = np.abs(np.diff(whole[:, 0]))
    assert steps[995:1005].max() <= steps.max()


def test_mouths_move_with_the_voice_and_rest_in_silence(speech: Speech) -> None:
    model, rig = MotionModel.load(), load_rig()
    gap = np.clip(model.animate_mouth(speech, _times(60)) @ rig.opening, 0, None)
    assert gap.max() > 0.3
    silence = extract_speech([np.zeros(48000, np.float32)])
    assert np.abs(model.animate_mouth(silence, _times(3))).max() == 0
    assert np.abs(model.animate_mouth(speech, np.array([61.0, 70.0]))).max() == 0


def test_strength_scales_the_mouth(speech: Speech) -> None:
    model = MotionModel.load()
    full, half = (model.animate_mouth(speech, _times(5), strength) for strength in (1.0, 0.5))
    assert np.allclose(half * 2, full, atol=1e-5)


def _lively(speech: Speech, **changes: object) -> Motion:
    times = _times(60)
    chosen = {"head": 1.0, "eyes": 1.0, "seed": 0, "is_still": False, "is_blinking": True, **changes}
    return generate_head_motion(Motion.of_mouth(np.zeros((len(times), RIG_SIZE), np.float32)), speech, times, **chosen)


@pytest.mark.parametrize("seed", range(8))
def test_eyes_blink_as_often_as_people_do(seed: int, speech: Speech) -> None:
    times = draw_blinks(np.random.default_rng(seed), speech, 60.0)
    assert 10 <= len(times) <= 25
    assert min(np.diff(times)) > 1.0
    closed = np.diff((_lively(speech, seed=seed).lids[:, 0] > 0.5).astype(int)) == 1
    assert 10 <= closed.sum() <= 25


def test_blinks_prefer_pauses(speech: Speech) -> None:
    times = np.concatenate([draw_blinks(np.random.default_rng(seed), speech, 60.0) for seed in range(10)])
    index = np.minimum((times * 100).astype(int), len(speech.voiced) - 1)
    assert speech.voiced[index].mean() < speech.voiced.mean()


def test_the_seed_decides(speech: Speech) -> None:
    first, again, other = _lively(speech), _lively(speech), _lively(speech, seed=1)
    assert np.array_equal(first.turn_deg, again.turn_deg)
    assert np.abs(first.turn_deg - other.turn_deg).max() > 0.5


def test_heads_move_smoothly_within_bounds_and_keep_still_when_asked(speech: Speech) -> None:
    lively = _lively(speech)
    assert np.abs(lively.turn_deg).max() < 15
    assert np.abs(np.diff(lively.turn_deg, axis=0)).max() < 1.2
    assert lively.turn_deg[:, 0].std() > 0.5
    still = _lively(speech, is_still=True)
    assert np.abs(still.turn_deg).max() == 0
    assert np.abs(still.shift_cm).max() == 0
    assert still.lids.max() > 0.9
    assert _lively(speech, is_blinking=False).lids.max() == 0


def test_a_rig_gives_back_what_it_is_made_of() -> None:
    rig = load_rig()
    random = np.random.default_rng(0)
    numbers = random.normal(size=(50, RIG_SIZE)).astype(np.float32)
    assert np.allclose(rig.coefficients(rig.offsets(numbers)), numbers, atol=1e-3)
    refitted = MouthRig.of(rig.offsets(numbers), RIG_SIZE)
    assert np.allclose(refitted.offsets(refitted.coefficients(rig.offsets(numbers))), rig.offsets(numbers), atol=1e-3)


def test_a_track_is_free_of_size_and_rest() -> None:
    rig = load_rig()
    random = np.random.default_rng(1)
    numbers = np.abs(random.normal(size=(80, RIG_SIZE))).astype(np.float32) * np.eye(RIG_SIZE)[0]
    numbers[:20] = 0
    points = mesh.topology().xyz + rig.offsets(numbers)
    small, large = MouthTrack.of(points), MouthTrack.of(points * 1.7)
    assert np.allclose(small.offsets, large.offsets, atol=1e-3)
    assert np.corrcoef(small.gap, lip_gap(points))[0, 1] > 0.999
