"""Running average of a model's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """Keeps a copy of the model whose weights are an exponential moving average (Polyak averaging).

    The decay grows from 0.1 to its final value over the first steps, so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after `step` steps; buffers such as batch statistics are averaged too if float."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        own = self.model.state_dict()
        floats = [(own[name], value) for name, value in model.state_dict().items() if value.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], weight)
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                own[name].copy_(value)
