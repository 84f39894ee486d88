"""Inputs of the finishing network: a square of the face, fixed to the head, with maps of the mesh in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import align, mesh
from facegen.talk.portrait.face_rig import LIDS

Array = np.ndarray

SIDE = 256
"""Side of the square, pixels."""
GRID = 128
"""Side of the maps of the mesh."""
COARSE = 64
"""Side of the field of light."""
MAPS = 13
"""Normal (3), its change (3), movement (3), stretch, amount of both, mouth's inside, lids that moved."""

_SIDE_CM = 18.0
_MIDDLE_CM = np.array([[0, -2, 4]], np.float32)
_MOVED_CM = 0.15
"""Movement of the skin from which on the network may change all that it can."""
_TURNED = 0.1
"""The same for a change of the unit normal."""
_FARTHEST_CM = 2.0
_LIP_CM = 0.1
_LID_CM = 0.2
_ROUND_LIDS = 17
"""How far round an eye light changes with its lids: half of so many pixels of the square."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MeshShape:
    """The mesh of a face, free of its position in the picture.

    Attributes:
        canonical: (468, 3) cm.
        normals: (468, 3) unit normals in the axes of the picture.
        areas: (468,) surface round each vertex, square cm.
    """

    canonical: Array
    normals: Array
    areas: Array

    @classmethod
    def of(cls, points: Array) -> MeshShape:
        """From (468, 3) points in pixels."""
        canonical = mesh.Pose.of(points).to_canonical(points)
        return cls(canonical=canonical, normals=mesh.normals(points), areas=_areas(canonical))


@dataclass(frozen=True, eq=False, kw_only=True)
class FinishInput:
    """A drawn face as the network takes it.

    Attributes:
        matrix: (2, 3) affine from pixels of the picture to those of the square.
        drawn_rgb: (SIDE, SIDE, 3) uint8.
        maps: (GRID, GRID, MAPS) float32 in [-1, 1].
        light: (COARSE, COARSE) float32 0..1: how far light may change; 0 where nothing has moved, in the eyes and beside the face.
        region: (SIDE, SIDE) float32 0..1: 1 between lips that have moved: there another light counts.
        eyes: (GRID, GRID) float32 0..1: the same round lids that have moved.
    """

    matrix: Array
    drawn_rgb: np.ndarray
    maps: Array
    light: Array
    region: Array
    eyes: Array

    @classmethod
    def of(cls, picture_rgb: np.ndarray, points: Array, portrait: MeshShape) -> FinishInput:
        """From a drawn (H, W, 3) uint8 RGB picture, its (468, 3) vertices in pixels, and the shape in the portrait."""
        matrix, shape = square_matrix(points), MeshShape.of(points)
        vertices = to_square(points, matrix)
        change, movement = shape.normals - portrait.normals, shape.canonical - portrait.canonical
        moved = np.linalg.norm(movement, axis=1)
        amount = np.clip(moved / _MOVED_CM + np.linalg.norm(change, axis=1) / _TURNED, 0, 1)
        # less than a tenth of that is how measurements tremble
        amount = np.clip(amount * 1.1 - 0.1, 0, 1)
        stretch = np.log(np.maximum(shape.areas, 1e-4) / np.maximum(portrait.areas, 1e-4))
        extra = np.stack([np.clip(stretch, -1, 1), amount, np.ones_like(amount)], 1)
        layers = [
            mesh.rasterise(vertices * (GRID / SIDE), values, (GRID, GRID))[0]
            for values in (shape.normals, np.clip(change * 2, -1, 1), np.clip(movement / _FARTHEST_CM, -1, 1), extra)
        ]
        mouth = _outline_mask(vertices, mesh.LIPS_INNER, 5) * _moved_share(moved, mesh.LIPS_INNER, _LIP_CM)
        lids, eyes = np.zeros_like(mouth), np.zeros_like(mouth)
        # where the eyes would be had no lid moved
        pose = mesh.Pose.of(points)
        before = to_square((pose.turn(portrait.canonical) + pose.origin).astype(np.float32), matrix)
        for outline, (upper, _) in zip((mesh.EYE_LEFT, mesh.EYE_RIGHT), LIDS, strict=True):
            eye = _outline_mask(vertices, outline, 9)
            around = np.maximum(
                _outline_mask(before, outline, _ROUND_LIDS), _outline_mask(vertices, outline, _ROUND_LIDS)
            )
            lids, eyes = np.maximum(lids, around * _moved_share(moved, upper, _LID_CM)), np.maximum(eyes, eye)
        maps = np.concatenate([*layers[:3], layers[3][..., :2]], 2)
        maps = np.concatenate([maps, _shrink(mouth, GRID)[..., None], _shrink(lids, GRID)[..., None]], 2)
        oval = mesh.polygon_mask(vertices[list(mesh.FACE_OVAL), :2] * (COARSE / SIDE), (COARSE, COARSE))
        # a head that is turned reaches beyond the square, at whose border a step in light would be seen
        oval[[0, 1, 2, -3, -2, -1]] = oval[:, [0, 1, 2, -3, -2, -1]] = 0
        skin: Array = cv2.erode(oval, np.ones((3, 3), np.uint8)).astype(np.float32) / 255 * (1 - _shrink(eyes, COARSE))
        light = cv2.GaussianBlur(_shrink(np.maximum(maps[..., 10], maps[..., 11]), COARSE) * skin, (0, 0), 1.5) * skin
        return cls(
            matrix=matrix,
            drawn_rgb=align.warp(picture_rgb, matrix, SIDE),
            maps=np.ascontiguousarray(maps, np.float32),
            light=cv2.GaussianBlur(light, (0, 0), 1.0),
            region=cv2.GaussianBlur(mouth, (0, 0), 1.5),
            eyes=cv2.GaussianBlur(_shrink(lids, GRID), (0, 0), 2.0),
        )


def square_matrix(points: Array) -> Array:
    """(2, 3) affine from pixels of a picture to those of the square, for (468, 3) points of a face in it."""
    pose = mesh.Pose.of(points)
    turn = pose.rotation
    roll = np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))
    x, y = (pose.turn(_MIDDLE_CM) + pose.origin)[0, :2] - 0.5
    return align.crop_matrix((float(x), float(y)), _SIDE_CM * pose.scale, float(roll), SIDE)


def to_square(points: Array, matrix: Array) -> Array:
    """(N, 3) points of a picture in pixels of the square, depth too. Middles of pixels lie at 0.5 in both."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    flat = align.apply(matrix, points[:, :2] - 0.5) + 0.5
    return np.column_stack([flat, points[:, 2] * scale]).astype(np.float32)


def _areas(canonical: Array) -> Array:
    topology = mesh.topology()
    a, b, c = (canonical[topology.triangles[:, i]] for i in range(3))
    facets = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    corners, firsts = topology.corners
    return np.asarray(np.add.reduceat(facets[corners // 3], firsts), np.float32)


def _outline_mask(vertices: Array, outline: tuple[int, ...], wider: int) -> Array:
    """(SIDE, SIDE) float32 0 or 1 inside an outline, and up to `wider` // 2 pixels beside it."""
    mask = mesh.polygon_mask(vertices[list(outline), :2], (SIDE, SIDE))
    return np.asarray(cv2.dilate(mask, np.ones((wider, wider), np.uint8)), np.float32) / 255


def _shrink(mask: Array, side: int) -> Array:
    return cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)


def _moved_share(moved: Array, vertices: tuple[int, ...], enough_cm: float) -> np.float32:
    return np.float32(min(float(moved[list(vertices)].max()) / enough_cm, 1))
