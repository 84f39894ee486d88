"""The harmonization network: from a drawn face and its surroundings to fields that relight the drawing."""

from __future__ import annotations

import torch
from torch import Tensor

from facegen.swap.fields.network import FieldNet
from facegen.swap.harmonization.inputs import FINER, LIGHT, MAPS, SOFTER


class HarmonizationNet(FieldNet):
    """Its fields change slow light and scale fine detail, but cannot draw features."""

    def __init__(self) -> None:
        super().__init__(MAPS, 4)

    def forward(self, drawn: Tensor, maps: Tensor) -> Tensor:
        """Predicts the fields.

        Args:
            drawn: (B, 3, SIDE, SIDE) log RGB less the target's tone.
            maps: (B, MAPS, FIELD, FIELD), see `HarmonizationInput`.

        Returns:
            (B, 4, FIELD, FIELD): change of log RGB within `LIGHT`, and the log factor on fine detail.
        """
        fields = super().forward(drawn, maps)
        change = torch.tanh(fields[:, :3] / LIGHT) * LIGHT
        return torch.cat([change, fields[:, 3:].clamp(SOFTER, FINER)], 1)
