"""The same networks as ONNX graphs. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from facegen.device import onnx_session
from facegen.errors import WeightsError
from facegen.faces.mesh import Array
from facegen.graph import GraphWriter, unshuffled_kernel

SIDE, FIELD = 192, 64
"""Sides of the picture and of the fields."""
FOLD = SIDE // FIELD
WIDTHS = (24, 48, 80, 112)
"""Channels of the features at 1/3, 1/6, 1/12 and 1/24 of the picture's side."""


class FieldWriter(GraphWriter):
    """Writes a `FieldNet`."""

    def write_fields(self, picture: str, maps: str, channels: int, fields: int) -> str:
        """`FieldNet.forward`.

        Args:
            picture: name of the input (1, 3, SIDE, SIDE).
            maps: name of the input (1, channels, FIELD, FIELD).
            channels: of the maps.
            fields: channels of the fields.

        Returns:
            The fields' name.
        """
        folded = 3 * FOLD**2 + channels
        entered = self.node("Concat", self.node("SpaceToDepth", picture, blocksize=FOLD), maps, axis=1)
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
        return self._layer("head", x, (fields, WIDTHS[0], 3, 3))

    def limit(self, fields: str, largest: float) -> str:
        """`tanh(fields / largest) * largest`."""
        bound = self.constant(np.array(largest, np.float32))
        return self.node("Mul", self.node("Tanh", self.node("Div", fields, bound)), bound)

    def channels(self, fields: str, first: int, end: int) -> str:
        """Some of the fields' channels."""
        bounds = [self.constant(np.array([value], np.int64)) for value in (first, end, 1)]
        return self.node("Slice", fields, *bounds)

    def finish(self, name: str, channels: int, written: str, fields: int) -> bytes:
        """The serialised graph of the inputs `picture` and `maps`.

        Args:
            name: the graph's.
            channels: of the maps.
            written: name of what it gives.
            fields: channels of that.

        Raises:
            ValueError: a weight belongs to no layer.
        """
        shapes = {"picture": (1, 3, SIDE, SIDE), "maps": (1, channels, FIELD, FIELD)}
        return self.serialise(
            name,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
            [helper.make_tensor_value_info(written, TensorProto.FLOAT, (1, fields, FIELD, FIELD))],
        )

    def _block(self, name: str, x: str, level: int) -> str:
        width = WIDTHS[level]
        inner = self.relu(self._layer(f"{name}.spatial", x, (width, width, 3, 3)))
        return self.node("Add", x, self._layer(f"{name}.mix", inner, (width, width, 1, 1)))

    def _layer(self, name: str, x: str, shape: tuple[int, ...], stride: int = 1) -> str:
        return self.convolve(x, self.weight(f"{name}.weight", shape), self.weight(f"{name}.bias", shape[:1]), stride)


Graph = Callable[[Mapping[str, np.ndarray]], bytes]
"""From a network's state to its serialised graph; raises ValueError for another network's."""


class FieldPredictor:
    """Runs such a graph on the CPU; several threads may use it at once."""

    def __init__(self, path: Path, graph: Graph, name: str) -> None:
        """Load a network.

        Args:
            path: its weights, safetensors.
            graph: writes it.
            name: of its weights file in the catalog.

        Raises:
            WeightsError: the weights are another model's.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            written = graph(load_file(path))
        except (SafetensorError, ValueError) as error:
            raise WeightsError(
                f"Expected the weights of the {name} network in {path}, found another model; install them again, or, if "
                f"it is your own, run: facegen weights reset {name}"
            ) from error
        self._session: onnxruntime.InferenceSession = onnx_session(written, threads=1)

    def run(self, picture: Array, maps: Array) -> Array:
        """The fields of one face.

        Args:
            picture: (SIDE, SIDE, 3).
            maps: (FIELD, FIELD, C).

        Returns:
            (FIELD, FIELD, F) float32.
        """
        inputs = {
            name: np.ascontiguousarray(values.transpose(2, 0, 1)[None])
            for name, values in {"picture": picture, "maps": maps}.items()
        }
        fields: Array = self._session.run(None, inputs)[0]
        return np.ascontiguousarray(fields[0].transpose(1, 2, 0))
