"""Shape transfer: the source's proportions with the target's pose and expression."""

from __future__ import annotations

import numpy as np

from facegen.faces import Face, expression, mesh
from facegen.faces.mesh import Array
from facegen.swap.engines.eyes import SIDES, eye_aspect_ratio

JAW_OPENED = 0.4
"""How much wider a swapped jaw opens, by the target's jawOpen (found by measuring jawOpen before and after)."""
LIDS_SHUT, LIDS_AWAKE, LIDS_CLOSED = 0.05, 0.35, 0.7
"""Lid gaps by eye width, and how much further lids close at the first of them: a source that looks ahead shows no lid
that would look closed (found by measuring eyeBlink before and after)."""
OUTLINE_CM = 0.7
"""How far the outline may go; a vertex inside may go as much further as it is away from it."""

_GAPS = tuple(
    (ring[index], ring[-index % len(ring)])
    for ring, corner in ((mesh.LIPS_INNER, 10), (mesh.EYE_LEFT, 8), (mesh.EYE_RIGHT, 8))
    for index in range(1, corner)
)
"""Vertices that face each other across an opening."""


def transfer_shape(points: Array, target: Face, source_rest: Array, strength: float) -> Array:
    """Moves the points of a face to the source's proportions, in the target's pose and expression.

    The difference of the two neutral shapes is added to the target's points, so that its movements are kept; the mouth
    keeps the target's own gap, and eyes that close do so a little earlier.

    Args:
        points: (478, 3) of the target, in any scale of its image.
        target: the face with that pose and expression.
        source_rest: (468, 3) canonical cm, the source without expression, see `Identity.rest_shape`.
        strength: 0 keeps the target's proportions, 1 takes the source's.

    Returns:
        (478, 3) in the scale of `points`.
    """
    pose = mesh.Pose.of(points)
    rest = target.rest
    if rest is None:
        rest = expression.neutral_shape(target.points478, target.blendshapes)
    offset = (source_rest - rest) * strength
    offset[:, 2] = 0
    length = np.linalg.norm(offset, axis=1)
    offset *= np.minimum(1, (OUTLINE_CM + mesh.topology().to_outline) / (length + 1e-6))[:, None]
    for upper, lower in _GAPS:
        offset[upper, 1] = offset[lower, 1] = (offset[upper, 1] + offset[lower, 1]) / 2
    jaw = expression.displacements()[expression.EXPRESSION_NAMES.index("jawOpen")] * np.array([1, 1, 0], np.float32)
    offset += jaw * (JAW_OPENED * target.blendshape("jawOpen"))
    canonical = pose.to_canonical(points[: mesh.VERTEX_COUNT])
    for lids, _ in SIDES:
        above, below = list(lids[1:8]), list(lids[:8:-1])
        sleepy = 1 - np.clip((eye_aspect_ratio(points, lids) - LIDS_SHUT) / (LIDS_AWAKE - LIDS_SHUT), 0, 1)
        offset[above, 1] -= (canonical[above, 1] - canonical[below, 1]) * sleepy * LIDS_CLOSED
    # an iris goes where the lids around it go
    irises = [np.repeat(offset[list(lids)].mean(0, keepdims=True), 5, 0) for lids, _ in SIDES]
    return (points + pose.turn(np.concatenate([offset, *irises]))).astype(np.float32)
