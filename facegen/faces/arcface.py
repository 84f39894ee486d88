"""ArcFace (Deng et al. 2019, arXiv 1801.07698) as an ONNX file: 512 numbers a face, which one-shot swap models are given."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.faces import align
from facegen.inference import OnnxNetwork

SIZE = 112
"""Side of the crops, pixels."""
DIMENSIONS = 512
TEMPLATE = align.TEMPLATES["arcface-112-v2"]


class ArcFace:
    """A network of ArcFace's kind (ArcFace w600k, AuraFace); may be called from several threads at once.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        self._network = OnnxNetwork(path, name=path.stem, threads=2)
        (self._input_name, taken), *others = self._network.inputs.items()
        given = next(iter(self._network.outputs.values()))
        if others or taken[1:] != (3, SIZE, SIZE) or given[-1] != DIMENSIONS:
            raise WeightsError(
                f"Expected an ArcFace network from (N, 3, {SIZE}, {SIZE}) to {DIMENSIONS} numbers in {path}, found "
                f"{taken} to {given}; fetch it again."
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


def normalise(vector: np.ndarray) -> np.ndarray:
    """A vector of length 1."""
    unit: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit
