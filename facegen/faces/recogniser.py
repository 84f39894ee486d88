"""Face recognition by dlib's network: embeddings of 128 numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facegen.faces import align
from facegen.faces.face import Face

SAME_PERSON = 0.6
"""Embeddings further apart than this belong to two people (dlib's own threshold, 99.4 % on LFW)."""

_CHIP_PX = 150
_PADDING = 0.25
# mesh vertices at dlib's five points, in its order: see align.DLIB5
_DLIB5_VERTICES = (263, 362, 33, 133, 2)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Euclidean distance of two (128,) embeddings: 0 is the same picture, 0.6 and more is another person."""
    return float(np.linalg.norm(np.asarray(a, np.float64) - np.asarray(b, np.float64)))


def chip(image_rgb: np.ndarray, points478: np.ndarray) -> np.ndarray:
    """(150, 150, 3) uint8 crop of a face, laid out as dlib's `get_face_chip` with its default padding does."""
    return align.warp(image_rgb, chip_matrix(points478), _CHIP_PX)


def chip_matrix(points478: np.ndarray) -> np.ndarray:
    """(2, 3) float32 matrix from an image to the chip of a face."""
    template = (align.DLIB5 + _PADDING) / (1 + 2 * _PADDING)
    return align.similarity(points478[list(_DLIB5_VERTICES), :2], template, _CHIP_PX)


class Recogniser:
    """dlib's recognition ResNet."""

    def __init__(self, model_path: Path) -> None:
        """Loads the network from dlib_face_recognition_resnet_model_v1.dat."""
        import dlib

        self._network = dlib.face_recognition_model_v1(str(model_path))

    def embed_chips(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """Embeddings of a batch of chips.

        Args:
            chips: N crops as `chip` makes them.

        Returns:
            (N, 128) float32.
        """
        if not chips:
            return np.zeros((0, 128), np.float32)
        vectors = self._network.compute_face_descriptor([np.ascontiguousarray(c) for c in chips])
        return np.array([np.array(v) for v in vectors], np.float32)

    def embed(self, image_rgb: np.ndarray, faces: Sequence[Face]) -> list[Face]:
        """The faces of one image with their embeddings, computed as one batch."""
        vectors = self.embed_chips([chip(image_rgb, face.points478) for face in faces])
        return [face.replace(embedding=vector) for face, vector in zip(faces, vectors, strict=True)]
