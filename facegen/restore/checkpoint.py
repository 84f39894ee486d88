"""Weights of small networks as safetensors: half precision, or 8 bits with a scale per output channel."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from facegen.errors import WeightsError

Network = TypeVar("Network", bound=nn.Module)
_SCALE = ".step"
"""Suffix of the key that holds the scales of an 8-bit tensor."""


def load_frozen(network: Network, path: Path, name: str) -> Network:
    """The network with its weights, in evaluation mode, without gradients, in full precision.

    Args:
        network: of the architecture that the file was saved from.
        path: as `save_half` or `save_int8` writes it.
        name: the network's name in an error.

    Raises:
        WeightsError: there is no such file, or it holds another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = network.eval().requires_grad_(False)
    try:
        state = load_file(path)
        scales = {key: state.pop(key) for key in [*state] if key.endswith(_SCALE)}
        network.load_state_dict({key: value.float() * scales.get(f"{key}{_SCALE}", 1) for key, value in state.items()})
    except FileNotFoundError as error:
        raise WeightsError(f"Expected the {name}'s weights in {path}, found no such file; check its path.") from error
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(
            f"Expected the {name}'s weights in {path}, found another model; install them again."
        ) from error
    return network


def save_half(network: nn.Module, path: Path) -> Path:
    """Writes the weights in half precision; integers stay as they are. Returns the path."""
    from safetensors.torch import save_file

    state = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def save_int8(network: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Writes matrices and convolutions in 8 bits, symmetric per output channel, the rest in half precision."""
    from safetensors.torch import save_file

    state: dict[str, Tensor] = {}
    for key, value in network.state_dict().items():
        if value.ndim < 2:
            state[key] = value.half()
            continue
        scale = value.abs().amax(tuple(range(1, value.ndim)), keepdim=True).clamp_min(1e-8) / 127
        state[key] = (value / scale).round().to(torch.int8).contiguous()
        state[f"{key}{_SCALE}"] = scale.float()
    save_file(state, path, metadata)
    return path
