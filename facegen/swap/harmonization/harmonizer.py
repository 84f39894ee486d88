"""`Harmonizer`: inference of the harmonization network as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from facegen import hub
from facegen.device import onnx_session
from facegen.errors import WeightsError
from facegen.faces.mesh import Array
from facegen.graph import GraphWriter, unshuffled_kernel
from facegen.swap.harmonization.inputs import (
    FIELD,
    FINER,
    FOLD,
    LIGHT,
    MAPS,
    SIDE,
    SOFTER,
    WIDTHS,
    HarmonizationInput,
    restrain_fields,
)
from facegen.swap.weights import HARMONIZATION


def harmonization_graph(weights: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: `drawn` (1, 3, SIDE, SIDE) and `maps` (1, MAPS, FIELD, FIELD) to fields (1, 4, FIELD, FIELD).

    Args:
        weights: the state of a `HarmonizationNet`, by name.

    Raises:
        ValueError: the weights are not those of such a network.
    """
    writer = _HarmonizationWriter(weights)
    fields = writer.write("drawn", "maps")
    return writer.serialise(
        "harmonization",
        [
            helper.make_tensor_value_info("drawn", TensorProto.FLOAT, (1, 3, SIDE, SIDE)),
            helper.make_tensor_value_info("maps", TensorProto.FLOAT, (1, MAPS, FIELD, FIELD)),
        ],
        [helper.make_tensor_value_info(fields, TensorProto.FLOAT, (1, 4, FIELD, FIELD))],
    )


class _HarmonizationWriter(GraphWriter):
    def write(self, drawn: str, maps: str) -> str:
        """`HarmonizationNet.forward`."""
        folded = 3 * FOLD**2 + MAPS
        entered = self.node("Concat", self.node("SpaceToDepth", drawn, blocksize=FOLD), maps, axis=1)
        kernel = unshuffled_kernel(self.weight("stem.weight", (WIDTHS[0], folded, 3, 3)), 3, FOLD)
        x = self._block("first", self.relu(self.convolve(entered, kernel, self.weight("stem.bias", WIDTHS[:1]))), 0)
        skips = [x]
        for level in range(1, len(WIDTHS)):
            x = self.relu(self._layer(f"downs.{level - 1}", x, (WIDTHS[level], WIDTHS[level - 1], 3, 3), stride=2))
            x = self._block(f"encoder.{level - 1}", x, level)
            skips.append(x)
        x = self._block("bottleneck", skips.pop(), len(WIDTHS) - 1)
        for level in reversed(range(len(WIDTHS) - 1)):
            x = self._layer(f"ups.{level}", x, (WIDTHS[level], WIDTHS[level + 1], 1, 1))
            factor = self.constant(np.array([1, 1, 2, 2], np.float32))
            x = self.node(
                "Resize",
                x,
                "",
                factor,
                mode="nearest",
                nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )
            x = self._block(f"decoder.{level}", self.relu(self.node("Add", x, skips[level])), level)
        fields = self._layer("head", x, (4, WIDTHS[0], 3, 3))
        change, detail = self._channels(fields, 0, 3), self._channels(fields, 3, 4)
        limit = self.constant(np.array(LIGHT, np.float32))
        change = self.node("Mul", self.node("Tanh", self.node("Div", change, limit)), limit)
        limits = (self.constant(np.array(value, np.float32)) for value in (SOFTER, FINER))
        return self.node("Concat", change, self.node("Clip", detail, *limits), axis=1)

    def _block(self, name: str, x: str, level: int) -> str:
        width = WIDTHS[level]
        inner = self.relu(self._layer(f"{name}.spatial", x, (width, width, 3, 3)))
        return self.node("Add", x, self._layer(f"{name}.mix", inner, (width, width, 1, 1)))

    def _layer(self, name: str, x: str, shape: tuple[int, ...], stride: int = 1) -> str:
        return self.convolve(x, self.weight(f"{name}.weight", shape), self.weight(f"{name}.bias", shape[:1]), stride)

    def _channels(self, x: str, first: int, end: int) -> str:
        bounds = [self.constant(np.array([value], np.int64)) for value in (first, end, 1)]
        return self.node("Slice", x, *bounds)


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
