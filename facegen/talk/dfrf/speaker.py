"""A trained field that says something new: the head moves as it did in the video, to and fro, and the mouth as it hears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from facegen.talk.dfrf.expression import UPPER_FACE
from facegen.talk.dfrf.listening import frame_sounds
from facegen.talk.dfrf.paint import Painter
from facegen.talk.options import TalkOptions
from facegen.talk.speech import Speech

_CALM_BLINK_PERCENTILE = 30


class FieldSpeaker:
    """One talk of one person.

    Args:
        painter: draws the person.
        speech: what is said.
        seconds: (N,) when each frame is shown.
        options: `seed` chooses where in the video the movements begin, `still` keeps the head, `blink` lets eyes blink.
    """

    def __init__(self, painter: Painter, speech: Speech, seconds: np.ndarray, options: TalkOptions) -> None:
        self.painter, self.options = painter, options
        self._sounds = frame_sounds(speech, seconds)
        steps = painter.scene.steps
        length = steps.train_frames
        start = int(np.random.default_rng(options.seed).integers(length)) if options.seed else 0
        place = (start + np.round(seconds * steps.frame_rate).astype(int)) % max(2 * length - 2, 1)
        self._frames = np.where(place < length, place, 2 * length - 2 - place)
        self._still = painter.scene.reference_frames[0]
        self._open = float(np.percentile(painter.scene.eyes[:length, 0], _CALM_BLINK_PERCENTILE))

    def draw(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: one frame."""
        scene = self.painter.scene
        own = scene.eyes[self._frames[index]]
        if self.options.still:
            # what goes with the head's pose stays with it
            own = np.concatenate([own[: len(UPPER_FACE)], scene.eyes[self._still][len(UPPER_FACE) :]])
        pose = scene.pose(self._still if self.options.still else int(self._frames[index]))
        eyes = own if self.options.blink else np.array([min(float(own[0]), self._open), *own[1:]], np.float32)
        windows = scene.sound_windows(self._sounds, np.array([index]))[0]
        return self.painter.paint(replace(pose, eyes=eyes), windows.astype(np.float32))
