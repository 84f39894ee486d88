"""IO binding of ONNX Runtime: inputs of a network in the memory of its accelerator, reused from call to call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, OrtValue, RunOptions


class BoundTensors:
    """The inputs of one session; one call at a time.

    Args:
        memory: ONNX Runtime's name of the memory, such as `cuda`.
        device_id: which device of this kind.
    """

    def __init__(self, memory: str, device_id: int = 0) -> None:
        self._memory, self._device_id = memory, device_id
        self._tensors: dict[str, OrtValue] = {}
        self._copied: dict[str, np.ndarray] = {}

    def run(
        self,
        session: InferenceSession,
        outputs: Sequence[str],
        feeds: Mapping[str, np.ndarray],
        options: RunOptions | None = None,
    ) -> list[np.ndarray]:
        """Run the session.

        Args:
            session: of the network.
            outputs: names of the outputs wanted, in this order.
            feeds: inputs by name. One that is read-only, and is the array of the call before, is not copied again.
            options: of the call.
        """
        binding = session.io_binding()
        for name, array in feeds.items():
            binding.bind_ortvalue_input(name, self._copy(name, array))
        for name in outputs:
            binding.bind_output(name)
        session.run_with_iobinding(binding, options)
        results: list[np.ndarray] = binding.copy_outputs_to_cpu()
        return results

    def _copy(self, name: str, array: np.ndarray) -> OrtValue:
        from onnxruntime import OrtValue

        before = self._copied.get(name)
        if before is array and not array.flags.writeable:
            return self._tensors[name]
        if before is None or before.shape != array.shape or before.dtype != array.dtype:
            self._tensors[name] = OrtValue.ortvalue_from_shape_and_type(
                list(array.shape), array.dtype, self._memory, self._device_id
            )
        self._tensors[name].update_inplace(array)
        self._copied[name] = array
        return self._tensors[name]
