"""`LiveSwap`: swaps one face of a camera's frames, with causal smoothing over a few frames' statistics."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from facegen import media
from facegen.faces import Face, FaceAnalyser
from facegen.faces.detector import Detection
from facegen.provenance import Watermark
from facegen.swap.coverings import find_coverings, load_parser, require_eyes
from facegen.swap.engines.protocol import GROUP_FRAMES, Engine
from facegen.swap.enhancement import finish_patch
from facegen.swap.options import SwapOptions
from facegen.swap.sources import load_sources

LONGEST_SIDE = 640
"""Larger frames are made smaller first: 480p is what two cores keep up with."""
_DETECT_EVERY = 12
_LOST_SCORE = 0.4
_STILL, _MOVING = 0.35, 0.04
"""Weight of a new position at rest, and how much of the face's size is a full movement."""
_MEMORY = 12


class LiveSwap:
    """Puts one face onto the largest one of each frame that comes in. Not safe for several threads: one for a visitor.

    Args:
        sources: pictures of the face.
        analyser: detects the faces.
        engine: computes and draws the new face.
        options: its strengths.

    Raises:
        NoFaceError: no face in a source.
        InputError: a source cannot be read, or shows no eye.
    """

    def __init__(
        self, sources: Sequence[str], analyser: FaceAnalyser, engine: Engine, options: SwapOptions | None = None
    ) -> None:
        self._analyser, self._engine, self._options = analyser, engine, options or SwapOptions(occlusion=False)
        pictures = load_sources(sources, analyser).pictures
        require_eyes(find_coverings(pictures, load_parser()))
        self._identity = engine.prepare(pictures)
        self._face: Face | None = None
        self._previous: Any = None
        self._statistics: deque[Any] = deque(maxlen=_MEMORY)
        self._watermark: Watermark | None = None
        self._count = 0
        self.seconds = 0.0
        """What the last frame took."""

    def __call__(self, image_rgb: np.ndarray) -> np.ndarray:
        """The frame with the new face, (H, W, 3) uint8 RGB, marked; at most `LONGEST_SIDE` pixels long."""
        begun = time.perf_counter()
        frame = _fit(image_rgb)
        face = self._follow(frame)
        if face is not None:
            previous = self._previous if self._count % GROUP_FRAMES else None
            prediction = self._engine.predict(frame, face, self._identity, self._options, previous=previous)
            self._previous = prediction
            self._statistics.append(prediction.statistics)
            # the past alone: what comes is not known, and waiting for it would be seen
            window = list(self._statistics)
            statistics = self._engine.smooth(window, len(window) - 1, self._options)
            patch = self._engine.composite(prediction, statistics, self._options, seed=self._count & 0xFFFF)
            frame = media.paste_picture(frame, [finish_patch(patch, frame, face.points5, self._options)])
        self._count += 1
        marked = self._mark(frame)
        self.seconds = time.perf_counter() - begun
        return marked

    def _follow(self, frame: np.ndarray) -> Face | None:
        """The largest face; between two looks of the detector it is looked for where it was."""
        found: Face | None = None
        last = self._face
        if last is not None and self._count % _DETECT_EVERY:
            found = self._analyser.fit_face(
                frame, Detection(box_xyxy=last.box_xyxy, points5=last.points5, score=last.score)
            )
        if found is None or found.score < _LOST_SCORE:
            found = next(iter(self._analyser.detect(frame, max_faces=1)), None)
        if found is None or last is None or not _is_near(found, last):
            self._statistics.clear()
            self._previous = None
            self._face = found
            return found
        self._face = _smooth(found, last)
        return self._face

    def _mark(self, frame: np.ndarray) -> np.ndarray:
        if self._watermark is None or self._watermark.size_hw != frame.shape[:2]:
            self._watermark = Watermark((frame.shape[0], frame.shape[1]), salt=frame.tobytes())
        return self._watermark.mark_rgb(frame)


def _fit(image_rgb: np.ndarray) -> np.ndarray:
    scale = LONGEST_SIDE / max(image_rgb.shape[:2])
    if scale >= 1:
        return image_rgb
    size_wh = round(image_rgb.shape[1] * scale), round(image_rgb.shape[0] * scale)
    return cv2.resize(image_rgb, size_wh, interpolation=cv2.INTER_AREA)


def _is_near(face: Face, last: Face) -> bool:
    return float(np.abs(face.points5 - last.points5).mean()) < 0.4 * last.size_px


def _smooth(face: Face, last: Face) -> Face:
    """The face, held back the more the less it moves: a head at rest does not tremble, a quick one does not lag."""
    moved = float(np.abs(face.points5 - last.points5).mean()) / max(face.size_px, 1.0)
    weight = float(np.interp(moved, (0.0, _MOVING), (_STILL, 1.0)))

    def mix(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        return (weight * new + (1 - weight) * old).astype(np.float32)

    return face.replace(
        points478=mix(face.points478, last.points478),
        points5=mix(face.points5, last.points5),
        box_xyxy=mix(face.box_xyxy, last.box_xyxy),
    )
