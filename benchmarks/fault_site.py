"""What Python runs first in a studio under `faults`: a clock that can be set, and a device whose memory can come to its end.

It is copied as `sitecustomize.py`. In the folder FACEGEN_FAULTS the file `clock` holds the seconds by which the clock is wrong,
and as long as there is a file `memory`, every convolution runs out of it.
"""

import os
import sys
import time


def set_clock(folder: str) -> None:
    """Let all that tells the time say what the file says, also of the machine's start, as after setting a real clock."""
    import psutil

    now, boot, created = time.time, psutil.boot_time, psutil.Process.create_time

    def offset() -> float:
        try:
            with open(os.path.join(folder, "clock"), encoding="ascii") as file:
                return float(file.read() or 0)
        except OSError:
            return 0.0

    time.time = lambda: now() + offset()
    psutil.boot_time = lambda: boot() + offset()
    psutil.Process.create_time = lambda process: created(process) + offset()


def exhaust_memory(folder: str) -> None:
    """Let convolutions fail as on a device whose memory is full, as long as the file is there."""
    import torch

    forward = torch.nn.Conv2d.forward

    def fail(layer: torch.nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
        if os.path.exists(os.path.join(folder, "memory")):
            raise torch.OutOfMemoryError("CUDA out of memory. (simulated)")
        return forward(layer, values)

    torch.nn.Conv2d.forward = fail  # type: ignore[method-assign]


if __name__ == "sitecustomize":
    set_clock(os.environ["FACEGEN_FAULTS"])
    if "facegen.worker" in sys.orig_argv:
        exhaust_memory(os.environ["FACEGEN_FAULTS"])
