"""Files of strangers are opened where they can do no harm."""

import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from facegen.errors import InputError
from facegen.guarded import Limits, enforced, run_guarded
from facegen.inference import OnnxNetwork

pytestmark = pytest.mark.usefixtures("kind_of_process")

TRY = "facegen.inference.trial:try_network"


def network(path: Path, nodes: list[onnx.NodeProto], shape: list[int | str]) -> Path:
    """An ONNX file with one input and one output of that shape."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("in", "out")]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def endless(path: Path) -> Path:
    """A file of a few hundred bytes that never ends."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, [1, 4]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, [1, 4]),
        ],
    )
    constants = [
        helper.make_node("Constant", [], ["turns"], value=helper.make_tensor("t", TensorProto.INT64, [], [2**62])),
        helper.make_node("Constant", [], ["true"], value=helper.make_tensor("b", TensorProto.BOOL, [], [True])),
    ]
    return network(path, [*constants, helper.make_node("Loop", ["turns", "true", "in"], ["out"], body=body)], [1, 4])


def test_a_good_network_is_described(tmp_path: Path) -> None:
    path = network(tmp_path / "good.onnx", [helper.make_node("Relu", ["in"], ["out"])], ["n", 4])
    assert run_guarded(TRY, str(path), what="good.onnx") == {"in": ["n", 4]}


def test_a_network_that_never_ends_is_refused(tmp_path: Path) -> None:
    path = endless(tmp_path / "endless.onnx")
    assert path.stat().st_size < 1000
    with pytest.raises(InputError, match="still busy|limits"):
        run_guarded(TRY, str(path), what="endless.onnx", limits=Limits(wall_seconds=2.0))


def test_a_call_that_takes_too_long_ends(tmp_path: Path) -> None:
    loaded = OnnxNetwork(endless(tmp_path / "endless.onnx"), name="endless", order=("cpu",), most_seconds=0.2)
    started = time.monotonic()
    with pytest.raises(InputError, match="still busy"):
        loaded.run({"in": np.ones((1, 4), np.float32)})
    assert time.monotonic() - started < 60


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no memory of a process this way")
def test_a_network_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    size = helper.make_node(
        "Constant", [], ["size"], value=helper.make_tensor("s", TensorProto.INT64, [2], [1 << 17, 1 << 17])
    )
    nodes = [size, helper.make_node("Expand", ["in", "size"], ["huge"])]
    nodes.append(helper.make_node("ReduceSum", ["huge"], ["out"], keepdims=1))
    path = network(tmp_path / "huge.onnx", nodes, [1, 1])
    with pytest.raises(InputError, match="Expected"):
        run_guarded(TRY, str(path), what="huge.onnx")


def test_what_the_function_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="cannot be read"):
        run_guarded(TRY, str(tmp_path / "no.onnx"), what="no.onnx")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces and Landlock")
def test_there_is_no_network_no_writing_and_an_end_of_memory() -> None:
    assert enforced() == {"memory": True, "network": True, "writing": True}
