"""Training of a SAEHD model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegen.swap.autoencoder.export import DFM, read_weights, write_model
from facegen.swap.autoencoder.losses import drawing_losses, judging_losses
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.autoencoder.samples import TwoPeople
from facegen.swap.weights import PRETRAINED, pretrained_folder
from facegen.training.task import DISCRIMINATOR, Task, TrainingData


@dataclass(frozen=True, kw_only=True)
class SaehdTask(SaehdOptions, Task):
    """Learns two people, so that the one's face can be drawn with the other's expressions."""

    start_from: str = ""
    """A run or an export to go on from with new people (its middles start afresh where it was pretrained); «pretrained»
    is the model that facegen brings for the preset small-128."""
    export_dfm: bool = True
    """Also export as .dfm, which DeepFaceLive and FaceFusion read."""
    export_half: bool = field(default=False)
    """Half-precision numbers in the .dfm."""
    export_onnx: bool = False
    """Also export as plain ONNX, pictures as networks have them: (N, 3, R, R) RGB."""
    export_shards: bool = False
    """Write the weights in half precision and in files below 10 MB."""

    @property
    def group_count(self) -> int:  # type: ignore[override]
        """2 with a discriminator (`gan_power` or `true_face_power` above 0), else 1."""
        return 2 if self.has_critics else 1

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Those of the autoencoder, then those of the discriminators."""
        assert isinstance(model, SaehdModel)
        groups = [model.own_parameters(), model.critic_parameters()]
        return groups[: self.group_count]

    def build_data(self, folder: Path | None, device: torch.device) -> TwoPeople:
        """The facesets a and b below the folder."""
        return TwoPeople.read(folder, self, device)

    def build_model(self) -> nn.Module:
        """A fresh network, or one that goes on from another's weights."""
        model = SaehdModel(self, with_critics=True)
        # on the meta device somebody only counts the weights
        if self.start_from and not next(model.parameters()).is_meta:
            place = pretrained_folder() if self.start_from == PRETRAINED else Path(self.start_from)
            was_pretrained = read_weights(place, model)
            if was_pretrained and not self.pretrain:
                model.forget_people()
        return model

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """A and B, and what was asked for besides; the discriminators' for their group."""
        if group == DISCRIMINATOR:
            return judging_losses(model, self, batch, progress)
        return drawing_losses(model, self, batch, progress)

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Mean absolute error of a few faces drawn again as they are."""
        assert isinstance(model, SaehdModel)
        assert isinstance(data, TwoPeople)
        a, b = data.examples()
        gaps = [(model.draw_a(a).picture - a).abs().mean(), (model.draw_b(b).picture - b).abs().mean()]
        return {"error": float(torch.stack(gaps).mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Columns: A, A drawn again, B, B drawn again, A with B's face, and that face laid over A; a row an example."""
        assert isinstance(model, SaehdModel)
        assert isinstance(data, TwoPeople)
        a, b = data.examples()
        again, swapped = model.draw_a(a), model.swap(a)
        mask = (again.mask * swapped.mask).clamp(0, 1)
        over = swapped.picture * mask + a * (1 - mask)
        columns = torch.stack([a, again.picture, b, model.draw_b(b).picture, swapped.picture, over])
        shown = (columns.clamp(0, 1) * 255).byte().permute(1, 3, 0, 4, 2)
        return shown.flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Weights, the settings that rebuild the network, and a .dfm."""
        assert isinstance(model, SaehdModel)
        return write_model(
            model,
            self,
            folder,
            dfm_name=_dfm_name(folder) if self.export_dfm else None,
            with_onnx=self.export_onnx,
            is_half=self.export_half,
            in_shards=self.export_shards,
        )


def _dfm_name(folder: Path) -> str:
    """`model_500.dfm` for an export on the way, so that those of several moments can lie in one folder."""
    on_the_way = re.fullmatch(r"step-(\d+)", folder.name)
    return f"model_{int(on_the_way[1])}.dfm" if on_the_way else DFM
