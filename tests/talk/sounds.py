"""Sounds for the talk tests, made on the spot."""

import wave
from pathlib import Path

import numpy as np


def babble(seconds: float, *, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """(n,) float32: syllables of a buzzing voice with two formants, a pause in the middle third of every 2 s."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / rate)) * 0.3
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * time), 0, 1)
    formant = 600 + 300 * np.sin(2 * np.pi * 1.3 * time)
    voice = buzz * (1 + np.sin(2 * np.pi * np.cumsum(formant) / rate)) * syllables
    voice[(time % 2 > 1.2) & (time % 2 < 1.8)] = 0
    return (voice * 0.5 + random.normal(0, 1e-3, time.size)).astype(np.float32)


def no_speech(kind: str, seconds: float, *, rate: int = 16000) -> np.ndarray:
    """(n,) float32 of what nobody says: tone, noise, chord, beeps, siren, tune or drums."""
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    beat = time % 0.4
    if kind == "noise":
        sound = random.normal(0, 0.5, time.size)
    elif kind == "chord":
        sound = np.sum([np.sin(2 * np.pi * hz * time) for hz in (262, 330, 392)], 0) / 3
    elif kind == "beeps":
        sound = np.sin(2 * np.pi * 880 * time) * (time % 0.5 < 0.25)
    elif kind == "siren":
        sound = np.sin(2 * np.pi * np.cumsum(700 + 300 * np.sin(np.pi * time)) / rate)
    elif kind == "tune":
        pitch = 220 * 2 ** (random.choice([0, 2, 4, 5, 7, 9, 11, 12], 1 + int(seconds / 0.4)) / 12)
        hz = pitch[(time / 0.4).astype(int)]
        sound = np.sum([np.sin(2 * np.pi * hz * k * beat) * np.exp(-beat * (2 + k)) / k for k in range(1, 8)], 0)
    elif kind == "drums":
        kick = np.sin(2 * np.pi * (50 + 100 * np.exp(-beat * 30)) * beat) * np.exp(-beat * 15)
        sound = kick + random.normal(0, 0.3, time.size) * np.exp(-(time % 0.2) * 60)
    else:
        sound = np.sin(2 * np.pi * 440 * time)
    return (sound * 0.5).astype(np.float32)


def write_wave(path: Path, samples: np.ndarray, *, rate: int = 16000, channels: int = 1) -> Path:
    """Write (n,) samples as 16-bit WAV, the same on every channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        whole = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        file.writeframes(np.repeat(whole[:, None], channels, 1).tobytes())
    return path
