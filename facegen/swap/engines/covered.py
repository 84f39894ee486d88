"""What covers a source's face and is no skin: hair, the shadow of a hat; it is left out of the texture and filled.

The parser marks hair as it sees it, at 256 pixels a head; thin strands and shadows are told here by how dark they are in the atlas.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.faces.mesh import Array
from facegen.swap.delighting.atlas import atlas_points

COVERED, COVERED_REACH = (0.22, 0.4), 0.08
"""How much darker than skin, log, something is that begins to count, and counts fully, as covering it; and how far around
it is left out, as a share of the texture's side."""
STRAND, STRAND_REACH = (0.25, 0.45), 5
"""How much darker than the other half, log, hair over a brow or an eye is; and how far apart the halves' features may lie, pixels
of 192."""


def detect_covered(albedo: Array, weight: Array) -> Array:
    """(S, S) 0..1 where hair, the shadow of a hat and the like reach over the upper face: far darker than its skin.

    Args:
        albedo: (S, S, 3) log RGB, less the smooth shading.
        weight: (S, S) how well each texel was seen.
    """
    side = len(albedo) // 4
    small, seen = (cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA) for part in (albedo, weight))
    region = cv2.resize(_open_skin(len(albedo)), (side, side), interpolation=cv2.INTER_AREA)
    known = (region > 0.5) & (seen > 0.5)
    if np.count_nonzero(known) < side:
        return np.zeros_like(weight)
    brightness = cv2.GaussianBlur(small.mean(-1), (0, 0), side / 150)
    darker = np.median(brightness[known]) - brightness
    dark = ((darker > COVERED[0]) & (region > 0.2)).astype(np.uint8)
    # what covers a face comes from outside of it: a mole or a wrinkle does not
    outside = (region < 0.2) | (seen < 0.2)
    _, labels = cv2.connectedComponents(dark)
    touching = np.unique(labels[cv2.dilate(outside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    reaches_in = np.isin(labels, touching[touching > 0])
    strength = np.clip((darker - COVERED[0]) / (COVERED[1] - COVERED[0]), 0, 1) * reaches_in
    reach = round(side * COVERED_REACH)
    grown = cv2.dilate(strength.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    soft = cv2.GaussianBlur(grown, (0, 0), side / 150)
    return np.clip(cv2.resize(soft, weight.shape[::-1], interpolation=cv2.INTER_LINEAR) * 1.5, 0, 1)


def detect_strands(albedo: Array, weight: Array, inside: np.ndarray) -> Array:
    """(S, S) 0..1 where hair at the edge of what was seen reaches over a brow or an eye: far darker than the other half's.

    Brows and lashes are dark, too, so that only the other half tells what should be there.

    Args:
        albedo: (S, S, 3) log RGB, less the smooth shading.
        weight: (S, S) how well each texel was seen.
        inside: (S, S) bool where the mesh is.
    """
    side = len(albedo) // 4
    small, seen, features = (
        cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA)
        for part in (albedo, weight, _upper_features(len(albedo)))
    )
    brightness = cv2.GaussianBlur(small.mean(-1), (0, 0), side / 150)
    # halves of a face are not each other's mirror image: the darkest nearby counts
    nearby = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (STRAND_REACH, STRAND_REACH))
    mirrored = cv2.erode(np.ascontiguousarray(brightness[:, ::-1]), nearby)
    known = np.minimum(seen, seen[:, ::-1]) * features
    darker = np.clip((mirrored - brightness - STRAND[0]) / (STRAND[1] - STRAND[0]), 0, 1) * (known > 0.3)
    _, labels = cv2.connectedComponents((darker > 0).astype(np.uint8))
    is_inside = cv2.resize(inside.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    hidden = ((seen < 0.3) & (is_inside > 0)).astype(np.uint8)
    touching = np.unique(labels[cv2.dilate(hidden, nearby) > 0])
    strands = (darker * np.isin(labels, touching[touching > 0])).astype(np.float32)
    soft = cv2.GaussianBlur(cv2.dilate(strands, nearby), (0, 0), side / 150)
    return np.clip(cv2.resize(soft, weight.shape[::-1], interpolation=cv2.INTER_LINEAR) * 1.5, 0, 1)


@functools.cache
def _upper_features(size: int) -> Array:
    """(S, S) 1 where the atlas shows brows, eyes and what is near them, where `detect_covered` does not look."""
    above = np.clip((mesh.topology().xyz[:, 1] - mesh.topology().xyz[4, 1]) / 0.5, 0, 1)
    values = np.repeat(above[:, None], 3, 1).astype(np.float32)
    upper = mesh.rasterise(atlas_points(size), values, (size, size))[0][..., 0]
    return np.clip(upper - _open_skin(size), 0, 1)


@functools.cache
def _open_skin(size: int) -> Array:
    """(S, S) 1 where the atlas shows skin of forehead, temples and upper cheeks, away from features and beards."""
    topology = mesh.topology()
    above = np.clip((topology.xyz[:, 1] - topology.xyz[4, 1]) / 0.5, 0, 1)
    brows, eyes = (
        [*mesh.BROW_LEFT, *mesh.BROW_RIGHT],
        [*mesh.EYE_LEFT, *mesh.EYE_RIGHT, *mesh.NOSTRILS, 6, 168, 197, 195],
    )
    room = np.minimum(topology.distances[:, brows].min(1) - 0.4, topology.distances[:, eyes].min(1) - 1.2)
    away = np.clip(room / 0.4, 0, 1)
    values = np.repeat((above * away)[:, None], 3, 1).astype(np.float32)
    return mesh.rasterise(atlas_points(size), values, (size, size))[0][..., 0]
