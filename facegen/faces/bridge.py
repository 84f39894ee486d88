"""Short gaps in a track filled, so that a face does not blink out behind a hand or a blurred frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegen.faces.track import Sample

BRIDGED_SCORE = 0.5
"""A bridged face's score is this share of the lower of its neighbours'."""


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
    """(N,) float32, lower where bridged."""


def bridge_gaps(samples: Sequence[Sample], indices: Sequence[int], seconds: Sequence[float]) -> TrackArrays:
    """The samples of a track with the frames between them filled in.

    Points, places and expressions go straight from one side of a gap to the other in time, and so do rotations, made
    orthonormal again. Gaps longer than `follow.GAP_SECONDS` do not exist within a track.

    Args:
        samples: the track, rising in time.
        indices: index of every frame of the clip, rising.
        seconds: timestamp of every frame of the clip.
    """
    frame_indices, frame_seconds = np.asarray(indices), np.asarray(seconds, np.float64)
    span = (frame_indices >= samples[0].index) & (frame_indices <= samples[-1].index)
    wanted, times = frame_indices[span], frame_seconds[span]
    known = np.array([sample.index for sample in samples])
    after = np.searchsorted(known, wanted)
    is_known = known[after] == wanted
    before = np.where(is_known, after, after - 1)
    known_times = np.array([sample.seconds for sample in samples])
    gap = np.maximum(known_times[after] - known_times[before], 1e-9)
    share = np.where(is_known, 0.0, (times - known_times[before]) / gap).astype(np.float32)

    def between(values: np.ndarray) -> np.ndarray:
        shares = share.reshape(-1, *[1] * (values.ndim - 1))
        return values[before] + (values[after] - values[before]) * shares

    matrices = between(np.stack([sample.matrix for sample in samples]))
    u, _, vt = np.linalg.svd(matrices[:, :3, :3])
    matrices[:, :3, :3] = u @ vt
    scores = np.array([sample.score for sample in samples], np.float32)
    lower = np.minimum(scores[before], scores[after]) * BRIDGED_SCORE
    return TrackArrays(
        indices=wanted.astype(np.int32),
        seconds=times,
        points=between(np.stack([sample.points.unpack() for sample in samples])),
        matrices=matrices,
        blendshapes=between(np.stack([sample.blendshapes for sample in samples])),
        scores=np.where(is_known, scores[after], lower).astype(np.float32),
    )
