"""The delighting network: from an unwrapped face to the light on it."""

from __future__ import annotations

import torch
from torch import Tensor

from facegen.swap.delighting.inputs import LIGHT, MAPS
from facegen.swap.fields.network import FieldNet


class DelightingNet(FieldNet):
    """Its field is the log RGB of light, which varies slowly: what is finer is skin."""

    def __init__(self) -> None:
        super().__init__(MAPS, 3)

    def forward(self, picture: Tensor, maps: Tensor) -> Tensor:
        """Predicts the light.

        Args:
            picture: (B, 3, SIDE, SIDE) log RGB, see `DelightingInput`.
            maps: (B, MAPS, FIELD, FIELD).

        Returns:
            (B, 3, FIELD, FIELD) within `LIGHT`.
        """
        return torch.tanh(super().forward(picture, maps) / LIGHT) * LIGHT
