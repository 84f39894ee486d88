"""ArcFace (Deng et al. 2019, arXiv 1801.07698) as an ONNX file: 512 numbers a face, for one-shot models and to tell people apart.

Neither ArcFace w600k nor AuraFace was run here with its real weights.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.faces import align, mesh
from facegen.faces.face import Face, points5_of
from facegen.faces.recogniser import SAME_PERSON, chip_matrix
from facegen.inference import OnnxNetwork

SIZE = 112
"""Side of the crops, pixels."""
DIMENSIONS = 512
SAME_COSINE = 0.4
"""Cosine of two embeddings from which on they are of one person, as FaceFusion has it for ArcFace w600k."""
TEMPLATE = align.TEMPLATES["arcface-112-v2"]


class ArcFace:
    """A network like ArcFace's (ArcFace w600k, AuraFace); may be called from several threads at once.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        self._network = OnnxNetwork(path, name=path.stem, threads=2)
        (self._input_name, input_shape), *others = self._network.inputs.items()
        output_shape = next(iter(self._network.outputs.values()))
        if others or input_shape[1:] != (3, SIZE, SIZE) or output_shape[-1] != DIMENSIONS:
            raise WeightsError(
                f"Expected an ArcFace network from (N, 3, {SIZE}, {SIZE}) to {DIMENSIONS} numbers in {path}, found "
                f"{input_shape} to {output_shape}; fetch it again."
            )

    def embed(self, image_rgb: np.ndarray, points5: np.ndarray) -> np.ndarray:
        """(512,) float32, not normalised: who a face is.

        Args:
            image_rgb: (H, W, 3) uint8.
            points5: (5, 2) `Face.points5`.
        """
        crop = align.warp(image_rgb, align.similarity(points5, TEMPLATE, SIZE), SIZE)
        tensor = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32) / 127.5 - 1
        return self._network.run({self._input_name: tensor})[0][0]


class ArcFaceRecogniser:
    """Tells people apart in place of `recogniser.Recogniser`, with the same methods and thresholds.

    Embeddings are (512,) of one length, such that a cosine of `SAME_COSINE` is a distance of `SAME_PERSON`.

    Args:
        path: a network of ArcFace's kind.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        self._network = ArcFace(path)

    def embed_chips(self, chips: Sequence[np.ndarray]) -> np.ndarray:
        """(N, 512) float32 embeddings of chips as `recogniser.chip` makes them, cut out by where a face has its points there."""
        vectors = [self._network.embed(chip, _points5_in_chip()) for chip in chips]
        return np.array([_to_length(vector) for vector in vectors], np.float32).reshape(-1, DIMENSIONS)

    def embed(self, image_rgb: np.ndarray, faces: Sequence[Face]) -> list[Face]:
        """The faces of one image with their embeddings."""
        return [face.replace(embedding=_to_length(self._network.embed(image_rgb, face.points5))) for face in faces]


def _to_length(vector: np.ndarray) -> np.ndarray:
    return normalise(vector) * np.float32(SAME_PERSON / np.sqrt(2 - 2 * SAME_COSINE))


@functools.cache
def _points5_in_chip() -> np.ndarray:
    """(5, 2) where the canonical face, seen from the front, has `Face.points5` in a chip."""
    front = mesh.topology().xyz * np.array([1, -1, -1], np.float32)
    return align.apply(chip_matrix(front), points5_of(front))


def normalise(vector: np.ndarray) -> np.ndarray:
    """A vector of length 1."""
    unit: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit
