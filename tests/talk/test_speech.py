"""Hearing: any layout, any cut, silence."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks.talk_languages import TEXTS
from facegen.errors import InputError
from facegen.talk.speech import FEATURE_RATE, MELS, extract_speech, load_speech
from tests.talk.sounds import babble, no_speech, write_wave


def test_the_pieces_do_not_matter() -> None:
    samples = babble(3)
    whole, cut = extract_speech([samples]), extract_speech(np.array_split(samples, 13))
    assert whole.samples == cut.samples == samples.size
    assert whole.mels.shape == (3 * FEATURE_RATE, MELS)
    assert np.abs(whole.mels.astype(float) - cut.mels.astype(float)).max() < 0.01


def test_it_knows_when_somebody_speaks() -> None:
    speech = extract_speech([babble(4)])
    assert 0.3 < speech.voiced.mean() < 0.95
    assert not speech.voiced[150:165].any()
    assert speech.loudness.min() >= 0
    assert speech.loudness.max() <= 1


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2), (44100, 2), (48000, 6)])
def test_any_rate_and_layout_is_heard_alike(rate: int, channels: int, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "a.wav", babble(2, rate=rate), rate=rate, channels=channels)
    speech = load_speech(path)
    assert speech.seconds == pytest.approx(2, abs=0.03)
    assert speech.voiced.any()


def test_loudness_of_the_recording_does_not_matter() -> None:
    loud, quiet = extract_speech([babble(2)]), extract_speech([babble(2) * 0.1])
    assert np.abs(loud.mels.astype(float) - quiet.mels.astype(float)).mean() < 0.2
    assert np.mean(loud.voiced == quiet.voiced) > 0.95


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_silence_is_silent(seconds: float) -> None:
    speech = extract_speech([np.zeros(round(seconds * 16000), np.float32)])
    assert not speech.voiced.any()
    assert speech.loudness.max() == 0
    assert np.isfinite(speech.mels).all()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.parametrize("voice", ["en", "de", "fr+f3", "hi", "ko", "sw+m3", "vi"])
def test_synthesised_speech_is_speech(voice: str, tmp_path: Path) -> None:
    path, text = tmp_path / "said.wav", TEXTS[voice.partition("+")[0]]
    subprocess.run(["espeak-ng", "-v", voice, "-w", str(path), text], check=True)
    assert load_speech(path).is_speech


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
@pytest.mark.parametrize("voice", ["awb", "rms", "slt", "kal"])
def test_a_few_words_are_speech(voice: str, tmp_path: Path) -> None:
    path = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", voice, "-t", "Yes, good morning.", "-o", str(path)], check=True)
    assert load_speech(path).is_speech


@pytest.mark.parametrize("path", sorted(Path("../shared/data/speech").glob("*")), ids=lambda path: path.stem)
def test_recorded_speech_is_speech(path: Path) -> None:
    assert load_speech(path, seconds=15).is_speech


@pytest.mark.parametrize("kind", ["tone", "noise", "chord", "beeps", "siren", "tune", "drums"])
def test_music_and_noise_are_no_speech(kind: str) -> None:
    assert not extract_speech([no_speech(kind, 6)]).is_speech


def test_what_is_too_short_to_tell_counts_as_speech() -> None:
    assert extract_speech([no_speech("tone", 0.6)]).is_speech


def test_too_little_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at least 0\.2 s"):
        load_speech(write_wave(tmp_path / "a.wav", babble(0.1)))
