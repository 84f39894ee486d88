"""A person in a video whose lips Wav2Lip moves (Prajwal et al. 2020, arXiv 2008.10010)."""

from __future__ import annotations

import itertools

import cv2
import numpy as np

from facegen import media
from facegen.errors import WeightsError
from facegen.faces import Face, align, blend, mesh
from facegen.faces.parse.parser import FaceParser, parser_available
from facegen.hub import fetch
from facegen.hub.presence import require
from facegen.inference import OnnxNetwork
from facegen.media import Patch
from facegen.talk.lipsync.mel import BANDS, COLUMNS, SAMPLE_RATE, compute_spectrogram, cut_windows
from facegen.talk.lipsync.models import LIPSYNC
from facegen.talk.renderers.occlusion import find_occlusion
from facegen.talk.renderers.protocol import DrivingSignals

Array = np.ndarray
SIDE = 96
"""Pixels of the network's pictures."""
_CROP = 512
_RAISED = 1 / 8
"""By how much of its height the box of the 68 points is raised, to take in the forehead."""
_LOWER_FACE = (*range(3, 14), *range(35, 30, -1))
"""Of the 68 points: the jaw, and back below the nose."""
_SOFT_PX = 5.0
_THREADS = 2


class LipSyncPerson:
    """Draws the mouth of a face from 0.2 s of sound and the face itself; holds nothing of a talk.

    Args:
        engine: a name of `LIPSYNC`.

    Raises:
        WeightsError: the model is not here, or its file holds another network.
    """

    def __init__(self, engine: str) -> None:
        weight = LIPSYNC[engine]
        require([weight], f"the engine {engine}", "the engine portrait")
        path = fetch(weight)
        self._network = OnnxNetwork(path, name=engine, threads=_THREADS)
        shapes = self._network.inputs
        wanted = {"source": (1, BANDS, COLUMNS), "target": (6, SIDE, SIDE)}
        if {name: shape[1:] for name, shape in shapes.items()} != wanted:
            raise WeightsError(
                f"Expected {engine} with the inputs {wanted} in {path}, found {shapes}; run: facegen weights fetch {engine}"
            )
        self._parser = FaceParser() if parser_available() else None

    def drive(self, signals: DrivingSignals, times: Array) -> Array:
        """(N, 80, 16) float32 windows of the sound at (N,) seconds."""
        limit = float(times[-1]) + 1.0
        whole = media.read_audio_windows(signals.request.audio, SAMPLE_RATE, window_seconds=10.0)
        pieces = itertools.islice(whole, int(limit // 10) + 1)
        return cut_windows(compute_spectrogram(pieces), times, signals.request.options.mouth)

    def patch(self, image_rgb: np.ndarray, face: Face, sound: Array) -> Patch | None:
        """The lower face of a frame with a mouth that says what a (80, 16) window of sound says."""
        matrix = align.similarity(face.points5, align.TEMPLATES["ffhq-512"], _CROP)
        points = align.apply(matrix, face.points68).astype(np.float32)
        low, high = points.min(axis=0), points.max(axis=0)
        low[1] = max(low[1] - (high[1] - low[1]) * _RAISED, 0.0)
        to_side = _box_matrix(low, high)
        crop = align.warp(image_rgb, matrix, _CROP)
        small = cv2.warpAffine(crop, to_side, (SIDE, SIDE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        drawn = cv2.warpAffine(
            self._draw(small, sound),
            to_side,
            (_CROP, _CROP),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        hull = cv2.convexHull(points[list(_LOWER_FACE)])[:, 0]
        mask = cv2.GaussianBlur(mesh.polygon_mask(hull, (_CROP, _CROP)).astype(np.float32) / 255, (0, 0), _SOFT_PX)
        alpha = np.clip(mask * 2 - 1, 0, 1)
        corners = align.apply(align.invert(matrix), np.array([hull.min(axis=0) - 1, hull.max(axis=0) + 1]))
        others = align.apply(
            align.invert(matrix), np.array([[hull[:, 0].min(), hull[:, 1].max()], [hull[:, 0].max(), hull[:, 1].min()]])
        )
        places = np.concatenate([corners, others])
        first = np.maximum(np.floor(places.min(axis=0)), 0).astype(int)
        last = np.minimum(np.ceil(places.max(axis=0)) + 1, image_rgb.shape[1::-1]).astype(int)
        if (last <= first).any():
            return None
        picture, seen = blend.warp_back(drawn, alpha, matrix, first, last)
        if self._parser is not None:
            hidden = find_occlusion(image_rgb, face, self._parser)
            seen = seen * (1 - hidden[first[1] : last[1], first[0] : last[0]])
        shown = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return Patch(x=int(first[0]), y=int(first[1]), image_rgb=shown, alpha=seen.astype(np.float32))

    def _draw(self, small_rgb: np.ndarray, sound: Array) -> Array:
        """(96, 96, 3) float32 RGB in 0..255 of a face whose lower half the network draws anew."""
        seen = small_rgb[..., ::-1].astype(np.float32).transpose(2, 0, 1) / 255
        hidden = seen.copy()
        hidden[:, SIDE // 2 :] = 0
        feeds = {"source": sound[None, None], "target": np.concatenate([hidden, seen])[None]}
        made = np.clip(self._network.run(feeds)[0][0], 0, 1)
        return np.ascontiguousarray(made[::-1].transpose(1, 2, 0) * np.float32(255))


def _box_matrix(low: Array, high: Array) -> Array:
    """(2, 3) matrix that stretches the box from `low` to `high` over the network's picture."""
    scale = SIDE / np.maximum(high - low, 1)
    return np.array([[scale[0], 0, -low[0] * scale[0]], [0, scale[1], -low[1] * scale[1]]], np.float32)
