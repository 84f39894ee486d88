"""Writes networks as ONNX graphs: on a CPU, ONNX Runtime runs them as fast as torch and starts at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

_OPSET, _IR_VERSION = 18, 10


class GraphWriter:
    """Writes down one layer after another; a method returns the name of what its layers give.

    Args:
        weights: the state of the torch module that the graph repeats, by name.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights
        self._unused = {name for name in weights if not name.endswith("num_batches_tracked")}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def serialise(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]
    ) -> bytes:
        """The graph of all layers so far.

        Raises:
            ValueError: a weight belongs to none of them.
        """
        if self._unused:
            raise ValueError(f"weights that no layer takes: {', '.join(sorted(self._unused)[:3])}")
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        return model.SerializeToString()

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operator of ONNX."""
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: np.ndarray) -> str:
        """A constant tensor."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A weight of the module, float32.

        Raises:
            ValueError: there is none of this name and shape.
        """
        if name not in self._weights or self._weights[name].shape != shape:
            raise ValueError(f"no weight {name!r} of shape {shape}")
        self._unused.discard(name)
        return self._weights[name].astype(np.float32)

    def convolve(self, x: str, kernel: np.ndarray, bias: np.ndarray, stride: int = 1) -> str:
        """A convolution padded to keep the size, (out, in, k, k) and (out,)."""
        padding, strides = [kernel.shape[-1] // 2] * 4, [stride, stride]
        return self.node("Conv", x, self.constant(kernel), self.constant(bias), pads=padding, strides=strides)

    def relu(self, x: str) -> str:
        """A rectifier."""
        return self.node("Relu", x)


def unshuffled_kernel(kernel: np.ndarray, colours: int, fold: int) -> np.ndarray:
    """The kernel behind a SpaceToDepth of one behind torch's pixel_unshuffle: its first inputs are `colours` x fold^2.

    ONNX lays the pixels of a cell out before the colours, torch the colours before the pixels.
    """
    folded = colours * fold**2
    parts = kernel[:, :folded].reshape(kernel.shape[0], colours, fold**2, *kernel.shape[2:])
    swapped = parts.swapaxes(1, 2).reshape(kernel.shape[0], folded, *kernel.shape[2:])
    return np.concatenate([swapped, kernel[:, folded:]], 1)
