"""Networks of ONNX files: what runs them, what is told of it, and what a failing accelerator leaves behind."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from facegen.errors import InputError, WeightsError
from facegen.inference import ACCELERATORS, OnnxNetwork, accelerator_order, try_accelerators, watch_networks
from facegen.inference.accelerators import ORDER_VARIABLE
from facegen.inference.binding import BoundTensors


def doubling_network(kind: int = onnx.TensorProto.FLOAT, batch: int | str = 1) -> bytes:
    shape = [batch, 4]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "doubling",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


FOUR = np.arange(4, dtype=np.float32)[None]


def test_a_network_runs_and_says_on_what() -> None:
    network = OnnxNetwork(doubling_network(), name="doubling")
    assert network.inputs == {"x": (1, 4)}
    lines: list[str] = []
    with watch_networks(lines.append) as usage:
        for _ in range(2):
            assert np.array_equal(network.run({"x": FOUR})[0], 2 * FOUR)
    assert lines == [f"doubling runs on {network.ran_on}."]
    assert (network.accelerator.name == "cpu") == (network.ran_on.startswith("the CPU"))
    assert bool(usage.notices) == bool(network.fall)


@pytest.mark.parametrize("batch", [1, "faces"], ids=["one", "free"])
def test_several_faces_run_whatever_the_file_allows(batch: int | str) -> None:
    faces = np.arange(12, dtype=np.float32).reshape(3, 4)
    network = OnnxNetwork(doubling_network(batch=batch), name="doubling")
    assert np.array_equal(network.run({"x": faces})[0], 2 * faces)


def test_half_precision_goes_in_and_comes_out_as_single() -> None:
    network = OnnxNetwork(doubling_network(onnx.TensorProto.FLOAT16), name="doubling")
    (result,) = network.run({"x": FOUR.astype(np.float64)})
    assert result.dtype == np.float32
    assert np.array_equal(result, 2 * FOUR)


def test_the_user_sets_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ORDER_VARIABLE, "openvino, CUDA")
    assert accelerator_order() == ("openvino", "cuda", "cpu")
    monkeypatch.setenv(ORDER_VARIABLE, "cpu")
    assert OnnxNetwork(doubling_network(), name="doubling").accelerator.name == "cpu"
    monkeypatch.setenv(ORDER_VARIABLE, "gpu")
    with pytest.raises(InputError, match="found 'gpu'"):
        accelerator_order()


def test_a_named_accelerator_that_is_not_here_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ORDER_VARIABLE, "rocm")
    network = OnnxNetwork(doubling_network(), name="doubling")
    with watch_networks(lambda line: None) as usage:
        network.run({"x": FOUR})
    (notice,) = usage.notices
    assert notice.startswith("doubling ran on the CPU: ROCm (AMD): ")
    assert "install onnxruntime-rocm" in notice


def fake(monkeypatch: pytest.MonkeyPatch, provider: str, memory: str = "") -> None:
    """Let «rocm» be another provider of the build, whose tensors are bound to a memory."""
    other = dataclasses.replace(ACCELERATORS["rocm"], provider=provider, memory=memory)
    monkeypatch.setitem(ACCELERATORS, "rocm", other)
    monkeypatch.setenv(ORDER_VARIABLE, "rocm")


def test_a_provider_that_takes_no_node_counts_as_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "AzureExecutionProvider")
    network = OnnxNetwork(doubling_network(), name="doubling")
    assert network.accelerator.name == "rocm"
    network.run({"x": FOUR})
    assert network.ran_on == "the CPU (ROCm (AMD): it takes none of the network's nodes)"


def test_a_call_that_fails_is_repeated_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "AzureExecutionProvider")
    network = OnnxNetwork(doubling_network(), name="doubling")

    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory\nand more")

    network._session = SimpleNamespace(run=fail)
    assert np.array_equal(network.run({"x": FOUR})[0], 2 * FOUR)
    assert network.fall == "ROCm (AMD): a call failed (out of memory)"


@pytest.mark.parametrize("kind", [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16], ids=["single", "half"])
def test_bound_tensors_give_the_same_bits(kind: int) -> None:
    session = onnxruntime.InferenceSession(doubling_network(kind, batch="faces"), providers=["CPUExecutionProvider"])
    bound, random = BoundTensors("cpu"), np.random.default_rng(0)
    dtype = np.float32 if kind == onnx.TensorProto.FLOAT else np.float16
    for faces in (1, 1, 3, 3, 1):
        x = random.normal(size=(faces, 4)).astype(dtype)
        before = x.copy()
        (result,) = bound.run(session, ["y"], {"x": x})
        np.testing.assert_array_equal(result, session.run(["y"], {"x": x})[0])
        assert result.dtype == dtype
        np.testing.assert_array_equal(x, before)


def test_a_bound_input_is_copied_again_unless_it_cannot_have_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[np.ndarray] = []
    plain = onnxruntime.OrtValue.update_inplace
    monkeypatch.setattr(
        onnxruntime.OrtValue, "update_inplace", lambda self, array: (copied.append(array), plain(self, array))
    )
    session = onnxruntime.InferenceSession(doubling_network(), providers=["CPUExecutionProvider"])
    bound, x = BoundTensors("cpu"), FOUR.copy()
    for factor in (1, 5):
        x[:] = factor * FOUR
        np.testing.assert_array_equal(bound.run(session, ["y"], {"x": x})[0], 2 * factor * FOUR)
    fixed = 7 * FOUR
    fixed.flags.writeable = False
    for _ in range(3):
        np.testing.assert_array_equal(bound.run(session, ["y"], {"x": fixed})[0], 14 * FOUR)
    assert [each is fixed for each in copied] == [False, False, True]


def test_a_network_binds_its_inputs_where_the_accelerator_has_a_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "AzureExecutionProvider", memory="cpu")
    calls: list[object] = []
    plain = BoundTensors.run
    monkeypatch.setattr(BoundTensors, "run", lambda *arguments: (calls.append(arguments), plain(*arguments))[1])
    network = OnnxNetwork(doubling_network(onnx.TensorProto.FLOAT16), name="doubling", most_seconds=60)
    for _ in range(2):
        assert np.array_equal(network.run({"x": FOUR})[0], 2 * FOUR)
    # after the first call it is known that all nodes lie on the CPU, where nothing is bound
    assert len(calls) == 1


def test_inputs_that_cannot_be_bound_are_copied_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, "AzureExecutionProvider", memory="nowhere")
    network = OnnxNetwork(doubling_network(), name="doubling")
    part = SimpleNamespace(ep_name="AzureExecutionProvider", get_nodes=lambda: ["a node"])
    monkeypatch.setattr(network._session, "get_provider_graph_assignment_info", lambda: [part], raising=False)
    assert np.array_equal(network.run({"x": FOUR})[0], 2 * FOUR)
    assert network.accelerator.name == "rocm"
    assert network.ran_on.startswith("ROCm (AMD), inputs copied at each call (")


def test_a_wrong_tensor_is_an_error_and_no_fall() -> None:
    network = OnnxNetwork(doubling_network(), name="doubling")
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        network.run({"x": FOUR[:, :3]})
    assert np.array_equal(network.run({"x": FOUR})[0], 2 * FOUR)


def test_what_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(WeightsError, match="fetch it again"):
        OnnxNetwork(path, name="model")


def test_every_accelerator_is_tried() -> None:
    found = try_accelerators()
    assert found["the CPU"].startswith("works")
    assert all(words.startswith(("works", "no: ")) for words in found.values())
    assert "CUDA (NVIDIA)" in found
