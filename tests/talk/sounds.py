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


def write_wave(path: Path, samples: np.ndarray, *, rate: int = 16000, channels: int = 1) -> Path:
    """Write (n,) samples as 16-bit WAV, the same on every channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        whole = (np.clip(samples, -1, 1) * 32767).astype("<i2")
        file.writeframes(np.repeat(whole[:, None], channels, 1).tobytes())
    return path
