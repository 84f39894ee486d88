"""One face tracked through a clip: samples, predicted box, best pictures; interpolation of short gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from facegen.faces import align, skin
from facegen.faces.detector import overlap
from facegen.faces.face import Face
from facegen.faces.recogniser import chip

INTERPOLATED_SCORE = 0.5
"""An interpolated face's score is this share of the lower of its neighbours'."""

_MAX_STEP = 32767
_MAX_PORTRAITS = 4
_MAX_SKIN_SAMPLES = 128
_PORTRAIT_GAP_SECONDS = 0.7
_THUMBNAIL_PX = 192
_MAX_ROLL_DEG = 20.0
_VELOCITY_SECONDS = 0.15


@dataclass(frozen=True, eq=False, kw_only=True)
class PackedPoints:
    """Points of one face in a quarter of the memory: 16-bit steps of 1/16,000 of the face's size."""

    frame: np.ndarray
    """(4,) float32: origin x, y, z and half extent, pixels."""
    steps: np.ndarray
    """(478, 3) int16."""

    @classmethod
    def of(cls, points478: np.ndarray) -> PackedPoints:
        """Packs (478, 3) pixels; the error is below 0.02 px for a face of 500 px."""
        low, high = points478.min(axis=0), points478.max(axis=0)
        extent = max(float((high - low).max()) / 2, 1e-3)
        frame = np.array([*((low + high) / 2), extent], np.float32)
        steps = np.rint((points478 - frame[:3]) * (_MAX_STEP / frame[3])).clip(-_MAX_STEP, _MAX_STEP).astype(np.int16)
        return cls(frame=frame, steps=steps)

    def unpack(self) -> np.ndarray:
        """(478, 3) float32 pixels."""
        return self.steps * (self.frame[3] / _MAX_STEP) + self.frame[:3]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """A face in one frame."""

    index: int
    seconds: float
    points: PackedPoints
    matrix: np.ndarray
    """(4, 4) float32."""
    blendshapes: np.ndarray
    """(52,) float32."""
    score: float
    box_xyxy: np.ndarray
    """(4,) float32."""

    @classmethod
    def of(cls, face: Face, index: int, seconds: float) -> Sample:
        """The face in frame `index`."""
        return cls(
            index=index,
            seconds=seconds,
            points=PackedPoints.of(face.points478),
            matrix=face.matrix,
            blendshapes=face.blendshapes,
            score=face.score,
            box_xyxy=face.box_xyxy,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Portrait:
    """A good picture of a tracked face, from which its person is recognised."""

    quality: float
    index: int
    seconds: float
    chip_rgb: np.ndarray
    """(150, 150, 3) uint8 for the recogniser."""
    thumbnail_rgb: np.ndarray
    """(192, 192, 3) uint8 for people to look at."""


@dataclass(eq=False, kw_only=True)
class Track:
    """A face while it is tracked, forwards or backwards in time."""

    samples: list[Sample] = field(default_factory=list)
    portraits: list[Portrait] = field(default_factory=list)
    skins: list[np.ndarray] = field(default_factory=list)
    """`skin.sample_tones` of some frames, evenly over the whole track."""
    confirmed_count: int = 0
    """How many samples there were when the detector last saw this face too."""
    unconfirmed: int = 0
    """How often in a row the detector did not."""

    _skin_count: int = 0
    _skin_step: int = 1

    @property
    def last(self) -> Sample:
        """The newest sample."""
        return self.samples[-1]

    def predicted_box(self, seconds: float) -> np.ndarray:
        """(4,) float32: where the box will be at a time, by constant velocity over the last moments."""
        last = self.last
        earlier = last
        for sample in self.samples[-2:-8:-1]:
            if abs(last.seconds - sample.seconds) > _VELOCITY_SECONDS:
                break
            earlier = sample
        if earlier is last:
            return last.box_xyxy
        ahead = (seconds - last.seconds) / (last.seconds - earlier.seconds)
        shift = ((last.box_xyxy - earlier.box_xyxy).reshape(2, 2).mean(axis=0)) * np.clip(ahead, 0, 3)
        return (last.box_xyxy + np.tile(shift, 2)).astype(np.float32)

    def crop_roll_deg(self) -> float:
        """Tilt to take out of the next crop; small ones are left to the landmark network."""
        right = self.last.matrix[:2, 0]
        roll = -float(np.degrees(np.arctan2(right[1], right[0])))
        return roll if abs(roll) > _MAX_ROLL_DEG else 0.0

    def add_skin_sample(self, image_rgb: np.ndarray, face: Face) -> None:
        """Adds the skin tones of this frame; the longer the track, the fewer frames are sampled."""
        self._skin_count += 1
        if (self._skin_count - 1) % self._skin_step == 0:
            self.skins.append(skin.sample_tones(image_rgb, face.points478).astype(np.float16))
        if len(self.skins) >= _MAX_SKIN_SAMPLES:
            self.skins, self._skin_step = self.skins[::2], self._skin_step * 2

    def add_portrait(self, image_rgb: np.ndarray, face: Face, index: int, seconds: float) -> None:
        """Keeps this view of the face if it is among the best, at least `_PORTRAIT_GAP_SECONDS` apart."""
        frontal = max(0.05, np.cos(np.radians(face.yaw_deg)) * np.cos(np.radians(face.pitch_deg))) ** 2
        ceiling = face.score * frontal * min(1.0, face.size_px / 150)
        near = [p for p in self.portraits if abs(p.seconds - seconds) < _PORTRAIT_GAP_SECONDS]
        candidates = near or (self.portraits if len(self.portraits) >= _MAX_PORTRAITS else [])
        worst = min(candidates, key=lambda p: p.quality) if candidates else None
        if worst is not None and ceiling <= worst.quality:
            return
        picture = chip(image_rgb, face.points478)
        detail = float(cv2.Laplacian(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.CV_32F).std())
        quality = ceiling * min(1.0, 0.3 + detail / 20)
        if worst is not None and quality <= worst.quality:
            return
        self.portraits = [p for p in self.portraits if p is not worst]
        thumbnail = _thumbnail(image_rgb, face.box_xyxy)
        self.portraits.append(
            Portrait(quality=quality, index=index, seconds=seconds, chip_rgb=picture, thumbnail_rgb=thumbnail)
        )


def match(tracks: list[Track], boxes: list[np.ndarray], seconds: float, min_overlap: float) -> dict[int, int]:
    """Pairs boxes with tracks so that the total overlap is greatest (Kuhn 1955).

    Args:
        tracks: candidates, each compared by its predicted box.
        boxes: (4,) boxes seen at `seconds`.
        seconds: time of the boxes.
        min_overlap: pairs that overlap less are not made.

    Returns:
        Index of the box -> index of the track.
    """
    if not tracks or not boxes:
        return {}
    predicted = [track.predicted_box(seconds) for track in tracks]
    overlaps = np.array([[overlap(box, where) for where in predicted] for box in boxes])
    if overlaps.size == 1:
        return {0: 0} if overlaps[0, 0] >= min_overlap else {}
    # half a second that clips with one face need not wait
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-overlaps)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if overlaps[row, column] >= min_overlap}


