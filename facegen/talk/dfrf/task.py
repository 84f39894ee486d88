"""Training of a person's radiance field on the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from facegen.config import check, save
from facegen.errors import InputError
from facegen.talk.dfrf.base import base_weights, start_from
from facegen.talk.dfrf.choices import FastConfig, ReferenceConfig
from facegen.talk.dfrf.expression import UPPER
from facegen.talk.dfrf.flow import prepared_people
from facegen.talk.dfrf.hearing import EYES
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.paint import Painter
from facegen.talk.dfrf.people import PeopleData
from facegen.talk.dfrf.quality import head_errors
from facegen.talk.dfrf.scene import Scene, SceneData
from facegen.training.task import Task, TrainingData

_PREVIEWED = 4


@dataclass(frozen=True, kw_only=True)
class DfrfTask(Task):
    """Learns how one person looks while speaking; or, from several people, what their fields have in common."""

    kind: Literal["fast", "reference"] = "fast"
    """`reference` is DFRF part by part; `fast` does the same with tri-planes, few samples and a decoder."""
    references: int = field(default=5, metadata={"min": 1, "max": 16, "step": 1})
    """Reference pictures that points are looked up in."""
    surface: bool = False
    """Tell the field where the head's surface lies above the cheeks, as optical flow has it, besides lids, brow and gaze."""
    fast: FastConfig = field(default_factory=FastConfig)
    """Sizes of the `fast` field."""
    faithful: ReferenceConfig = field(default_factory=ReferenceConfig)
    """Sizes of the `reference` field."""
    start: str = ""
    """A run to start from: that of a base over several people. Empty: from nothing."""
    measured: int = field(default=8, metadata={"min": 0, "max": 1000, "step": 1})
    """Held-back frames that are drawn at each checkpoint."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> PeopleData:
        """Opens a prepared folder, or several in one, or prepares the videos in it: several people make a base."""
        if folder is None:
            raise InputError("Expected a folder with a video of somebody who speaks, found none; name it with --data.")
        people = prepared_people(Path(folder))
        return PeopleData(
            [SceneData(Scene(person.path, self.references, device, has_surface=self.surface)) for person in people]
        )

    def build_model(self) -> nn.Module:
        """A fresh field, or one with the weights of another."""
        model = RadianceField(self.kind, self.references, self.fast, self.faithful, UPPER if self.surface else EYES)
        if self.start:
            start_from(model, base_weights(self.start))
        return model

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Differences of colours, of detail, of the mouth that the sound code means."""
        losses: dict[str, Tensor] = model(batch)
        return losses

    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """On held-back frames: squared error in the head, and its signal to noise in decibels."""
        assert isinstance(data, PeopleData)
        assert isinstance(model, RadianceField)
        each = -(-self.measured // len(data.people))
        errors = [head_errors(Painter(model, some.scene), _spread(some, each)) for some in data.people]
        found = np.concatenate(errors)
        if not len(found):
            return {}
        return {"head_error": float(np.mean(found)), "head_psnr": float(np.mean(-10 * np.log10(found)))}

    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """Held-back frames of the first person above, drawn ones below."""
        assert isinstance(data, PeopleData)
        assert isinstance(model, RadianceField)
        person = data.people[0]
        painter, scene = Painter(model, person.scene), person.scene
        frames = _spread(person, _PREVIEWED if self.measured else 0)
        if not frames:
            return None
        real = np.concatenate([scene.folder.picture("com_imgs", index) for index in frames], 1)
        return np.concatenate([real, np.concatenate([painter.held_back(index) for index in frames], 1)])

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """Weights, and the settings that rebuild the network; the prepared folder is needed beside them."""
        from safetensors.torch import save_file

        weights, settings = folder / "field.safetensors", folder / "field.json"
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, weights)
        # the weights hold what was started from
        save(settings, replace(self, start=""))
        return {"weights": weights, "settings": settings}


def _spread(data: SceneData, count: int) -> list[int]:
    """Held-back frames, evenly spread."""
    held = data.held_back
    return sorted({held[place] for place in np.linspace(0, len(held) - 1, count).astype(int)}) if len(held) else []
