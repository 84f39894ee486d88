"""The dynamic radiance field of a person: an encoder of sound before one of two fields, `fast` or `reference`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.talk.dfrf.choices import FastConfig, ReferenceConfig
from facegen.talk.dfrf.fast import FastField
from facegen.talk.dfrf.hearing import EYES, SoundEncoder
from facegen.talk.dfrf.reference import ReferenceField
from facegen.training.losses import laplacian

_MOUTH_WEIGHT = 0.02
_OFFSET_WEIGHT = 1e-4
_DETAIL_WEIGHT = 0.1
_SQUARE_WEIGHT = 10.0


class RadianceField(nn.Module):
    """Sound, eyes and camera in, a picture of the head out.

    Args:
        kind: `fast` or `reference`.
        references: reference pictures.
        fast: sizes of the one.
        faithful: sizes of the other.
        eyes: numbers that say the eyes, and what else moves with them.
    """

    def __init__(
        self, kind: str, references: int, fast: FastConfig, faithful: ReferenceConfig, eyes: int = EYES
    ) -> None:
        super().__init__()
        self.sound = SoundEncoder()
        self.field: FastField | ReferenceField
        if kind == "fast":
            self.field = FastField(fast, references, eyes)
        else:
            self.field = ReferenceField(faithful, references, eyes)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses by name, for a batch of `SceneData`."""
        code, mouth = self.sound(batch["sound"])
        told = torch.cat([code, batch["eyes"]], 1)
        losses = {"mouth": _MOUTH_WEIGHT * F.mse_loss(mouth.float(), batch["mouth"])}
        if isinstance(self.field, ReferenceField):
            return losses | self.field.losses(told, batch)
        numbers = torch.cat([batch["shape"], batch["eyes"]], 1)
        drawn, offset = self.field(told, numbers, batch)
        error, weight = drawn - batch["target"], batch["weight"]
        return losses | {
            "colour": (weight * (error.abs() + _SQUARE_WEIGHT * error.square())).mean(),
            "detail": _DETAIL_WEIGHT * laplacian(drawn, batch["target"]),
            "offset": _OFFSET_WEIGHT * offset,
        }

    @torch.no_grad()
    def draw(self, view: dict[str, Tensor], rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1]: the box of each view, as `Scene.view` makes them, or some of its pixels."""
        code, _ = self.sound(view["sound"])
        told = torch.cat([code, view["eyes"]], 1)
        if isinstance(self.field, ReferenceField):
            return self.field.draw(told, view, rows, columns)
        numbers = torch.cat([view["shape"], view["eyes"]], 1)
        drawn: Tensor = self.field(told, numbers, view)[0]
        return drawn[:, :, rows, columns].clamp(0, 1)
