"""Networks from their files and back: half precision, or 8 bits where size counts."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from facegen.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)
_STEP = ".step"


def load_frozen(network: Network, path: Path, name: str) -> Network:
    """The network with its weights, ready to be used.

    Args:
        network: fresh.
        path: safetensors in half precision, or as `save_in_8_bits` writes them.
        name: how an error speaks of it.

    Raises:
        WeightsError: the file holds another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = network.eval().requires_grad_(False)
    try:
        found = load_file(path)
        steps = {key: found.pop(key) for key in [*found] if key.endswith(_STEP)}
        network.load_state_dict({key: value.float() * steps.get(f"{key}{_STEP}", 1) for key, value in found.items()})
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"Expected the {name}'s weights in {path}, found another model; install them again."
        ) from error
    return network


def save_in_8_bits(network: nn.Module, path: Path) -> None:
    """Writes the weights in 8 bits, each channel of a convolution in steps of its own."""
    from safetensors.torch import save_file

    found: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        if value.ndim < 2:
            found[key] = value.half()
            continue
        step = value.abs().amax(tuple(range(1, value.ndim)), keepdim=True).clamp_min(1e-8) / 127
        found[key], found[f"{key}{_STEP}"] = (value / step).round().to(torch.int8).contiguous(), step.float()
    save_file(found, path)