def _thumbnail(image_rgb: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """(192, 192, 3) uint8: the face with some hair and neck."""
    center = (box_xyxy[:2] + box_xyxy[2:]) / 2
    height, width = image_rgb.shape[:2]
    side = min(float((box_xyxy[2:] - box_xyxy[:2]).max()) * 1.7, height, width)
    # within the picture where that is possible
    x = float(np.clip(center[0], side / 2, width - side / 2)) - 0.5
    y = float(np.clip(center[1] - 0.06 * side, side / 2, height - side / 2)) - 0.5
    matrix = align.crop_matrix((x, y), side, 0.0, _THUMBNAIL_PX)
    return align.warp(image_rgb, matrix, _THUMBNAIL_PX)


@dataclass(frozen=True, eq=False, kw_only=True)
class TrackArrays:
    """A track without gaps: a row of each array is a frame."""

    indices: np.ndarray
    """(N,) int32."""
    seconds: np.ndarray
    """(N,) float64."""
    points: np.ndarray
    """(N, 478, 3) float32 pixels."""
    matrices: np.ndarray
    """(N, 4, 4) float32."""
    blendshapes: np.ndarray
    """(N, 52) float32."""
    scores: np.ndarray
    """(N,) float32, lower where interpolated."""


def bridge_gaps(samples: Sequence[Sample], indices: Sequence[int], seconds: Sequence[float]) -> TrackArrays:
    """The samples of a track with the frames between them interpolated.

    Points, translations, blendshapes and rotations are interpolated linearly in time; rotations are orthonormalised. Gaps longer than `tracker.GAP_SECONDS` do not exist within a track.

    Args:
        samples: the track, rising in time.
        indices: index of every frame of the clip, rising.
        seconds: timestamp of every frame of the clip.
    """
    frame_indices, frame_seconds = np.asarray(indices), np.asarray(seconds, np.float64)
    span = (frame_indices >= samples[0].index) & (frame_indices <= samples[-1].index)
    span_indices, times = frame_indices[span], frame_seconds[span]
    known = np.array([sample.index for sample in samples])
    after = np.searchsorted(known, span_indices)
    is_known = known[after] == span_indices
    before = np.where(is_known, after, after - 1)
    known_times = np.array([sample.seconds for sample in samples])
    gap = np.maximum(known_times[after] - known_times[before], 1e-9)
    share = np.where(is_known, 0.0, (times - known_times[before]) / gap).astype(np.float32)

    def interpolate(values: np.ndarray) -> np.ndarray:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        return values[before] + (values[after] - values[before]) * shares

    matrices = interpolate(np.stack([sample.matrix for sample in samples]))
    u, _, vt = np.linalg.svd(matrices[:, :3, :3])
    matrices[:, :3, :3] = u @ vt
    scores = np.array([sample.score for sample in samples], np.float32)
    lower = np.minimum(scores[before], scores[after]) * INTERPOLATED_SCORE
    return TrackArrays(
        indices=span_indices.astype(np.int32),
        seconds=times,
        points=interpolate(np.stack([sample.points.unpack() for sample in samples])),
        matrices=matrices,
        blendshapes=interpolate(np.stack([sample.blendshapes for sample in samples])),
        scores=np.where(is_known, scores[after], lower).astype(np.float32),
    )
