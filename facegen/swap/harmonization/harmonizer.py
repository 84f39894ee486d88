"""`Harmonizer`: inference of the harmonization network as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from facegen import hub
from facegen.faces.mesh import Array
from facegen.swap.fields.graph import FieldPredictor, FieldWriter
from facegen.swap.harmonization.inputs import FINER, LIGHT, MAPS, SOFTER, HarmonizationInput, restrain_fields
from facegen.swap.weights import HARMONIZATION


def harmonization_graph(weights: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: `picture` (1, 3, SIDE, SIDE) and `maps` (1, MAPS, FIELD, FIELD) to fields (1, 4, FIELD, FIELD).

    Args:
        weights: the state of a `HarmonizationNet`, by name.

    Raises:
        ValueError: the weights are not those of such a network.
    """
    writer = FieldWriter(weights)
    fields = writer.write_fields("picture", "maps", MAPS, 4)
    change, detail = writer.limit(writer.channels(fields, 0, 3), LIGHT), writer.channels(fields, 3, 4)
    limits = (writer.constant(np.array(value, np.float32)) for value in (SOFTER, FINER))
    limited = writer.node("Concat", change, writer.node("Clip", detail, *limits), axis=1)
    return writer.finish("harmonization", MAPS, limited, 4)


class Harmonizer:
    """The harmonization network on ONNX Runtime, which needs no torch; several threads may use it at once.

    Args:
        path: weights of a training.

    Raises:
        WeightsError: the weights are missing, or are another model's.
    """

    def __init__(self, path: Path) -> None:
        self._network = FieldPredictor(path, harmonization_graph, HARMONIZATION.name)

    @classmethod
    def load(cls) -> Harmonizer:
        """The bundled network, or the trained one that replaces it.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        return cls(hub.fetch(HARMONIZATION))

    def predict(self, inputs: HarmonizationInput) -> Array:
        """(FIELD, FIELD, 4) float32: change of log RGB, and the log factor on fine detail."""
        return restrain_fields(self._network.run(inputs.drawn, inputs.maps), inputs)
