"""Stand-ins of LivePortrait's networks: ONNX files with their names and shapes, and a known answer."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from facegen import hub
from facegen.reenact.live_portrait import load_part
from facegen.reenact.weights import EYES, FEATURES, GENERATOR, LIPS, MOTION, STITCHER
from tests.onnx_graph import Graph, number

POINTS = np.random.default_rng(5).normal(0, 0.3, (21, 3)).astype(np.float32)
"""The canonical keypoints of every face."""
SOURCE_WEIGHTS = np.random.default_rng(6).normal(0, 0.05, (21, 3)).astype(np.float32)
TARGET_WEIGHTS = np.random.default_rng(7).normal(0, 0.05, (21, 3)).astype(np.float32)
"""How much the keypoints that the generator is given brighten its picture."""
RETARGETING = np.array([0.5, -0.25, 0.125], np.float32)
"""What is added to each coordinate of the keypoints, by the ratios that a retargeter is told."""
_SEEN = (1, 3, 256, 256)


def motion_of(mean_rgb: np.ndarray) -> dict[str, np.ndarray]:
    """What the motion extractor says of a crop whose mean is RGB in 0..1."""
    red, green, blue = mean_rgb
    return {
        "pitch": np.array(10 * red),
        "yaw": np.array(20 * green),
        "roll": np.array(30 * blue),
        "scale": np.array(1 + red),
        "translation": np.array([0.1, 0.2, 0.3]) * mean_rgb,
        "expression": 0.01 * np.arange(1, 22)[:, None] * mean_rgb[None],
    }


def _write_motion(path: Path) -> Path:
    graph = Graph()
    means = graph.node("Reshape", graph.node("ReduceMean", "input", np.array([2, 3])), np.array([1, 3]))
    parts = [graph.node("Slice", means, np.array([i]), np.array([i + 1]), np.array([1])) for i in range(3)]
    pitch, yaw, roll = (graph.node("Mul", part, number(10.0 * (i + 1))) for i, part in enumerate(parts))
    scale = graph.node("Add", parts[0], number(1))
    translation = graph.node("Mul", means, np.array([[0.1, 0.2, 0.3]], np.float32))
    row = graph.node("Reshape", means, np.array([1, 1, 3]))
    expression = graph.node("Mul", row, (0.01 * np.arange(1, 22)).astype(np.float32).reshape(1, 21, 1))
    points = graph.node("Add", graph.node("Mul", expression, number(0)), POINTS[None])
    return graph.save(path, {"input": _SEEN}, [pitch, yaw, roll, scale, translation, expression, points], None)


def _write_features(path: Path) -> Path:
    graph, room = Graph(), 32 * 16 * 64 * 64 - 3 * 256 * 256
    flat = graph.node("Pad", graph.node("Reshape", "input", np.array([-1])), np.array([0, room]))
    shape = (1, 32, 16, 64, 64)
    return graph.save(path, {"input": _SEEN}, graph.node("Reshape", flat, np.array(shape)), shape)


def _write_generator(path: Path) -> Path:
    graph = Graph()
    flat = graph.node("Reshape", "feature_volume", np.array([-1]))
    seen = graph.node("Reshape", graph.node("Slice", flat, np.array([0]), np.array([3 * 256 * 256])), np.array(_SEEN))
    large = graph.node("Resize", seen, "", np.array([1, 1, 2, 2], np.float32), mode="linear")
    sums = [
        graph.node("ReduceSum", graph.node("Mul", name, weights[None]), keepdims=0)
        for name, weights in (("source", SOURCE_WEIGHTS), ("target", TARGET_WEIGHTS))
    ]
    made = graph.node("Add", large, graph.node("Add", *sums))
    inputs: dict[str, tuple[int | str, ...]] = {
        "feature_volume": (1, 32, 16, 64, 64),
        "source": (1, 21, 3),
        "target": (1, 21, 3),
    }
    return graph.save(path, inputs, made, (1, 3, 512, 512))


def _write_stitcher(path: Path) -> Path:
    graph = Graph()
    mixed = graph.node("Add", graph.node("Mul", "source", number(0.75)), graph.node("Mul", "target", number(0.25)))
    return graph.save(path, {"source": (1, 21, 3), "target": (1, 21, 3)}, mixed, (1, 21, 3))


def _write_retargeter(path: Path, ratios: int) -> Path:
    graph = Graph()
    chosen = graph.node("Slice", "input", np.array([63]), np.array([63 + ratios]), np.array([1]))
    added = graph.node("ReduceSum", graph.node("Mul", chosen, RETARGETING[None, :ratios]), keepdims=1)
    kept = graph.node("Slice", "input", np.array([0]), np.array([63]), np.array([1]))
    return graph.save(
        path, {"input": (1, 63 + ratios)}, graph.node("Add", graph.node("Mul", kept, number(0.01)), added), (1, 63)
    )


def use_stand_ins(folder: Path) -> None:
    """Put stand-ins into the places of LivePortrait's files."""
    for weight, write in (
        (FEATURES, _write_features),
        (MOTION, _write_motion),
        (GENERATOR, _write_generator),
        (STITCHER, _write_stitcher),
        (EYES, lambda path: _write_retargeter(path, 3)),
        (LIPS, lambda path: _write_retargeter(path, 2)),
    ):
        hub.use_custom(weight, write(folder / f"{weight.name}.onnx"))
    load_part.cache_clear()


def write_other(path: Path) -> Path:
    """A network with other inputs."""
    entry = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [entry("x", TensorProto.FLOAT, [1])],
        [entry("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path
