"""In which number format a device works fastest on convolutions."""

from __future__ import annotations

import torch


def is_bfloat16_quick(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are quicker than in float32: recent GPUs, and CPUs with avx512_bf16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # The public way to ask a CPU is /proc/cpuinfo, which only Linux has.
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
