"""Sentences synthesised by flite, with the times of their phones: training data for lips that close.

A few minutes of clips hold few p, b and m. A speech synthesiser says as many as needed, at known times; all else about
its mouth comes from another network's prediction for the same sentence.
"""

from __future__ import annotations

import functools
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.errors import ResourceError
from facegen.talk.phones import GROUPS, find_models
from facegen.talk.rig import MOTION_RATE, MouthRig
from facegen.talk.speech import Speech, load_speech

VOICES = ("awb", "rms", "kal16")
"""Voices of flite for training; `slt` is left for evaluation."""
_CLOSED = frozenset(phone.lower() for phone in GROUPS[0])
_WORDS = (9, 16)
_PACE = (0.85, 1.25)
_CLOSED_SHARE = 0.35
_PLOSIVE_SECONDS = 0.1
"""Lips that burst open for p and b do so within this time."""
_SHORTEST_SECONDS = 0.06
_RAMP_SECONDS = 0.05
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, eq=False, kw_only=True)
class Sentence:
    """A synthesised sentence."""

    speech: Speech
    """Features of its sound."""
    phones: tuple[tuple[float, str], ...]
    """The second at which each phone begins, and its name, as in CMUdict, small."""

    def lip_closures(self, rows: int) -> np.ndarray:
        """(rows,) float32, `MOTION_RATE` a second: 1 where lips are closed for p, b or m, falling to 0 beside it."""
        moments = np.arange(rows) / MOTION_RATE
        result = np.zeros(rows)
        ends = [begin for begin, _ in self.phones[1:]] + [self.speech.seconds]
        for (begin, phone), end in zip(self.phones, ends, strict=True):
            if phone in _CLOSED:
                until = end if phone == "m" else min(end, begin + _PLOSIVE_SECONDS)
                half = max(until - begin, _SHORTEST_SECONDS) / 2
                beside = np.abs(moments - (begin + until) / 2) - half
                result = np.maximum(result, np.clip(1 - beside / _RAMP_SECONDS, 0, 1))
        return result.astype(np.float32)


def synthesize_sentences(count: int, seed: int = 0, voices: Sequence[str] = VOICES) -> Iterator[Sentence]:
    """Synthesises sentences of random words, many of them with p, b or m; the same ones for the same seed.

    Raises:
        ResourceError: flite is not installed, or it failed.
    """
    if shutil.which("flite") is None:
        raise ResourceError(
            "Expected flite to say sentences, found none; install it (apt-get install flite) or set task.sentences=0."
        )
    draw = random.Random(seed)
    everyday, rare = _words()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(count):
            words = [
                draw.choice(rare if draw.random() < _CLOSED_SHARE else everyday) for _ in range(draw.randint(*_WORDS))
            ]
            yield _synthesize(
                " ".join(words) + ".", draw.choice(voices), draw.uniform(*_PACE), Path(folder) / "said.wav"
            )


def close_lips(coefficients: np.ndarray, closed: np.ndarray, rig: MouthRig) -> np.ndarray:
    """(K, T) coefficients with lips closed where (T,) `closed` is 1."""
    main = int(np.argmax(np.abs(rig.opening)))
    result = coefficients * (1 - closed)
    target = np.minimum(rig.opening @ result, (rig.opening @ coefficients) * (1 - closed))
    result[main] += (target - rig.opening @ result) / rig.opening[main]
    return result.astype(np.float32)


def _synthesize(text: str, voice: str, pace: float, path: Path) -> Sentence:
    command = [
        "flite",
        "-voice",
        voice,
        "--setf",
        f"duration_stretch={pace:.3f}",
        "-psdur",
        "-t",
        text,
        "-o",
        str(path),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ResourceError(f"flite did not finish a sentence in {_TIMEOUT_SECONDS} s; try again.") from error
    # it prints «phone:end» for each phone
    pairs = [entry.rpartition(":") for entry in done.stdout.split()]
    if done.returncode or not pairs or not path.exists():
        raise ResourceError(f"Expected flite to say a sentence as {voice}, found: {done.stderr.strip() or 'nothing'}.")
    begins = [0.0, *(float(end) for _, _, end in pairs[:-1])]
    return Sentence(
        speech=load_speech(path),
        phones=tuple((begin, phone) for begin, (phone, _, _) in zip(begins, pairs, strict=True)),
    )


@functools.cache
def _words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words of pocketsphinx's dictionary: short ones, and ones with p, b or m in them."""
    lines = [line.split() for line in (find_models() / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()]
    plain = [(line[0], line[1:]) for line in lines if line and line[0].isalpha()]
    short = tuple(word for word, phones in plain if len(phones) <= 4)
    closed = tuple(word for word, phones in plain if len(phones) <= 7 and set(phones) & set(GROUPS[0]))
    return short, closed
