"""`SourceEncoder`: the source's identity in the form that each one-shot model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.faces import Face, align
from facegen.faces.arcface import ArcFace, normalise
from facegen.faces.weights import ARCFACE
from facegen.hub import fetch
from facegen.inference import OnnxNetwork
from facegen.swap.oneshot.models import SwapModel

Array = np.ndarray
MOST_SHIFT = 0.35
"""How much of the target's identity is mixed in at strength 0, and taken out at strength 1."""


@dataclass(frozen=True, eq=False, kw_only=True)
class OneShotIdentity:
    """The source person.

    Attributes:
        embedding: (512,) mean of the pictures' ArcFace embeddings; nothing where the model takes a picture.
        source: what the network takes as `source` at the usual strength, without the first axis.
    """

    embedding: Array | None
    source: Array


class SourceEncoder:
    """From pictures of a person to what a model takes as `source`; may be called from several threads at once.

    Args:
        model: the record of the model.
        path: its file, in which some have a matrix for this.

    Raises:
        WeightsError: a file is missing or holds something else.
    """

    def __init__(self, model: SwapModel, path: Path) -> None:
        self._model = model
        self._recogniser = None if model.source == "picture" else ArcFace(fetch(ARCFACE))
        converter = model.converter
        self._converter = OnnxNetwork(fetch(converter), name=converter.name, threads=1) if converter else None
        self._projection = read_projection(path) if model.source == "projected" else None

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> OneShotIdentity:
        """The identity of one person's pictures: the mean of their embeddings, or the best picture where one is taken."""
        if self._recogniser is None:
            (image_rgb, face), model = pictures[0], self._model
            template = align.TEMPLATES[model.source_template]
            matrix = align.similarity(face.points5, template, model.source_size)
            crop = align.warp(image_rgb, matrix, model.source_size)
            return OneShotIdentity(embedding=None, source=crop.transpose(2, 0, 1).astype(np.float32) / 255)
        embedding = np.mean([self._recogniser.embed(image, face.points5) for image, face in pictures], axis=0)
        return OneShotIdentity(embedding=embedding, source=self._encode(embedding))

    def balance(self, identity: OneShotIdentity, image_rgb: np.ndarray, face: Face, strength: float) -> Array:
        """`source` for one target: at 0.5 the source person alone, below a mixture with the target, above further away.

        Args:
            identity: from `prepare`.
            image_rgb: (H, W, 3) uint8 the frame.
            face: the target in it.
            strength: 0..1.
        """
        if strength == 0.5 or identity.embedding is None or self._recogniser is None:
            return identity.source
        share = MOST_SHIFT * (1 - 2 * strength)
        own = normalise(self._recogniser.embed(image_rgb, face.points5))
        mixed = normalise(identity.embedding) * (1 - share) + own * share
        return self._encode(mixed * float(np.linalg.norm(identity.embedding)))

    def _encode(self, embedding: Array) -> Array:
        if self._model.source == "raw":
            return embedding
        if self._projection is not None:
            return normalise(embedding) @ self._projection
        if self._converter is not None:
            embedding = self._converter.run({"input": embedding[None]})[0].reshape(-1)
        return embedding if self._model.source == "converted" else normalise(embedding)


def read_projection(path: Path) -> Array:
    """(512, 512) float32: the matrix by which inswapper takes an embedding, the last initializer of its graph (the emap).

    Raises:
        WeightsError: there is none.
    """
    import onnx

    constants = onnx.load(str(path)).graph.initializer
    matrix = onnx.numpy_helper.to_array(constants[-1]) if constants else np.zeros(0)
    if matrix.shape != (512, 512):
        raise WeightsError(
            f"Expected a matrix of 512 x 512 as the last constant of {path}, found {matrix.shape}; fetch the model again."
        )
    return matrix.astype(np.float32)
