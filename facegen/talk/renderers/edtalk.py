"""A person in a video whose mouth EDTalk moves (Tan et al. 2024, arXiv 2404.01647): the whole face is drawn anew.

The sound is that of Wav2Lip (`lipsync.py`); the face is an FFHQ crop of 256 pixels, as FaceFusion 3.8 (lip_syncer) feeds it.
"""

from __future__ import annotations

import cv2
import numpy as np

from facegen.errors import WeightsError
from facegen.faces import Face, align
from facegen.faces.parse.parser import FaceParser, parser_available
from facegen.hub import fetch
from facegen.hub.fetch import require
from facegen.inference import OnnxNetwork
from facegen.media import Patch
from facegen.talk.engines import LIPSYNC
from facegen.talk.renderers.lipsync import BANDS, COLUMNS, cut_windows, paste_crop, read_spectrogram
from facegen.talk.renderers.protocol import DrivingSignals

Array = np.ndarray
SIDE = 256
"""Pixels of the network's pictures."""
_CROP = 512
_EDGE = 0.15
"""Share of the crop over which the drawing fades into the frame."""
_USUAL = 0.5
"""The network's `weight` for a mouth that opens as it was said."""


class EdTalkPerson:
    """Draws a face from 0.2 s of sound and the face itself; holds nothing of a talk.

    Raises:
        WeightsError: the model is not here, or its file holds another network.
    """

    def __init__(self) -> None:
        weight = LIPSYNC["edtalk"]
        require([weight], "the engine edtalk", "the engine portrait")
        path = fetch(weight)
        self._network = OnnxNetwork(path, name=weight.name, threads=2)
        shapes = self._network.inputs
        wanted = {"source": (1, BANDS, COLUMNS), "target": (3, SIDE, SIDE), "weight": ()}
        if {name: shape[1:] for name, shape in shapes.items()} != wanted:
            raise WeightsError(
                f"Expected edtalk with the inputs {wanted} in {path}, found {shapes}; run: facegen weights fetch edtalk"
            )
        self._parser = FaceParser() if parser_available() else None
        edge = np.clip(np.minimum(np.arange(_CROP), np.arange(_CROP)[::-1]) / np.float32(_EDGE * _CROP), 0, 1)
        self._alpha = np.minimum(edge[:, None], edge[None]).astype(np.float32)

    def drive(self, signals: DrivingSignals, times: Array) -> Array:
        """(N, 80, 17) float32: 16 columns of the sound at (N,) seconds, and the network's `weight` in the last one."""
        windows = cut_windows(read_spectrogram(signals, times), times, 1.0)
        weight = min(_USUAL * signals.request.options.mouth, 1.0)
        return np.pad(windows, ((0, 0), (0, 0), (0, 1)), constant_values=weight)

    def patch(self, image_rgb: np.ndarray, face: Face, mouth: Array) -> Patch | None:
        """The face of a frame whose mouth says what a row of `drive` says."""
        matrix = align.similarity(face.points5, align.TEMPLATES["ffhq-512"], _CROP)
        small = cv2.resize(align.warp(image_rgb, matrix, _CROP), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        feeds = {
            "source": mouth[None, None, :, :COLUMNS],
            "target": small.transpose(2, 0, 1)[None].astype(np.float32) / 255,
            "weight": mouth[0, COLUMNS:],
        }
        made = np.clip(self._network.run(feeds)[0][0], 0, 1).transpose(1, 2, 0) * np.float32(255)
        drawn = cv2.resize(made, (_CROP, _CROP), interpolation=cv2.INTER_CUBIC)
        box = np.zeros(2, np.float32), np.full(2, _CROP, np.float32)
        return paste_crop(image_rgb, face, drawn, self._alpha, matrix, box, self._parser)
