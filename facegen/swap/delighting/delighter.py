"""`Delighter`: inference of the delighting network as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from facegen import hub
from facegen.faces import light
from facegen.faces.mesh import Array
from facegen.swap.delighting.atlas import Atlas
from facegen.swap.delighting.inputs import LIGHT, MAPS, DelightingInput, enlarge_field, shrink, to_small_log
from facegen.swap.fields.graph import SIDE, FieldPredictor, FieldWriter
from facegen.swap.weights import DELIGHTING

RELIEF = 0.1
"""Of light of this strength, log RGB, half is taken away: most of what is weaker is the person's own relief. Chosen on tuning pairs."""
_MIRROR = np.ones(MAPS, np.float32)
_MIRROR[[0, 6]] = -1
"""In a mirror the x of normals and the column change their sign."""


def delighting_graph(weights: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: `picture` (1, 3, SIDE, SIDE) and `maps` (1, MAPS, FIELD, FIELD) to light (1, 3, FIELD, FIELD).

    Args:
        weights: the state of a `DelightingNet`, by name.

    Raises:
        ValueError: the weights are not those of such a network.
    """
    writer = FieldWriter(weights)
    return writer.finish("delighting", MAPS, writer.limit(writer.write_fields("picture", "maps", MAPS, 3), LIGHT), 3)


class Delighter:
    """The delighting network on ONNX Runtime, which needs no torch; several threads may use it at once.

    Args:
        path: weights of a training.

    Raises:
        WeightsError: the weights are missing, or are another model's.
    """

    def __init__(self, path: Path) -> None:
        self._network = FieldPredictor(path, delighting_graph, DELIGHTING.name)

    @classmethod
    def load(cls) -> Delighter:
        """The bundled network, or the trained one that replaces it.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        return cls(hub.fetch(DELIGHTING))

    def predict(self, atlas: Atlas) -> Array:
        """(S, S, 3) float32 log RGB of what is to be taken from an unwrapped face: shadows below 0, shine above.

        The mean of the face's light and its mirror's, less what may be the person's relief.
        """
        small = to_small_log(atlas.picture_rgb)
        inputs = DelightingInput.of(small, shrink(atlas.normals, SIDE), shrink(atlas.weight, SIDE))
        field = self._network.run(inputs.picture, inputs.maps)
        mirrored = self._network.run(inputs.picture[:, ::-1], inputs.maps[:, ::-1] * _MIRROR)
        found = enlarge_field((field + mirrored[:, ::-1]) / 2, light.to_log(atlas.picture_rgb))
        strength = np.abs(found.mean(2, keepdims=True))
        return found * (strength / (strength + np.float32(RELIEF)))
