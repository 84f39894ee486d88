"""Training of a SAEHD model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegen.swap.autoencoder.data import SaehdData
from facegen.swap.autoencoder.export import DFM, load_weights, write_model
from facegen.swap.autoencoder.losses import autoencoder_losses, discriminator_losses
from facegen.swap.autoencoder.model import SaehdModel
from facegen.swap.autoencoder.options import SaehdOptions
from facegen.swap.weights import PRETRAINED, pretrained_folder
from facegen.training.task import DISCRIMINATOR, Task, TrainingData


@dataclass(frozen=True, kw_only=True)
class SaehdTask(SaehdOptions, Task):
    """Trains an autoencoder of two people, which predicts the one's face with the other's pose and expression."""

    start_from: str = ""
    """A run or an export whose weights the training starts from (without its inters where it was pretrained);
    «pretrained» is the bundled model for the preset small-128."""
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
        return 2 if self.has_discriminators else 1

    def parameter_groups(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Those of the autoencoder, then those of the discriminators."""
        assert isinstance(model, SaehdModel)
        groups = [model.autoencoder_parameters(), model.discriminator_parameters()]
        return groups[: self.group_count]

    def build_data(self, folder: Path | None, device: torch.device) -> SaehdData:
        """The facesets a and b below the folder."""
        return SaehdData.load(folder, self, device)

    def build_model(self) -> nn.Module:
        """A new network, with the weights of `start_from`."""
        model = SaehdModel(self, with_discriminators=True)
        # on the meta device only parameters are counted
        if self.start_from and not next(model.parameters()).is_meta:
            path = pretrained_folder() if self.start_from == PRETRAINED else Path(self.start_from)
            was_pretrained = load_weights(path, model)
            if was_pretrained and not self.pretrain:
                model.reset_inters()
        return model

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Losses of the autoencoder, or of the discriminators for their group."""
        if group == DISCRIMINATOR:
            return discriminator_losses(model, self, batch, progress)
        return autoencoder_losses(model, self, batch, progress)

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Mean absolute error of a few reconstructed faces."""
        assert isinstance(model, SaehdModel)
        assert isinstance(data, SaehdData)
        a, b = data.examples()
        errors = [(model.reconstruct_a(a).picture - a).abs().mean(), (model.reconstruct_b(b).picture - b).abs().mean()]
        return {"error": float(torch.stack(errors).mean())}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray:
        """Columns: A, its reconstruction, B, its reconstruction, A with B's face, that face composited; a row an example."""
        assert isinstance(model, SaehdModel)
        assert isinstance(data, SaehdData)
        a, b = data.examples()
        reconstruction, swapped = model.reconstruct_a(a), model.swap(a)
        mask = (reconstruction.mask * swapped.mask).clamp(0, 1)
        merged = swapped.picture * mask + a * (1 - mask)
        pictures = [a, reconstruction.picture, b, model.reconstruct_b(b).picture, swapped.picture, merged]
        grid = (torch.stack(pictures).clamp(0, 1) * 255).byte().permute(1, 3, 0, 4, 2)
        return grid.flatten(2, 3).flatten(0, 1).cpu().numpy()

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
    """`model_500.dfm` for an export while training, so that those of several steps can share a folder."""
    step = re.fullmatch(r"step-(\d+)", folder.name)
    return f"model_{int(step[1])}.dfm" if step else DFM
