"""ONNX graphs written by hand, for stand-ins of published networks."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """A graph in the making; a method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str | np.ndarray, **attributes: Any) -> str:
        """An operator; arrays become constants."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        """A constant tensor."""
        self.constants.append(numpy_helper.from_array(values, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def save(
        self,
        path: Path,
        inputs: dict[str, tuple[int | str, ...]],
        given: str | list[str],
        shape: tuple[int | str, ...] | None,
        doubles: tuple[str, ...] = (),
    ) -> Path:
        """Write the graph, whose outputs are `given`, all of one shape; inputs are float32 but for `doubles`."""
        names = [given] if isinstance(given, str) else given
        made = [f"output{index or ''}" for index in range(len(names))]
        self.nodes += [helper.make_node("Identity", [name], [out]) for name, out in zip(names, made, strict=True)]
        entries = [
            helper.make_tensor_value_info(
                name, TensorProto.DOUBLE if name in doubles else TensorProto.FLOAT, list(sizes)
            )
            for name, sizes in inputs.items()
        ]
        sizes = None if shape is None else list(shape)
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in made]
        graph = helper.make_graph(self.nodes, "stand-in", entries, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        path.write_bytes(model.SerializeToString())
        return path


def number(value: float) -> np.ndarray:
    """A constant of one number."""
    return np.array([value], np.float32)


def colour(values: tuple[float, ...]) -> np.ndarray:
    """A constant of one number a channel."""
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


def dots(points: np.ndarray, size: int) -> np.ndarray:
    """(1, 1, size, size) float32: 0, with a dot of 1 at each of (5, 2) points in 0..1."""
    at, spread = np.arange(size, dtype=np.float32), 2 * (size * 0.012) ** 2
    along = [[np.exp(-((at - place) ** 2) / spread) for place in point * size] for point in points.astype(np.float32)]
    drawn: np.ndarray = np.max([np.outer(y, x) for x, y in along], axis=0)
    return drawn.astype(np.float32)[None, None]
