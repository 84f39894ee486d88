"""Neutral shape of a person: the dense mesh without its expression."""

from __future__ import annotations

import functools

import numpy as np

from facegen.faces import mesh
from facegen.faces.face import BLENDSHAPE_INDEX
from facegen.faces.mesh import Array

EXPRESSION_NAMES = ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthFunnel", "mouthPucker")
"""The expressions that change a face's proportions most."""
_NEUTRAL = np.array([0.01, 0.15, 0.15, 0.05, 0.05], np.float32)
"""Coefficients of a neutral face."""
_COLUMNS = [BLENDSHAPE_INDEX[name] for name in EXPRESSION_NAMES]
_SAMPLES = 200


@functools.cache
def displacements() -> Array:
    """(5, 468, 3) displacement of the vertices by each expression of `EXPRESSION_NAMES` at full strength, canonical cm."""
    from safetensors.numpy import load_file

    from facegen import hub
    from facegen.faces.weights import EXPRESSIONS

    return load_file(hub.fetch(EXPRESSIONS))["movements"].astype(np.float32)


def neutral_shape(points478: Array, blendshapes: Array) -> Array:
    """(468, 3) canonical cm of a face without its expression, estimated from one picture.

    Args:
        points478: (478, 3) pixels.
        blendshapes: (52,) 0..1.
    """
    canonical = mesh.Pose.of(points478).to_canonical(points478[: mesh.VERTEX_COUNT])
    return canonical - np.tensordot(_strengths(blendshapes), displacements(), 1)


def neutral_shape_of_track(points478: Array, blendshapes: Array) -> Array:
    """(468, 3) canonical cm of a person without expression, from many frames: the calmest and most frontal count most.

    Args:
        points478: (N, 478, 3) pixels.
        blendshapes: (N, 52) 0..1.
    """
    rows = np.unique(np.linspace(0, len(points478) - 1, _SAMPLES).astype(int))
    poses = [mesh.Pose.of(points478[row]) for row in rows]
    turned_deg = np.degrees(np.arccos(np.clip([pose.rotation[2, 2] for pose in poses], -1, 1)))
    activity = _strengths(blendshapes[rows]).sum(1)
    weights = np.clip(1.3 - turned_deg / 25, 0.05, 1) * np.exp(-(activity - activity.min()) / 0.5)
    shapes = [neutral_shape(points478[row], blendshapes[row]) for row in rows]
    return np.average(shapes, 0, weights).astype(np.float32)


def _strengths(blendshapes: Array) -> Array:
    """(..., 5) of (..., 52)."""
    return np.maximum(blendshapes[..., _COLUMNS] - _NEUTRAL, 0).astype(np.float32)
