"""A network of an ONNX file on the quickest accelerator that runs it."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen.device import usable_cores
from facegen.errors import InputError, WeightsError
from facegen.inference.accelerators import (
    ACCELERATORS,
    Accelerator,
    accelerator_order,
    is_fall_notable,
    missing_library,
    obstacle,
    plugin_devices,
)
from facegen.inference.binding import BoundTensors
from facegen.inference.usage import report_run

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_RECORD_NODES = "session.record_ep_graph_assignment_info"


class OnnxNetwork:
    """A network that several threads may run; `inputs` and `outputs` are its tensors by name, with their shapes.

    The accelerators of `accelerator_order` are tried one after another. What really runs is asked of ONNX Runtime after
    the first call; a call that fails on an accelerator is repeated on the next one, and the reason is reported. Where the
    accelerator has a memory of its own, inputs are bound to it; where that fails, each call copies them.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        name: str,
        threads: int | None = None,
        order: Sequence[str] = (),
        most_seconds: float | None = None,
    ) -> None:
        """Load a network.

        Args:
            model: a file or a serialised model.
            name: what people call it.
            threads: CPU cores that one call may use, where it runs there; all where nothing is given.
            order: names of accelerators in place of `accelerator_order`, the CPU last.
            most_seconds: how long one call may take, for files of strangers, whose loops may never end.

        Raises:
            WeightsError: it is no network that ONNX Runtime can read.
        """
        self.name = name
        self._model = str(model) if isinstance(model, Path) else model
        self._threads = threads or usable_cores()
        self._most_seconds = most_seconds
        self._lock = threading.Lock()
        self.obstacles: list[tuple[Accelerator, str]] = []
        """Accelerators that were passed over, each with the reason."""
        self._waiting = [ACCELERATORS[each] for each in (order or accelerator_order())]
        self._ran_on = self._unbound_reason = ""
        self._bound: BoundTensors | None = None
        self._start_next()
        self.inputs = {item.name: tuple(item.shape) for item in self._session.get_inputs()}
        self.outputs = {item.name: tuple(item.shape) for item in self._session.get_outputs()}
        self._types = {item.name: _TYPES.get(item.type) for item in self._session.get_inputs()}

    def check_inputs(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """Hold the inputs against what they must be.

        Args:
            wanted: shapes by name, without the first axis; axes that a file leaves open fit.

        Raises:
            WeightsError: the file holds another model.
        """
        found = {name: shape[1:] for name, shape in self.inputs.items()}
        fits = set(found) == set(wanted) and all(
            len(found[name]) == len(sides)
            and all(side == other or not isinstance(other, int) for side, other in zip(sides, found[name], strict=True))
            for name, sides in wanted.items()
        )
        if not fits:
            file = self._model if isinstance(self._model, str) else "its file"
            expected = {name: (1, *sides) for name, sides in wanted.items()}
            raise WeightsError(
                f"Expected the model {self.name} with the inputs {expected} in {file}, found {self.inputs}; fetch it again."
            )

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def ran_on(self) -> str:
        """What the last call ran on, such as «CUDA (NVIDIA), 3 of 412 nodes on the CPU»; empty before the first."""
        return self._ran_on

    @property
    def fall(self) -> str:
        """Why a call ran on the CPU though an accelerator was expected; empty where none was."""
        notable = [f"{each.title}: {why}" for each, why in self.obstacles if is_fall_notable(each)]
        return "; ".join(notable) if self.accelerator.name == "cpu" else ""

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] = ()) -> list[np.ndarray]:
        """Run the network.

        Args:
            feeds: inputs by name, floats of any precision; one that stays the same from call to call is copied to an
                accelerator once where it is read-only. Where the first axis of an input is fixed at 1, several faces run
                one after another: their inputs have the same first axis, or one of 1 for all.
            outputs: names of the outputs wanted, in this order; all of them where nothing is given.

        Returns:
            The outputs, float32 where they are floats.

        Raises:
            InputError: the call took longer than it may.
        """
        arrays = {name: np.ascontiguousarray(value, self._types[name]) for name, value in feeds.items()}
        one_by_one = {name for name in arrays if self.inputs[name] and self.inputs[name][0] == 1}
        count = max((len(arrays[name]) for name in one_by_one), default=1)
        wanted = list(outputs) or list(self.outputs)
        if count == 1:
            return self._run(wanted, arrays)
        slices = (
            {
                name: value[i : i + 1] if name in one_by_one and len(value) == count else value
                for name, value in arrays.items()
            }
            for i in range(count)
        )
        parts = [self._run(wanted, piece) for piece in slices]
        return [np.concatenate(results) for results in zip(*parts, strict=True)]

    def _run(self, wanted: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        while True:
            session = self._session
            try:
                with nullcontext() if self.accelerator.name == "cpu" else self._lock:
                    results = self._run_in_time(session, wanted, feeds)
                break
            except InputError:
                raise
            except Exception as error:  # ONNX Runtime's kinds have no common base
                with self._lock:
                    if session is not self._session:
                        continue  # another thread has moved on already
                    if self.accelerator.name == "cpu":
                        raise
                    if self._bound is not None:
                        self._bound, self._unbound_reason, self._ran_on = None, _first_line(error), ""
                        continue
                    self.obstacles.append((self.accelerator, f"a call failed ({_first_line(error)})"))
                    self._start_next()
        if not self._ran_on:
            self._ran_on = self._ask_session()
        report_run(self)
        return [np.asarray(each, np.float32) if each.dtype.kind == "f" else each for each in results]

    def _run_in_time(
        self, session: "InferenceSession", wanted: list[str], feeds: dict[str, np.ndarray]
    ) -> Sequence[np.ndarray]:
        """Run a session, ended from another thread where it takes longer than it may."""
        if self._most_seconds is None:
            return self._call(session, wanted, feeds)
        import onnxruntime

        options = onnxruntime.RunOptions()
        watch = threading.Timer(self._most_seconds, setattr, (options, "terminate", True))
        watch.daemon = True
        watch.start()
        try:
            return self._call(session, wanted, feeds, options)
        except Exception as error:  # ONNX Runtime's kinds have no common base
            if not options.terminate:
                raise
            raise InputError(
                f"Expected a call of {self.name} to end within {self._most_seconds:g} seconds, found it still busy; use another "
                "model."
            ) from error
        finally:
            watch.cancel()

    def _call(
        self,
        session: "InferenceSession",
        wanted: list[str],
        feeds: dict[str, np.ndarray],
        options: "RunOptions | None" = None,
    ) -> Sequence[np.ndarray]:
        if self._bound is None:
            return session.run(wanted, feeds, options)
        return self._bound.run(session, wanted, feeds, options)

    def _start_next(self) -> None:
        """Make a session on the next accelerator that takes the network."""
        while True:
            self.accelerator = self._waiting.pop(0)
            reason = obstacle(self.accelerator)
            if not reason:
                try:
                    self._session = self._make_session(self.accelerator)
                except Exception as error:  # ONNX Runtime's kinds have no common base
                    if self.accelerator.name == "cpu":
                        raise WeightsError(
                            f"Expected an ONNX network in {self.name}, found one that cannot be read "
                            f"({_first_line(error)}); fetch it again."
                        ) from error
                    reason = missing_library(self.accelerator) or _first_line(error)
                else:
                    if self.accelerator.provider in self._session.get_providers():
                        self._ran_on = self._unbound_reason = ""
                        memory, device = self.accelerator.memory, self.accelerator.options().get("device_id", "0")
                        self._bound = BoundTensors(memory, int(device)) if memory else None
                        return
                    reason = missing_library(self.accelerator) or "ONNX Runtime refused to start it"
            self.obstacles.append((self.accelerator, reason))

    def _make_session(self, accelerator: Accelerator) -> "InferenceSession":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.log_severity_level = 4
        # waiting threads would spin, which doubles the processor time and starves other work
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry(_RECORD_NODES, "1")
        if accelerator.name in ("cuda", "tensorrt"):
            with redirect_stdout(StringIO()):  # it prints what it does not find; `missing_library` says what matters
                onnxruntime.preload_dlls()
        if accelerator.plugin and accelerator.provider not in onnxruntime.get_available_providers():
            options.add_provider_for_devices(plugin_devices(accelerator)[:1], accelerator.options())
            return onnxruntime.InferenceSession(self._model, options, enable_fallback=0)
        chosen: list[Any] = [(accelerator.provider, accelerator.options())]
        if accelerator.name != "cpu":
            chosen.append("CPUExecutionProvider")
        return onnxruntime.InferenceSession(self._model, options, providers=chosen, enable_fallback=0)

    def _ask_session(self) -> str:
        """Where the nodes of the graph lie, as ONNX Runtime has shared them out."""
        nodes = Counter[str]()
        for part in self._session.get_provider_graph_assignment_info():
            nodes[part.ep_name] += len(part.get_nodes())
        on_cpu = nodes["CPUExecutionProvider"]
        if self.accelerator.name == "cpu":
            return f"the CPU ({self.fall})" if self.fall else "the CPU"
        if on_cpu == nodes.total() > 0:
            self.obstacles.append((self.accelerator, "it takes none of the network's nodes"))
            self.accelerator, self._bound = ACCELERATORS["cpu"], None
            return f"the CPU ({self.fall})" if self.fall else "the CPU"
        words = self.accelerator.title
        if on_cpu:
            words += f", {on_cpu} of {nodes.total()} nodes on the CPU"
        return f"{words}, inputs copied at each call ({self._unbound_reason})" if self._unbound_reason else words


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
