"""`FaceParser`: which pixel of a face crop is skin, hair, eye, background and so on; by torch or as an ONNX graph.

On a CPU, ONNX Runtime runs the graph as fast as torch does and starts at once. The graph is written down from the same
weights as `network.ParserNet`, layer by layer, with the batch norms folded into their convolutions; a test holds the two
against each other. It takes pictures as they are and gives probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from facegen import hub
from facegen.config import from_dict
from facegen.device import may_have_gpu, onnx_session, usable_cores
from facegen.errors import InputError, WeightsError
from facegen.faces.parse import CLASSES, ParserNetConfig
from facegen.faces.weights import PARSER
from facegen.graph import GraphWriter, unshuffled_kernel
from facegen.json_file import parse_json

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


SIZE = 256
"""Side of the crops, pixels; `align.parse_matrix` gives the matrix from an image to them."""
AT_ONCE = 8

Network = Callable[[np.ndarray], np.ndarray]
"""(N, 256, 256, 3) uint8 RGB to (N, 19, 128, 128) float32 class probabilities."""


def parser_available() -> bool:
    """Whether the parser's weights are there; they are bundled, so this is False only in a broken install."""
    return hub.is_present(PARSER)


class FaceParser:
    """The embedded parser: a compact U-Net of our own, about 13 ms a crop on one CPU core.

    On a CPU it runs on ONNX Runtime, which needs no torch and is as quick; elsewhere on torch.

    Args:
        device: as `device.choose_device` takes it.
        threads: cores that one call may use on a CPU; 0 for all.

    Raises:
        WeightsError: the weights are missing or were changed.
    """

    def __init__(self, device: str = "auto", threads: int = 0) -> None:
        is_on_cpu = device == "cpu" or (device == "auto" and not may_have_gpu())
        self._network = _on_cpu(threads or usable_cores()) if is_on_cpu else _on_torch(device)

    def parse(self, crops_rgb: np.ndarray) -> np.ndarray:
        """Class probabilities of aligned crops.

        Args:
            crops_rgb: (N, 256, 256, 3) uint8 RGB, aligned by `align.parse_matrix`.

        Returns:
            (N, 19, 256, 256) float32, in the order of `CLASSES`, summing to 1 over the classes. Things held before a
            face count as background.
        """
        return self._parse_groups(crops_rgb, [(number,) for number in range(len(CLASSES))])

    def class_probability(self, crops_rgb: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """(N, 256, 256) float32 probability that a pixel belongs to any of these classes; see `group_probabilities`."""
        return self.group_probabilities(crops_rgb, classes)[:, 0]

    def group_probabilities(self, crops_rgb: np.ndarray, *groups: Sequence[int]) -> np.ndarray:
        """Probability that a pixel belongs to any class of a group: `parse` summed over them, and faster.

        Args:
            crops_rgb: as for `parse`.
            groups: numbers of classes, group by group.

        Returns:
            (N, G, 256, 256) float32, 0..1, a picture for each group.
        """
        return self._parse_groups(crops_rgb, groups)

    def _parse_groups(self, crops_rgb: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
        import cv2

        if crops_rgb.ndim != 4 or crops_rgb.shape[1:] != (SIZE, SIZE, 3) or crops_rgb.dtype != np.uint8:
            raise ValueError(f"Expected crops (N, {SIZE}, {SIZE}, 3) uint8, found {crops_rgb.shape} {crops_rgb.dtype}.")
        result = np.empty((len(crops_rgb), len(groups), SIZE, SIZE), np.float32)
        for start in range(0, len(crops_rgb), AT_ONCE):
            probabilities = self._network(np.ascontiguousarray(crops_rgb[start : start + AT_ONCE]))
            for number, picture in enumerate(probabilities, start):
                for index, group in enumerate(groups):
                    # probabilities are enlarged, not logits, so that borders stay smooth
                    cv2.resize(picture[list(group)].sum(0), (SIZE, SIZE), dst=result[number, index])
        return result


def _on_cpu(threads: int) -> Network:

    path = hub.fetch(PARSER)
    try:
        graph = parser_graph(*_read(path))
    except ValueError as error:
        raise _wrong_weights(path) from error
    session = onnx_session(graph, threads)

    def network(crops_rgb: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = session.run(None, {"crops": crops_rgb})[0]
        return probabilities

    return network


def _on_torch(name: str) -> Network:
    import torch
    from torch.nn import functional as F

    from facegen.device import choose_device, is_bfloat16_fast
    from facegen.faces.parse.network import ParserNet, fuse_batch_norms, to_input

    device, path = choose_device(name), hub.fetch(PARSER)
    weights, config = _read(path)
    parser = ParserNet(config)
    try:
        parser.load_state_dict({name: torch.from_numpy(np.array(value)).float() for name, value in weights.items()})
    except RuntimeError as error:
        raise _wrong_weights(path) from error
    parser = fuse_batch_norms(parser.eval().requires_grad_(False)).to(device).to(memory_format=torch.channels_last)
    dtype = torch.bfloat16 if is_bfloat16_fast(device) else torch.float32

    def network(crops_rgb: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            pictures = torch.from_numpy(crops_rgb).to(device).permute(0, 3, 1, 2).float() / 255
            probabilities: np.ndarray = F.softmax(parser(to_input(pictures)).float(), 1).cpu().numpy()
        return probabilities

    return network


def _read(path: Path) -> tuple[dict[str, np.ndarray], ParserNetConfig]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = (file.metadata() or {}).get("network")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return weights, from_dict(ParserNetConfig, parse_json(about, path.name)) if about else ParserNetConfig()
    except (SafetensorError, ValueError, InputError) as error:
        raise _wrong_weights(path) from error


def _wrong_weights(path: Path) -> WeightsError:
    return WeightsError(
        f"Expected the parser's weights in {path}, found another model; install them again, or, if it is your "
        "own, run: facegen weights reset parser"
    )
