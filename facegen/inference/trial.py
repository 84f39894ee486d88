"""Runs a small network on each accelerator, to tell which ones work on this machine."""

import time
from pathlib import Path

import numpy as np

from facegen.errors import InputError
from facegen.inference.accelerators import ACCELERATORS, accelerator_order
from facegen.inference.network import OnnxNetwork

_CHANNELS, _SIDE_PX, _CALLS = 32, 128, 5


def try_accelerators() -> dict[str, str]:
    """What came of three convolutions on each accelerator that this system can have, by its title, in words."""
    model = _small_network()
    order = accelerator_order()
    names = [*order, *(name for name, each in ACCELERATORS.items() if name not in order and each.is_possible())]
    return {ACCELERATORS[name].title: _try(name, model, is_used=name in order) for name in names}


def _try(name: str, model: bytes, *, is_used: bool) -> str:
    network = OnnxNetwork(model, name="trial", order=tuple(dict.fromkeys((name, "cpu"))))
    picture = np.full((1, 3, _SIDE_PX, _SIDE_PX), 0.5, np.float32)
    network.run({"picture": picture})
    started = time.perf_counter()
    for _ in range(_CALLS):
        network.run({"picture": picture})
    if network.accelerator.name != name:
        return f"no: {network.obstacles[0][1]}"
    milliseconds = (time.perf_counter() - started) / _CALLS * 1000
    return f"works, {milliseconds:.1f} ms a trial" + ("" if is_used else "; used where FACEGEN_ACCELERATORS names it")


def _small_network() -> bytes:
    import onnx

    from facegen.graph import GraphWriter

    writer = GraphWriter({})
    x, channels = "picture", 3
    rng = np.random.default_rng(0)
    for _ in range(3):
        kernel = rng.normal(0, 0.1, (_CHANNELS, channels, 3, 3)).astype(np.float32)
        x, channels = writer.relu(writer.convolve(x, kernel, np.zeros(_CHANNELS, np.float32))), _CHANNELS
    output = writer.node("Identity", x)
    shape = [1, channels, _SIDE_PX, _SIDE_PX]
    return writer.serialise(
        "trial",
        [onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, [1, 3, _SIDE_PX, _SIDE_PX])],
        [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, shape)],
    )


def try_network(path: str) -> dict[str, list[int | str | None]]:
    """Load an ONNX file and run it once on zeros, for a process with limits: a file of strangers may never end.

    Args:
        path: the file; sides that it leaves open count as 1.

    Returns:
        Its inputs by name, with their shapes.

    Raises:
        WeightsError: it cannot be read.
        InputError: it cannot be run.
    """
    network = OnnxNetwork(Path(path), name=Path(path).name, order=("cpu",))
    feeds = {
        name: np.zeros([side if isinstance(side, int) else 1 for side in shape], np.float32)
        for name, shape in network.inputs.items()
    }
    try:
        network.run(feeds)
    except Exception as error:  # ONNX Runtime's kinds have no common base
        raise InputError(
            f"Expected a network that runs in {Path(path).name}, found one that does not ({str(error)[:160]}); export it again."
        ) from error
    return {name: list(shape) for name, shape in network.inputs.items()}
