"""Sentences said by a machine: the same ones again, lips closed where p, b and m are."""

import sys
from pathlib import Path

import numpy as np
import pytest

from facegen.errors import ResourceError
from facegen.talk.rig import MOTION_RATE, load_rig
from facegen.talk.sentences import Sentence, close_lips, synthesize_sentences
from facegen.talk.speech import extract_speech
from tests.talk.sounds import babble

FLITE = f"""#!{sys.executable}
import sys
from pathlib import Path
output = sys.argv[sys.argv.index("-o") + 1]
Path({{log!r}}).open("a").write(" ".join(sys.argv[1:]) + "\\n")
Path(output).write_bytes(Path({{sound!r}}).read_bytes())
print("pau:0.200 m:0.300 ay:0.500 p:0.750 ah:1.000 pau:1.200")
"""


@pytest.fixture
def flite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which says the same sound for every text; what it was asked is in the file returned."""
    import wave

    sound, log = tmp_path / "sound.wav", tmp_path / "log.txt"
    with wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((babble(1.2) * 20000).astype("<i2").tobytes())
    program = tmp_path / "bin" / "flite"
    program.parent.mkdir()
    program.write_text(FLITE.replace("{log!r}", repr(str(log))).replace("{sound!r}", repr(str(sound))))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return log


def test_the_same_seed_says_the_same_sentences(flite: Path) -> None:
    first = list(synthesize_sentences(3, seed=1))
    asked = flite.read_text().splitlines()
    flite.unlink()
    list(synthesize_sentences(3, seed=1))
    texts = [line.partition(" -o ")[0] for line in asked]
    assert texts == [line.partition(" -o ")[0] for line in flite.read_text().splitlines()]
    assert len(set(texts)) == 3
    assert [phone for _, phone in first[0].phones] == ["pau", "m", "ay", "p", "ah", "pau"]
    assert first[0].phones[1][0] == 0.2
    assert abs(first[0].speech.seconds - 1.2) < 0.02


def test_lips_are_closed_for_m_and_for_the_beginning_of_p(flite: Path) -> None:
    closed = next(synthesize_sentences(1)).lip_closures(60)
    assert closed[round(0.25 * MOTION_RATE)] == closed[round(0.55 * MOTION_RATE)] == 1
    assert (
        closed[round(0.4 * MOTION_RATE)] == closed[round(0.72 * MOTION_RATE)] == closed[round(0.9 * MOTION_RATE)] == 0
    )


def test_a_program_that_is_missing_or_fails_is_one_sentence(flite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = flite.parent / "bin" / "flite"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such voice')\n")
    with pytest.raises(ResourceError, match=r"as .*, found: no such voice\.$"):
        list(synthesize_sentences(1))
    monkeypatch.setenv("PATH", str(flite.parent))
    with pytest.raises(ResourceError, match="apt-get install flite"):
        list(synthesize_sentences(1))


def test_closures_bring_the_lip_gap_to_nothing_and_leave_the_rest() -> None:
    rig = load_rig()
    random = np.random.default_rng(0)
    numbers = random.normal(size=(len(rig.shapes), 30)).astype(np.float32)
    numbers[int(np.argmax(np.abs(rig.opening)))] = 3
    closed = np.zeros(30, np.float32)
    closed[10:15], closed[15] = 1, 0.5
    changed = close_lips(numbers, closed, rig)
    np.testing.assert_array_equal(changed[:, :10], numbers[:, :10])
    np.testing.assert_allclose(rig.opening @ changed[:, 10:15], 0, atol=1e-4)
    assert rig.opening @ changed[:, 15] == pytest.approx(rig.opening @ numbers[:, 15] / 2, abs=1e-3)


def test_a_sentence_without_closed_lips_closes_none() -> None:
    sentence = Sentence(speech=extract_speech([babble(0.5)]), phones=((0.0, "ah"), (0.3, "n")))
    assert not sentence.lip_closures(25).any()
