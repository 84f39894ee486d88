"""Sound as the field hears it: sixteen rows of features round every frame, as DeepSpeech's are in the reference."""

from __future__ import annotations

import numpy as np

from facegen.talk.dfrf.folder import FEATURES_AT_ONCE
from facegen.talk.motion import MotionModel
from facegen.talk.rig import RIG_SIZE
from facegen.talk.speech import FEATURES, Speech

WIDTH = FEATURES + RIG_SIZE
"""Numbers in a row: mels and phones, then what the speaker-independent motion network makes a mouth do to it."""
ROWS_A_SECOND = 50
_AT_ONCE = 500


def frame_sounds(speech: Speech, seconds: np.ndarray) -> np.ndarray:
    """(N, FEATURES_AT_ONCE, WIDTH) float16 features round given moments (N,)."""
    places = np.arange(FEATURES_AT_ONCE) - (FEATURES_AT_ONCE - 1) / 2
    moments = np.asarray(seconds)[:, None] + places[None] / ROWS_A_SECOND
    mouth = MotionModel.load().animate_mouth(speech, np.maximum(moments.ravel(), 0))
    rows = np.empty((*moments.shape, WIDTH), np.float16)
    rows[..., FEATURES:] = mouth.reshape(*moments.shape, RIG_SIZE)
    features = speech.features()
    for start in range(0, len(rows), _AT_ONCE):
        part = moments[start : start + _AT_ONCE]
        rows[start : start + _AT_ONCE, :, :FEATURES] = speech.sample(features, part.ravel()).reshape(
            *part.shape, FEATURES
        )
    return rows
