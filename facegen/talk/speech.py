"""Features of a recording, a hundred rows a second: mels, loudness, voice activity and groups of phones.

The mel filter bank is a dozen lines of our own: torchaudio has no build for this torch, and importing librosa.filters
took 5 s on top of torch, and 500 MB of packages.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from facegen.errors import InputError
from facegen.media import read_audio_windows
from facegen.media.source import display_name
from facegen.talk.phones import GROUPS, SILENCE, one_hot, recognise_phones

if TYPE_CHECKING:
    from facegen.talk.encoder import SpeechEncoder

SAMPLE_RATE = 16000
"""Samples a second that everything here works on."""
FEATURE_RATE = 100
"""Rows of features a second; row k is centred on k / RATE seconds."""
MELS = 40
"""Mel bands of a row."""
FEATURES = MELS + len(GROUPS)
"""Numbers in a row of features."""
SILENT_MEL = -3.0
"""Value of mels in silence."""
SHORTEST_SECONDS = 0.2
"""Shorter recordings are refused."""

_HOP = SAMPLE_RATE // FEATURE_RATE
_WINDOW, _FFT = 400, 512
_LOW_HZ, _HIGH_HZ = 60.0, 7600.0
_SILENCE_DB = -60.0
_HANGING_DB = 45.0
_FLOOR = 1e-10
_STRETCH_SECONDS = 20
_TELLING_SECONDS = 1.0
_SHORTEST_PHONE = 3
_APART = 8
"""Rows, as the one above."""
SPEECH_SCORE = 1.5
"""Phones a second by change of mels. 129 recordings of people and of synthesisers in twelve languages: 1.7 and more, nearly
all 2.6 and more; 102 pieces of synthesised music, tones, drums and noise: 2.4 and less, nearly all 1.2 and less."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Speech:
    """One recording as features; about half a megabyte a minute."""

    mels: np.ndarray
    """(N, MELS) float16 log mel energies, brought to mean 0 and deviation 1 over the voiced rows of the recording."""
    loudness: np.ndarray
    """(N,) float32, 0 where it is silent to 1 at the recording's loud moments."""
    voiced: np.ndarray
    """(N,) bool: voice activity."""
    phones: np.ndarray
    """(N,) uint8 groups of phones, see `phones.GROUPS`."""
    samples: int
    """Samples at SAMPLE_RATE."""
    embeddings: np.ndarray | None = None
    """(M, D) float16 of a speech encoder, 50 rows a second, where the motion network has one."""

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self.samples / SAMPLE_RATE

    @property
    def is_speech(self) -> bool:
        """Whether this is speech, and not music, tones or noise.

        Speech has many phones a second and changes its spectrum quickly; what is too short to tell counts as speech.
        """
        if self.voiced.sum() < _TELLING_SECONDS * FEATURE_RATE:
            return True
        return self.speech_score > SPEECH_SCORE

    @property
    def speech_score(self) -> float:
        """Phones a second by change of mels; something must be voiced."""
        return _phone_rate(self.phones, self.voiced) * _spectral_change(self.mels, self.voiced)

    def features(self, first: int = 0, last: int | None = None) -> np.ndarray:
        """(n, FEATURES) float32 rows from `first` to `last`: mels, then phones as ones and zeros."""
        return np.concatenate([self.mels[first:last].astype(np.float32), one_hot(self.phones[first:last])], 1)

    def sample(self, values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """Rows of `values` (N, ...) at given seconds, interpolated linearly, the ends repeated."""
        position = np.clip(np.asarray(seconds, np.float64) * FEATURE_RATE, 0, len(values) - 1)
        low = np.minimum(position.astype(np.int64), len(values) - 1)
        high = np.minimum(low + 1, len(values) - 1)
        share = (position - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
        return values[low].astype(np.float32) * (1 - share) + values[high].astype(np.float32) * share


def load_speech(
    path: str | os.PathLike[str],
    *,
    seconds: float | None = None,
    on_progress: Callable[[float], None] = lambda _seconds: None,
    encoder: SpeechEncoder | None = None,
) -> Speech:
    """Reads a recording, of any rate and layout, piece by piece, and extracts its features.

    Args:
        path: a sound file, or a video with sound.
        seconds: no more than this is needed; a little more is read, so that a short piece is normalised as the whole is.
        on_progress: called every ten seconds of sound with the seconds read so far; may raise Cancelled.
        encoder: adds its embeddings, where the motion network needs them.

    Raises:
        InputError: it cannot be read, has no sound, or is shorter than `SHORTEST_SECONDS`.
    """
    longest = None if seconds is None else max(seconds + 1, _STRETCH_SECONDS)

    def pieces() -> Iterator[np.ndarray]:
        samples = 0
        for piece in read_audio_windows(path, SAMPLE_RATE):
            on_progress(samples / SAMPLE_RATE)
            yield piece
            samples += piece.size
            if longest is not None and samples >= longest * SAMPLE_RATE:
                return

    speech = extract_speech(pieces())
    if encoder is not None:
        speech = replace(speech, embeddings=encoder.encode(pieces()))
    if speech.seconds < SHORTEST_SECONDS:
        raise InputError(
            f"Expected at least {SHORTEST_SECONDS} s of sound, found {speech.seconds:.2f} s in {display_name(path)}; "
            "give a longer recording."
        )
    return speech


def extract_speech(pieces: Iterable[np.ndarray]) -> Speech:
    """Features of a recording from consecutive pieces of sound, (n,) float32 mono at SAMPLE_RATE each."""
    mels: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    samples = 0
    phone_buffer = _PhoneBuffer()
    for block, count in _overlap_blocks(pieces):
        power = _power_spectra(block)
        mels.append(np.log(power @ _mel_filters().T + _FLOOR).astype(np.float16))
        levels.append(_level_db(block))
        phone_buffer.add(block[_FFT // 2 : _FFT // 2 + count])
        samples += count
    if not mels:
        nothing = np.zeros(1, np.float32)
        silence = np.full((1, MELS), SILENT_MEL, np.float16)
        return Speech(mels=silence, loudness=nothing, voiced=nothing > 0, phones=nothing.astype(np.uint8), samples=0)
    raw, level = np.concatenate(mels), np.concatenate(levels)
    loudness, voiced = _detect_voice(level)
    phones = phone_buffer.end(len(raw))
    return Speech(mels=_normalise(raw, voiced), loudness=loudness, voiced=voiced, phones=phones, samples=samples)


class _PhoneBuffer:
    """Collects sound into stretches of even length, in which phones are recognised."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._rows: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        self._held = np.concatenate([self._held, samples])
        size = _STRETCH_SECONDS * SAMPLE_RATE
        while self._held.size >= size:
            self._rows.append(recognise_phones(self._held[:size], _STRETCH_SECONDS * FEATURE_RATE))
            self._held = self._held[size:]

    def end(self, rows: int) -> np.ndarray:
        left = rows - sum(len(part) for part in self._rows)
        return np.concatenate([*self._rows, recognise_phones(self._held, max(left, 0))])[:rows]


def _overlap_blocks(pieces: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Pieces cut to whole hops with half a window of their neighbours on both sides, and how many samples are new."""
    half = _FFT // 2
    held = np.zeros(half, np.float32)
    for piece in pieces:
        held = np.concatenate([held, piece])
        rows = (held.size - _FFT) // _HOP + 1
        if rows > 0:
            yield held[: (rows - 1) * _HOP + _FFT], rows * _HOP
            held = held[rows * _HOP :]
    left = held.size - half
    if left > 0:
        rows = -(-left // _HOP)
        padded = np.concatenate([held, np.zeros(max(0, (rows - 1) * _HOP + _FFT - held.size), np.float32)])
        yield padded[: (rows - 1) * _HOP + _FFT], left


def _extract_windows(block: np.ndarray, size: int) -> np.ndarray:
    """(rows, size) windows in the middle of each _FFT samples, a hop apart."""
    windows = np.lib.stride_tricks.sliding_window_view(block, _FFT)[::_HOP]
    start = (_FFT - size) // 2
    return windows[:, start : start + size]


def _power_spectra(block: np.ndarray) -> np.ndarray:
    """(rows, _FFT / 2 + 1) power, with the high tones raised as in speech recognition."""
    raised = np.append(block[:1], block[1:] - np.float32(0.97) * block[:-1])
    frames = _extract_windows(raised, _WINDOW) * np.hanning(_WINDOW).astype(np.float32)
    return np.square(np.abs(np.fft.rfft(frames, _FFT))).astype(np.float32)


def _level_db(block: np.ndarray) -> np.ndarray:
    power = np.square(_extract_windows(block, _WINDOW)).mean(1)
    return 10 * np.log10(power + _FLOOR).astype(np.float32)


@functools.cache
def _mel_filters() -> np.ndarray:
    """(MELS, _FFT / 2 + 1) triangles, evenly spaced on the mel scale (O'Shaughnessy 1987)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, MELS + 2) / 2595) - 1)
    tones = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    rising = (tones - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - tones) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def _detect_voice(level_db: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Loudness 0..1 and voice activity, relative to the recording's own quiet and loud moments."""
    calm = np.convolve(level_db, np.ones(5) / 5, mode="same") if len(level_db) >= 5 else level_db
    quiet, loud = np.percentile(calm, 8), np.percentile(calm, 95)
    if loud < _SILENCE_DB:
        return np.zeros(len(calm), np.float32), np.zeros(len(calm), bool)
    # a recording without pauses has no quiet moments of its own
    quiet = max(min(quiet, loud - 25), _SILENCE_DB - 20)
    loudness = np.clip((calm - quiet) / max(loud - quiet, 1), 0, 1).astype(np.float32)
    voiced = loudness > 0.4
    hang = FEATURE_RATE // 12
    spread = np.convolve(voiced, np.ones(2 * hang + 1), mode="same") > 0 if len(voiced) > 2 * hang else voiced
    return loudness, spread & (calm > loud - _HANGING_DB)


def _phone_rate(phones: np.ndarray, voiced: np.ndarray) -> float:
    """Changes of phone in a second of speech; segments too short to be a phone are not counted."""
    spoken = np.where(voiced, phones, SILENCE)
    begins = np.flatnonzero(np.diff(spoken, prepend=SILENCE))
    lengths = np.diff(begins, append=len(spoken))
    segments = spoken[begins][(spoken[begins] != SILENCE) & (lengths >= _SHORTEST_PHONE)]
    # a beat is taken for the same phone again and again
    return float(np.count_nonzero(np.diff(segments))) * FEATURE_RATE / int(voiced.sum())


def _spectral_change(mels: np.ndarray, voiced: np.ndarray) -> float:
    """Mean absolute difference of normalised mels 80 ms apart."""
    both = voiced[_APART:] & voiced[:-_APART]
    later, now = mels[_APART:][both].astype(np.float32), mels[:-_APART][both].astype(np.float32)
    return float(np.abs(later - now).mean()) if len(now) else 0.0


def _normalise(mels: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """(N, MELS) float16 mels without the recording's own spectrum (voice, microphone, room)."""
    rows = mels[voiced].astype(np.float32) if voiced.any() else mels.astype(np.float32)
    mean, deviation = rows.mean(0), float(rows.std()) + 1e-3
    if not voiced.any():
        return np.full(mels.shape, SILENT_MEL, np.float16)
    return np.clip((mels.astype(np.float32) - mean) / deviation, -4, 4).astype(np.float16)
