"""The dynamic radiance field of a person: an audio encoder in front of one of two fields, `fast` or `reference`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.talk.dfrf.audio import AudioEncoder
from facegen.talk.dfrf.expression import EYES_SIZE
from facegen.talk.dfrf.fast_field import FastConfig, FastField
from facegen.talk.dfrf.reference_field import ReferenceConfig, ReferenceField
from facegen.talk.engines import FIELD_FOLDERS, find_training
from facegen.training.losses import laplacian

_MOUTH_WEIGHT = 0.02
_OFFSET_WEIGHT = 1e-4
_DETAIL_WEIGHT = 0.1
_SQUARE_WEIGHT = 10.0
_PLANES = "field.planes"


class RadianceField(nn.Module):
    """From audio, expression and camera to a picture of the head.

    Args:
        kind: `fast` or `reference`.
        references: number of reference pictures.
        fast: sizes of the `fast` field.
        reference: sizes of the `reference` field.
        upper_face: numbers that describe the upper face: `EYES_SIZE` or `UPPER_FACE_SIZE`.
    """

    def __init__(
        self, kind: str, references: int, fast: FastConfig, reference: ReferenceConfig, upper_face: int = EYES_SIZE
    ) -> None:
        super().__init__()
        self.sound = AudioEncoder()
        self.field: FastField | ReferenceField
        if kind == "fast":
            self.field = FastField(fast, references, upper_face)
        else:
            self.field = ReferenceField(reference, references, upper_face)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses by name, for a batch of `SceneDataset`."""
        code, mouth = self.sound(batch["audio"])
        condition = torch.cat([code, batch["upper_face"]], 1)
        losses = {"mouth": _MOUTH_WEIGHT * F.mse_loss(mouth.float(), batch["mouth"])}
        if isinstance(self.field, ReferenceField):
            return losses | self.field.losses(condition, batch)
        expression = torch.cat([batch["mouth"], batch["upper_face"]], 1)
        rendered, offset = self.field(condition, expression, batch)
        error, weight = rendered - batch["target"], batch["weight"]
        return losses | {
            "colour": (weight * (error.abs() + _SQUARE_WEIGHT * error.square())).mean(),
            "detail": _DETAIL_WEIGHT * laplacian(rendered, batch["target"]),
            "offset": _OFFSET_WEIGHT * offset,
        }

    @torch.no_grad()
    def render(self, batch: dict[str, Tensor], rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """(B, 3, h, w) RGB in [0, 1]: the head's box of a batch of `Scene.build_batch`, or some of its pixels."""
        code, _ = self.sound(batch["audio"])
        condition = torch.cat([code, batch["upper_face"]], 1)
        if isinstance(self.field, ReferenceField):
            return self.field.render(condition, batch, rows, columns)
        expression = torch.cat([batch["mouth"], batch["upper_face"]], 1)
        rendered: Tensor = self.field(condition, expression, batch)[0]
        return rendered[:, :, rows, columns].clamp(0, 1)


def load_weights(run: str) -> dict[str, Tensor]:
    """The weights of a finished run of «train dfrf» or «talk train», by its path or its name.

    Raises:
        InputError: there is no such run, or it has no field.
    """
    from safetensors.torch import load_file

    folder = find_training(run)
    for name in FIELD_FOLDERS:
        path = folder / name / "field.safetensors"
        if path.exists():
            return load_file(path)
    raise InputError(
        f"Expected a finished training of a field to start from, found none in {run!r}; give the run of "
        "«facegen train dfrf» on several people, or leave task.start empty."
    )


@torch.no_grad()
def initialize(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads the weights of another field, such as a base over several people; planes are resized.

    Raises:
        InputError: the weights are of a field of another kind or of other sizes.
    """
    state = model.state_dict()
    loaded = {name: value.float() for name, value in weights.items()}
    if _PLANES in state and _PLANES in loaded:
        loaded[_PLANES] = F.interpolate(loaded[_PLANES], state[_PLANES].shape[2:], mode="bilinear", align_corners=True)
    wrong = sorted(set(state) ^ set(loaded)) or [name for name in state if state[name].shape != loaded[name].shape]
    if wrong:
        raise InputError(
            f"Expected a field of the same kind, sizes and number of references to start from, found that {wrong[0]} "
            "differs; give its own settings, or leave task.start empty."
        )
    model.load_state_dict(loaded)
