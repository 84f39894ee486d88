"""The mouth rig: a linear basis of how lips, chin and cheeks of the dense mesh move together in speech."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from facegen.faces import mesh

Array = np.ndarray

RIG_SIZE = 8
"""Coefficients of a mouth."""
MOTION_RATE = 50
"""Rows of mouth coefficients a second."""
MOUTH_CM = 5.0
"""Width of the mouth that a rig's offsets are meant for."""
TYPICAL_OPENING_CM = 1.8
"""Lip gap of a mouth that is `MOUTH_CM` wide at the wide moments of speech; recordings are brought to it."""
UPPER_LIP, LOWER_LIP = 13, 14
"""Vertices in the middle of the inner lips."""

_REST_SHARE = 15
_OPEN_SHARE = 95


@functools.cache
def mouth_weights() -> Array:
    """(468,) weight with which each vertex follows the mouth: 1 round the lips, 0 from the nose upwards."""
    topology = mesh.topology()
    lips = topology.distances[:, list(mesh.LIPS_OUTER)].min(1)
    below_nose = np.clip((-0.5 - topology.xyz[:, 1]) / 2, 0, 1)
    return (below_nose * np.clip(1.4 - lips / 5, 0.15, 1)).astype(np.float32)


@functools.cache
def _fit_weights() -> Array:
    """(468,) weight of each vertex in the fit of coefficients: lips twice."""
    lips = mesh.topology().distances[:, list(mesh.LIPS_OUTER)].min(1)
    return np.where(lips < 0.8, 2, 1).astype(np.float32) * mouth_weights()


def lip_gap(points: Array) -> Array:
    """(...,) distance of the inner lips in the picture's plane, in the unit of (..., 468, 3) points."""
    return np.linalg.norm(points[..., UPPER_LIP, :2] - points[..., LOWER_LIP, :2], axis=-1)


def mouth_width(points: Array) -> Array:
    """(...,) distance of the mouth's corners, in the unit of (..., 468, 3) points."""
    return np.linalg.norm(points[..., 61, :] - points[..., 291, :], axis=-1)


@dataclass(frozen=True, eq=False, kw_only=True)
class MouthTrack:
    """The mouth of one person over a clip, normalised for pose, size, face shape and how widely it opens."""

    offsets: Array
    """(N, 468, 3) float32 from the mouth at rest, cm, for a mouth of `MOUTH_CM` that opens `TYPICAL_OPENING_CM`."""
    gap: Array
    """(N,) float32 lip gap as measured, cm, for a mouth of `MOUTH_CM`."""
    opening_scale: float
    """How widely this person opens the mouth, by `TYPICAL_OPENING_CM`."""

    @classmethod
    def of(cls, points: Array) -> MouthTrack:
        """From (N, 468, 3) canonical points (`mesh.Pose.to_canonical`) of consecutive frames."""
        gap = lip_gap(points)
        rest = points[gap <= np.percentile(gap, _REST_SHARE)].mean(0)
        unit = float(np.median(mouth_width(points))) / MOUTH_CM
        gap = gap / unit
        widest = float(np.clip(np.percentile(gap, _OPEN_SHARE), 0.3, 3.0))
        opening_scale = widest / TYPICAL_OPENING_CM
        offsets = (points - rest) / unit / opening_scale * mouth_weights()[:, None]
        return cls(offsets=offsets.astype(np.float32), gap=gap.astype(np.float32), opening_scale=opening_scale)


@dataclass(frozen=True, eq=False, kw_only=True)
class MouthRig:
    """A linear basis of mouth movements, measured on people who speak."""

    shapes: Array
    """(K, 468, 3) float32 offsets from the mouth at rest, cm; one unit is one deviation of speech."""

    @classmethod
    def of(cls, offsets: Array, count: int) -> MouthRig:
        """The `count` principal components of (N, 468, 3) offsets from rest (rest is the origin, not their mean)."""
        importance = _fit_weights()[:, None]
        flat = (offsets * importance).reshape(len(offsets), -1)
        _, strengths, directions = np.linalg.svd(flat, full_matrices=False)
        deviations = strengths[:count] / np.sqrt(len(flat))
        shapes = (directions[:count] * deviations[:, None]).reshape(count, mesh.VERTEX_COUNT, 3)
        shapes = np.where(importance > 0, shapes / np.maximum(importance, 1e-6), 0)
        # the first sign is arbitrary: positive opens the mouth
        opening = shapes[:, UPPER_LIP, 1] - shapes[:, LOWER_LIP, 1]
        return cls(shapes=(shapes * np.where(opening < 0, -1, 1)[:, None, None]).astype(np.float32))

    @property
    def opening(self) -> Array:
        """(K,) what one unit of each coefficient adds to the lip gap, cm."""
        return self.shapes[:, UPPER_LIP, 1] - self.shapes[:, LOWER_LIP, 1]

    def coefficients(self, offsets: Array) -> Array:
        """(N, K) float32 coefficients that fit (N, 468, 3) offsets with least squared error."""
        importance = _fit_weights()[:, None]
        basis = (self.shapes * importance).reshape(len(self.shapes), -1)
        flat = (offsets * importance).reshape(len(offsets), -1)
        return np.asarray(flat @ np.linalg.pinv(basis), np.float32)

    def offsets(self, coefficients: Array) -> Array:
        """(..., 468, 3) offsets, cm for a mouth of `MOUTH_CM`, of (..., K) coefficients."""
        return np.tensordot(coefficients, self.shapes, 1)


@functools.cache
def load_rig() -> MouthRig:
    """The rig that ships with facegen.

    Raises:
        WeightsError: its file is missing or was changed.
    """
    from safetensors.numpy import load_file

    from facegen import hub
    from facegen.talk.weights import RIG

    return MouthRig(shapes=load_file(hub.fetch(RIG))["shapes"].astype(np.float32))
