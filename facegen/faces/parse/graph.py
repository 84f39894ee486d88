"""The parser's network as an ONNX graph: on a CPU, ONNX Runtime runs it as fast as torch does and starts at once.

The graph is written down from the same weights as `network.ParserNet`, layer by layer, with the batch norms folded into
their convolutions; a test holds the two against each other. It takes pictures as they are and gives probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from facegen.faces.parse import ParserNetConfig

_OPSET, _IR_VERSION = 18, 10
_NORM_EPSILON = 1e-5


def parser_graph(weights: Mapping[str, np.ndarray], config: ParserNetConfig) -> bytes:
    """The serialised graph: `crops` (N, H, W, 3) uint8 RGB to `probabilities` (N, classes, H / 2, W / 2) float32.

    Args:
        weights: the state of a `network.ParserNet`, by name.
        config: what it was made with.

    Raises:
        ValueError: the weights are not those of such a network.
    """
    return _Graph(weights, config).serialise()


class _Graph:
    """Writes down one layer after another; a method returns the name of what its layers give."""

    def __init__(self, weights: Mapping[str, np.ndarray], config: ParserNetConfig) -> None:
        self._weights, self._config = weights, config
        self._unused = {name for name in weights if not name.endswith("num_batches_tracked")}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def serialise(self) -> bytes:
        probabilities = self._network(self._input("crops"))
        if self._unused:
            raise ValueError(f"weights that no layer takes: {', '.join(sorted(self._unused)[:3])}")
        graph = helper.make_graph(
            self._nodes,
            "parser",
            [helper.make_tensor_value_info("crops", TensorProto.UINT8, ("n", "h", "w", 3))],
            [helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ("n", self._config.classes, None, None))],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
        return model.SerializeToString()

    def _network(self, x: str) -> str:
        """`ParserNet.forward`, and the softmax."""
        widths, blocks = self._config.widths, self._config.blocks
        x = self._relu(self._norm("stem", self._node("SpaceToDepth", x, blocksize=2), (widths[0], 12, 3, 3)))
        skips = [self._blocks(0, x)]
        for level in range(1, len(widths)):
            shape = (widths[level], widths[level - 1], 3, 3)
            x = self._relu(self._norm(f"downs.{level - 1}", skips[-1], shape, stride=2))
            skips.append(self._blocks(level, x) if blocks[level] else x)
        x = self._context(skips.pop())
        for level in reversed(range(len(widths) - 1)):
            x = self._norm(f"ups.{level}", x, (widths[level], widths[level + 1], 1, 1))
            factor = self._constant(np.array([1, 1, 2, 2], np.float32))
            x = self._node("Resize", x, "", factor, mode="linear", coordinate_transformation_mode="half_pixel")
            x = self._relu(self._node("Add", x, skips[level]))
            if level:
                x = self._residual(f"decoder.{level - 1}", x, widths[level])
            else:
                x = self._relu(self._node("Add", x, self._norm("finest", x, (widths[0], widths[0], 3, 3))))
        head = self._convolution("head", x, self._weight("head.weight", (self._config.classes, widths[0], 1, 1)))
        return self._softmax(head)

    def _input(self, crops: str) -> str:
        """Channels first, in -1..1."""
        x = self._node("Transpose", self._node("Cast", crops, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        x = self._node("Div", x, self._constant(np.array(127.5, np.float32)))
        return self._node("Sub", x, self._constant(np.array(1, np.float32)))

    def _softmax(self, logits: str) -> str:
        # ONNX Runtime's own goes through a transposed copy, which takes five times as long
        classes = self._constant(np.array([1], np.int64))
        powers = self._node("Exp", self._node("Sub", logits, self._node("ReduceMax", logits, classes)))
        return self._node("Div", powers, self._node("ReduceSum", powers, classes))

    def _blocks(self, level: int, x: str) -> str:
        for number in range(self._config.blocks[level]):
            x = self._residual(f"encoder.{level}.{number}", x, self._config.widths[level])
        return x

    def _residual(self, name: str, x: str, width: int) -> str:
        shape = (width, width, 3, 3)
        inner = self._relu(self._norm(f"{name}.first", x, shape))
        return self._relu(self._node("Add", x, self._norm(f"{name}.second", inner, shape)))

    def _context(self, x: str) -> str:
        width = self._config.widths[-1]
        shape = (width, width, 1, 1)
        inner = self._node("GlobalAveragePool", x)
        inner = self._relu(self._convolution("context.layers.0", inner, self._weight("context.layers.0.weight", shape)))
        inner = self._convolution("context.layers.2", inner, self._weight("context.layers.2.weight", shape))
        return self._node("Add", x, inner)

    def _norm(self, name: str, x: str, shape: tuple[int, ...], stride: int = 1) -> str:
        """A convolution with the batch norm behind it folded in."""
        kernel = self._weight(f"{name}.0.weight", shape)
        if name == "stem":
            # ONNX lays the pixels of a cell out before the colours, torch the colours before the pixels
            kernel = kernel.reshape(shape[0], 3, 4, *shape[2:]).swapaxes(1, 2).reshape(shape)
        scale, bias, mean, variance = (
            self._weight(f"{name}.1.{part}", shape[:1]) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + _NORM_EPSILON)
        return self._node(
            "Conv",
            x,
            self._constant(kernel * scale[:, None, None, None]),
            self._constant(bias - mean * scale),
            pads=[shape[-1] // 2] * 4,
            strides=[stride, stride],
        )

    def _convolution(self, name: str, x: str, kernel: np.ndarray) -> str:
        bias = self._weight(f"{name}.bias", kernel.shape[:1])
        return self._node("Conv", x, self._constant(kernel), self._constant(bias))

    def _relu(self, x: str) -> str:
        return self._node("Relu", x)

    def _weight(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in self._weights or self._weights[name].shape != shape:
            raise ValueError(f"no weight {name!r} of shape {shape}")
        self._unused.discard(name)
        return self._weights[name].astype(np.float32)

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name
