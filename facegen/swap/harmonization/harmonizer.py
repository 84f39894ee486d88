"""`Harmonizer`: predicts with the bundled network what a drawn face must become."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facegen import hub
from facegen.device import onnx_session
from facegen.errors import WeightsError
from facegen.faces.mesh import Array
from facegen.swap.harmonization.graph import harmonization_graph
from facegen.swap.harmonization.inputs import HarmonizationInput, restrain_fields
from facegen.swap.weights import HARMONIZATION


class Harmonizer:
    """The harmonization network on ONNX Runtime, which needs no torch; several threads may use it at once.

    Args:
        path: weights of a training.

    Raises:
        WeightsError: the weights are missing, or are another model's.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            graph = harmonization_graph(load_file(path))
        except (SafetensorError, ValueError) as error:
            raise WeightsError(
                f"Expected the weights of the harmonization network in {path}, found another model; install them again, or, if "
                "it is your own, run: facegen weights reset harmonization"
            ) from error
        self._session = onnx_session(graph, threads=1)

    @classmethod
    def load(cls) -> Harmonizer:
        """The bundled network, or the trained one that replaces it.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        return cls(hub.fetch(HARMONIZATION))

    def predict(self, inputs: HarmonizationInput) -> Array:
        """(FIELD, FIELD, 4) float32: change of log RGB, and the log factor on fine detail."""
        drawn = np.ascontiguousarray(inputs.drawn.transpose(2, 0, 1)[None])
        maps = np.ascontiguousarray(inputs.maps.transpose(2, 0, 1)[None])
        fields: Array = self._session.run(None, {"drawn": drawn, "maps": maps})[0]
        return restrain_fields(np.ascontiguousarray(fields[0].transpose(1, 2, 0)), inputs)
