"""Generates head motion for speech: turns, nods, blinks, glances and raised brows.

Everything follows from the seed, the sound and the options. Blinks come 10 to 25 times a minute, mostly at pauses
(Bentivoglio et al. 1997 count 26 a minute in conversation, 17 at rest); nods and brows go with loud moments.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facegen.talk.motion import Motion
from facegen.talk.speech import Speech

Array = np.ndarray

_TURN_DEG = np.array([2.6, 1.5, 1.3], np.float32)
"""Deviation of yaw, pitch and roll while speaking."""
_SHIFT_CM = np.array([0.22, 0.1, 0.3], np.float32)
_NOD_DEG = 2.0
_BLINK_SECONDS = (0.08, 0.05, 0.17)
"""Closing, closed, opening."""
_BLINK_EVERY = (2.2, 5.2)
"""Shortest and longest time between two blinks."""
_PAUSE_REACH = 0.7
_LOOK_EVERY = (0.7, 2.6)
_GAZE = np.array([0.045, 0.018], np.float32)


def generate_head_motion(
    motion: Motion,
    speech: Speech,
    seconds: Array,
    *,
    head: float,
    eyes: float,
    seed: int,
    is_still: bool,
    is_blinking: bool,
) -> Motion:
    """Adds head pose, blinks, gaze and brows to the movements of a mouth.

    Args:
        motion: movements of the mouth.
        speech: features of the sound.
        seconds: (N,) of each row of the motion, evenly spaced.
        head: how far the head moves, 0..1.
        eyes: how much eyes and brows do beside blinking, 0..1.
        seed: everything random follows from it.
        is_still: no movement of the head; the eyes still blink.
        is_blinking: whether the eyes blink.
    """
    count = len(motion)
    rate = 1 / float(seconds[1] - seconds[0]) if count > 1 else 25.0
    rng = np.random.default_rng(seed)
    loudness = speech.sample(speech.loudness, seconds)
    speaking = _smooth(speech.sample(speech.voiced.astype(np.float32), seconds), 0.35 * rate)
    accents = _accents(loudness, rate)
    # each part draws from a stream of its own, so that one option does not change the others
    streams = rng.spawn(4)
    turns, shifts = _drift(streams[0], count, 6, rate, 0.55), _drift(streams[1], count, 6, rate, 0.8)
    entered = np.clip(np.arange(count) / (0.8 * rate), 0, 1)[:, None]
    amount = (0.45 + 0.55 * speaking)[:, None] * head * entered * (not is_still)
    turn = turns[:, :3] * _TURN_DEG * amount
    turn[:, 1] -= accents * _NOD_DEG * head * entered[:, 0] * (not is_still)
    # a head that turns also tilts a little and leans with it
    turn[:, 2] += turn[:, 0] * 0.18
    shift = shifts[:, :3] * _SHIFT_CM * amount
    shift[:, 0] += turn[:, 0] * 0.03
    lids = _draw_blink_curve(streams[2], speech, seconds) * is_blinking
    gaze = _draw_glances(streams[3], seconds) * eyes
    brows = (accents * 0.65 + np.clip(turns[:, 3], -1, 1) * 0.12) * eyes * entered[:, 0]
    return replace(
        motion,
        turn_deg=turn.astype(np.float32),
        shift_cm=shift.astype(np.float32),
        lids=np.repeat(lids[:, None], 2, 1).astype(np.float32),
        brows=np.clip(brows, -1, 1).astype(np.float32),
        gaze=gaze.astype(np.float32),
    )


def _smooth(values: Array, sigma: float) -> Array:
    """Gaussian mean over rows, ends repeated."""
    reach = max(1, round(3 * sigma))
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1) / max(sigma, 0.3)) / 2)
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    if values.ndim == 1:
        return np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], 1)


def _drift(rng: np.random.Generator, count: int, columns: int, rate: float, slow_seconds: float) -> Array:
    """(count, columns) noise of deviation 1 that wanders smoothly: a slow part and a lighter, quicker one."""
    parts = []
    for seconds, share in ((slow_seconds * 1.8, 0.85), (slow_seconds * 0.5, 0.4)):
        sigma = seconds * rate
        pad = round(4 * sigma)
        noise = rng.standard_normal((count + 2 * pad, columns))
        wave = _smooth(noise, sigma)[pad : pad + count]
        # a Gaussian mean of white noise has this deviation
        parts.append(wave * np.sqrt(2 * np.sqrt(np.pi) * sigma) * share)
    return np.sum(parts, 0)


def _accents(loudness: Array, rate: float) -> Array:
    """(N,) 0..1: how far each moment is louder than those around it, softly."""
    near, far = _smooth(loudness, 0.12 * rate), _smooth(loudness, 0.9 * rate)
    return _smooth(np.clip((near - far - 0.08) / 0.3, 0, 1), 0.12 * rate)


def draw_blinks(rng: np.random.Generator, speech: Speech, length: float) -> list[float]:
    """When the eyes close, in seconds: drawn evenly apart, then moved to a pause that is near."""
    from facegen.talk.speech import FEATURE_RATE

    ends = (np.flatnonzero(speech.voiced[:-1] & ~speech.voiced[1:]) + 1) / FEATURE_RATE
    times: list[float] = []
    moment = float(rng.uniform(0.6, 2.5))
    while moment < length - 0.3:
        near = ends[np.abs(ends - moment) < _PAUSE_REACH]
        chosen = float(near[np.abs(near - moment).argmin()]) + 0.06 if near.size else moment
        if not times or chosen - times[-1] > 1.2:
            times.append(chosen)
        # most people's blinks come unevenly: short gaps are more frequent than long ones
        low, high = _BLINK_EVERY
        moment = max(moment, chosen) + low + (high - low) * float(rng.beta(1.6, 2.2))
    return times


def _draw_blink_curve(rng: np.random.Generator, speech: Speech, seconds: Array) -> Array:
    """(N,) how far the lids are closed."""
    lids = np.zeros(len(seconds))
    closing, closed, opening = _BLINK_SECONDS
    for start in draw_blinks(rng, speech, float(seconds[-1]) if len(seconds) else 0.0):
        since = seconds - start
        shut = np.clip(since / closing, 0, 1) * np.clip((closing + closed + opening - since) / opening, 0, 1)
        lids = np.maximum(lids, shut * shut * (3 - 2 * shut))
    return lids


def _draw_glances(rng: np.random.Generator, seconds: Array) -> Array:
    """(N, 2) small quick glances that always come back to the camera."""
    gaze = np.zeros((len(seconds), 2))
    if not len(seconds):
        return gaze
    moment = float(rng.uniform(0.5, 1.5))
    aim = np.zeros(2)
    while moment < float(seconds[-1]):
        following = rng.standard_normal(2) * _GAZE if rng.random() < 0.6 else np.zeros(2)
        share = np.clip((seconds - moment) / 0.05, 0, 1)[:, None]
        gaze += (following - aim) * share
        aim = following
        moment += float(rng.uniform(*_LOOK_EVERY))
    return np.clip(gaze, -0.09, 0.09)
