"""A field's first weights: those of another one, such as a base that was trained on several people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.talk.engines import FIELD_FOLDERS, find_training

_PLANES = "field.planes"


def base_weights(start: str) -> dict[str, Tensor]:
    """The weights of a finished run of «train dfrf» or «talk train», by its path or its name.

    Raises:
        InputError: there is no such run, or it has no field.
    """
    from safetensors.torch import load_file

    return load_file(_weights_path(start))


def _weights_path(start: str) -> Path:
    run = find_training(start)
    for place in FIELD_FOLDERS:
        if (run / place / "field.safetensors").exists():
            return run / place / "field.safetensors"
    raise InputError(
        f"Expected a finished training of a field to start from, found none in {start!r}; give the run of "
        "«facegen train dfrf» on several people, or leave task.start empty."
    )


@torch.no_grad()
def start_from(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Puts weights into a field; planes of another size are brought to its own.

    Raises:
        InputError: they are of a field of another kind or of other sizes.
    """
    own = model.state_dict()
    given = {name: value.float() for name, value in weights.items()}
    if _PLANES in own and _PLANES in given:
        given[_PLANES] = F.interpolate(given[_PLANES], own[_PLANES].shape[2:], mode="bilinear", align_corners=True)
    wrong = sorted(set(own) ^ set(given)) or [name for name in own if own[name].shape != given[name].shape]
    if wrong:
        raise InputError(
            f"Expected a field of the same kind, sizes and number of references to start from, found that {wrong[0]} "
            "differs; give its own settings, or leave task.start empty."
        )
    model.load_state_dict(given)
