"""A person in a video whose lips Wav2Lip moves (Prajwal et al. 2020, arXiv 2008.10010).

Its sound is a spectrogram of 80 bands, 80 columns a second, a window of 16 columns for each frame, as FaceFusion 3.8
(audio.py, lip_syncer) feeds the networks that it publishes: their bands are triangles side by side, which do not overlap.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable

import cv2
import numpy as np

from facegen import media
from facegen.errors import WeightsError
from facegen.faces import Face, align, blend, mesh, parse
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.faces.parse.parser import FaceParser, parser_available
from facegen.hub import fetch
from facegen.hub.fetch import require
from facegen.inference import OnnxNetwork
from facegen.media import Patch
from facegen.talk.engines import LIPSYNC
from facegen.talk.renderers.protocol import DrivingSignals

_UNCOVERED = (*parse.FACE, parse.NECK, parse.HAIR)


def find_occlusion(image_rgb: np.ndarray, face: Face, parser: FaceParser) -> np.ndarray:
    """(H, W) 0..1: what stands before the face, such as a hand or a microphone; it stays in front."""
    matrix = align.parse_matrix(face, PARSE_SIZE)
    visible = parser.class_probability(align.warp(image_rgb, matrix, PARSE_SIZE)[None], _UNCOVERED)[0]
    outline = face.points478[list(mesh.FACE_OVAL), :2] @ matrix[:, :2].T + matrix[:, 2]
    inside: np.ndarray = mesh.polygon_mask(outline, (PARSE_SIZE, PARSE_SIZE)).astype(np.float32) / 255
    # the outline itself is uncertain, and the open mouth is dark
    inside = cv2.erode(inside, np.ones((13, 13), np.uint8))
    hidden = np.clip((0.6 - cv2.GaussianBlur(visible, (0, 0), 2)) / 0.3, 0, 1) * inside
    solid = cv2.morphologyEx(hidden, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    spread = cv2.GaussianBlur(cv2.dilate(solid, np.ones((7, 7), np.uint8)), (0, 0), 2)
    size = image_rgb.shape[1::-1]
    return cv2.warpAffine(spread, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


SAMPLE_RATE = 16000
"""Samples a second of the sound."""
BANDS, COLUMNS = 80, 16
"""Size of a window."""
COLUMN_RATE = 80
"""Columns a second; column c is centred on sample c * HOP."""
_WINDOW, _HOP = 800, SAMPLE_RATE // COLUMN_RATE
_LOW_HZ, _HIGH_HZ = 55.0, 7600.0
_PRE_EMPHASIS = 0.97
_BLOCK = 4000
_LARGEST = 4.0
"""Bound of the values of a window."""


def compute_spectrogram(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """(80, T) float32 magnitudes of a recording, brought to a peak of 1 and pre-emphasised.

    Args:
        pieces: consecutive pieces of sound, (n,) float32 mono at SAMPLE_RATE each.
    """
    sound = np.concatenate([np.zeros(0, np.float32), *pieces])
    sound = sound / max(float(np.abs(sound).max(initial=0.0)), 1e-6)
    sound = np.append(sound[:1], sound[1:] - _PRE_EMPHASIS * sound[:-1])
    # whole windows, with silence of half a one before and after, as scipy.signal.stft pads
    count = -(-(sound.size + _WINDOW - (_WINDOW - _HOP)) // _HOP)
    padded = np.zeros((count - 1) * _HOP + _WINDOW, np.float32)
    padded[_WINDOW // 2 : _WINDOW // 2 + sound.size] = sound
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = np.hanning(_WINDOW + 1)[:-1]
    blocks = (frames[first : first + _BLOCK] * (hann / hann.sum()) for first in range(0, count, _BLOCK))
    return np.concatenate([np.abs(np.fft.rfft(block, axis=1)) @ _bands().T for block in blocks]).T.astype(np.float32)


@functools.cache
def _bands() -> np.ndarray:
    """(80, 401) share of each frequency in each band."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (_LOW_HZ, _HIGH_HZ))
    hertz = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    edges = np.floor((_WINDOW + 1) * hertz / SAMPLE_RATE).astype(int)
    bands = np.zeros((BANDS, _WINDOW // 2 + 1))
    for band, (first, last) in enumerate(zip(edges[:BANDS], edges[1 : BANDS + 1], strict=True)):
        places = np.arange(last - first)
        centre, half = (last - first - 1) / 2, (last - first + (last - first) % 2) / 2
        bands[band, first:last] = 1 - np.abs(places - centre) / half
    return bands


def cut_windows(spectrogram: np.ndarray, times: np.ndarray, strength: float) -> np.ndarray:
    """(N, 80, 16) float32: what is said in the 0.2 s from each time on, as the network takes it.

    Args:
        spectrogram: from `compute_spectrogram`.
        times: (N,) seconds; past the end the last window stays.
        strength: how strongly it drives the mouth; 1 is as it was said.
    """
    missing = COLUMNS - spectrogram.shape[1]
    padded = np.pad(spectrogram, ((0, 0), (0, max(missing, 0))))
    first = np.clip((np.asarray(times) * COLUMN_RATE).astype(int), 0, padded.shape[1] - COLUMNS)
    windows = np.lib.stride_tricks.sliding_window_view(padded, COLUMNS, axis=1)[:, first].transpose(1, 0, 2)
    values = np.clip(np.log10(np.maximum(windows, 1e-5)) * 1.6 + 3.2, -_LARGEST, _LARGEST)
    return np.ascontiguousarray(values * strength, np.float32)


def read_spectrogram(signals: DrivingSignals, times: np.ndarray) -> np.ndarray:
    """(80, N) spectrogram of a talk's sound, as far as (N,) seconds of its frames reach."""
    limit = float(times[-1]) + 1.0
    whole = media.read_audio_windows(signals.request.audio, SAMPLE_RATE, window_seconds=10.0)
    return compute_spectrogram(itertools.islice(whole, int(limit // 10) + 1))


def paste_crop(
    image_rgb: np.ndarray,
    face: Face,
    drawn: np.ndarray,
    alpha: np.ndarray,
    matrix: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    parser: FaceParser | None,
) -> Patch | None:
    """A drawing of a face's crop as a patch of its frame, behind what stands before the face; None outside the frame.

    Args:
        image_rgb: (H, W, 3) uint8 the frame.
        face: the face in it.
        drawn: (S, S, 3) float32 RGB in 0..255.
        alpha: (S, S) float32 in 0..1.
        matrix: (2, 3) from the frame to the crop.
        box: (x, y) of two corners of the part of the crop that shows.
        parser: sees what stands before the face, where there is one.
    """
    (left, top), (right, bottom) = box
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float32)
    places = align.apply(align.invert(matrix), corners)
    first = np.maximum(np.floor(places.min(axis=0)), 0).astype(int)
    last = np.minimum(np.ceil(places.max(axis=0)) + 1, image_rgb.shape[1::-1]).astype(int)
    if (last <= first).any():
        return None
    picture, seen = blend.warp_back(drawn, alpha, matrix, first, last)
    if parser is not None:
        hidden = find_occlusion(image_rgb, face, parser)
        seen = seen * (1 - hidden[first[1] : last[1], first[0] : last[0]])
    shown = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return Patch(x=int(first[0]), y=int(first[1]), image_rgb=shown, alpha=seen.astype(np.float32))


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
        return cut_windows(read_spectrogram(signals, times), times, signals.request.options.mouth)

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
        box = hull.min(axis=0) - 1, hull.max(axis=0) + 1
        return paste_crop(image_rgb, face, drawn, alpha, matrix, box, self._parser)

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
