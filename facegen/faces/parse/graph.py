"""The parser's network as an ONNX graph: on a CPU, ONNX Runtime runs it as fast as torch does and starts at once.

The graph is written down from the same weights as `network.ParserNet`, layer by layer, with the batch norms folded into
their convolutions; a test holds the two against each other. It takes pictures as they are and gives probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, helper

from facegen.faces.parse import ParserNetConfig
from facegen.graph import GraphWriter, unshuffled_kernel

_NORM_EPSILON = 1e-5


def parser_graph(weights: Mapping[str, np.ndarray], config: ParserNetConfig) -> bytes:
    """The serialised graph: `crops` (N, H, W, 3) uint8 RGB to `probabilities` (N, classes, H / 2, W / 2) float32.

    Args:
        weights: the state of a `network.ParserNet`, by name.
        config: what it was made with.

    Raises:
        ValueError: the weights are not those of such a network.
    """
    writer = _ParserWriter(weights, config)
    probabilities = writer.write("crops")
    return writer.serialise(
        "parser",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ("n", "h", "w", 3))],
        [helper.make_tensor_value_info(probabilities, TensorProto.FLOAT, ("n", config.classes, None, None))],
    )


class _ParserWriter(GraphWriter):
    def __init__(self, weights: Mapping[str, np.ndarray], config: ParserNetConfig) -> None:
        super().__init__(weights)
        self._config = config

    def write(self, crops: str) -> str:
        """`ParserNet.forward`, and the softmax."""
        x = self._input(crops)
        widths, blocks = self._config.widths, self._config.blocks
        x = self.relu(self._norm("stem", self.node("SpaceToDepth", x, blocksize=2), (widths[0], 12, 3, 3)))
        skips = [self._blocks(0, x)]
        for level in range(1, len(widths)):
            shape = (widths[level], widths[level - 1], 3, 3)
            x = self.relu(self._norm(f"downs.{level - 1}", skips[-1], shape, stride=2))
            skips.append(self._blocks(level, x) if blocks[level] else x)
        x = self._context(skips.pop())
        for level in reversed(range(len(widths) - 1)):
            x = self._norm(f"ups.{level}", x, (widths[level], widths[level + 1], 1, 1))
            factor = self.constant(np.array([1, 1, 2, 2], np.float32))
            x = self.node("Resize", x, "", factor, mode="linear", coordinate_transformation_mode="half_pixel")
            x = self.relu(self.node("Add", x, skips[level]))
            if level:
                x = self._residual(f"decoder.{level - 1}", x, widths[level])
            else:
                x = self.relu(self.node("Add", x, self._norm("finest", x, (widths[0], widths[0], 3, 3))))
        head = self._convolution("head", x, self.weight("head.weight", (self._config.classes, widths[0], 1, 1)))
        return self._softmax(head)

    def _input(self, crops: str) -> str:
        """Channels first, in -1..1."""
        x = self.node("Transpose", self.node("Cast", crops, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
        x = self.node("Div", x, self.constant(np.array(127.5, np.float32)))
        return self.node("Sub", x, self.constant(np.array(1, np.float32)))

    def _softmax(self, logits: str) -> str:
        # ONNX Runtime's own goes through a transposed copy, which takes five times as long
        classes = self.constant(np.array([1], np.int64))
        powers = self.node("Exp", self.node("Sub", logits, self.node("ReduceMax", logits, classes)))
        return self.node("Div", powers, self.node("ReduceSum", powers, classes))

    def _blocks(self, level: int, x: str) -> str:
        for number in range(self._config.blocks[level]):
            x = self._residual(f"encoder.{level}.{number}", x, self._config.widths[level])
        return x

    def _residual(self, name: str, x: str, width: int) -> str:
        shape = (width, width, 3, 3)
        inner = self.relu(self._norm(f"{name}.first", x, shape))
        return self.relu(self.node("Add", x, self._norm(f"{name}.second", inner, shape)))

    def _context(self, x: str) -> str:
        width = self._config.widths[-1]
        shape = (width, width, 1, 1)
        inner = self.node("GlobalAveragePool", x)
        inner = self.relu(self._convolution("context.layers.0", inner, self.weight("context.layers.0.weight", shape)))
        inner = self._convolution("context.layers.2", inner, self.weight("context.layers.2.weight", shape))
        return self.node("Add", x, inner)

    def _norm(self, name: str, x: str, shape: tuple[int, ...], stride: int = 1) -> str:
        """A convolution with the batch norm behind it folded in."""
        kernel = self.weight(f"{name}.0.weight", shape)
        if name == "stem":
            kernel = unshuffled_kernel(kernel, 3, 2)
        scale, bias, mean, variance = (
            self.weight(f"{name}.1.{part}", shape[:1]) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + _NORM_EPSILON)
        return self.convolve(x, kernel * scale[:, None, None, None], bias - mean * scale, stride)

    def _convolution(self, name: str, x: str, kernel: np.ndarray) -> str:
        return self.convolve(x, kernel, self.weight(f"{name}.bias", kernel.shape[:1]))
