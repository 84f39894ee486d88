"""Training of the finishing network on the engine: clips of people who speak in, `finish.safetensors` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import check
from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.talk.clips import split_clips
from facegen.talk.finish.data import FinishData, join_pairs, load_pairs
from facegen.talk.finish.finisher import LASHES, LIGHT, FinishNet, FinishNetConfig, relight, smooth
from facegen.training.task import SampleNames, Task, TrainingData

_DARK = 0.03
_SMOOTH = 1.2
"""Neighbourhood over which light is compared, in cells of its field."""
_SMALL = 0.15
"""Errors of the logarithm of light from which on they count by their size."""
_MOUTH = 0.15
"""Weight of light between the lips, where the error is far larger."""
_EYES = 0.5
"""Weight of light round the eyes."""
_COARSE = 0.5
"""Weight of errors of coarse light beside those of fine light, which misplaced edges disturb more."""
_SHOWN = 8
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class FinishTask(Task):
    """Learns how light would have fallen on a drawn face and into its mouth."""

    network: FinishNetConfig = field(default_factory=FinishNetConfig)
    """Size of the network."""
    every: int = field(default=5, metadata={"min": 1, "max": 100, "step": 1})
    """Every so many frames of a clip are learned from."""
    held_back: tuple[str, ...] = ()
    """Names of clips, without ending, that are only measured on; none: every fifth."""

    def __post_init__(self) -> None:
        check(self)

    def build_data(self, folder: Path | None, device: torch.device) -> FinishData:
        """Measures every clip below the folder, once, and draws the pairs."""
        if folder is None:
            raise InputError("Expected a folder of clips of people who speak, found none; name it with --data.")
        clips, apart = split_clips(Path(folder), self.held_back)
        analyser, skipped = FaceAnalyser(), []
        learned: list[dict[str, np.ndarray]] = []
        held_back: list[dict[str, np.ndarray]] = []
        for path in clips:
            pairs = load_pairs(path, analyser, self.every)
            if not pairs:
                skipped.append(path.name)
                continue
            (held_back if path.stem in apart else learned).append(pairs)
        if not learned:
            raise InputError(f"Expected clips of people who speak in {folder}, found none that can be used.")
        data = FinishData(join_pairs(learned), join_pairs(held_back or learned[:1]), device)
        data.skipped = tuple(skipped)
        used = [path for path in clips if path.name not in skipped]
        data.names = SampleNames.split(used, [path.stem in apart for path in used])
        return data

    def build_model(self) -> FinishNet:
        """A fresh network."""
        return FinishNet(self.network)

    def losses(self, model: nn.Module, batch: dict[str, Tensor], *, progress: float, group: int) -> dict[str, Tensor]:
        """Errors of the logarithm of light on skin, between the lips and round the eyes."""
        skin, mouth, eyes = _light_errors(model(batch["drawn"], batch["maps"]), batch)
        return {"skin": skin, "mouth": _MOUTH * mouth, "eyes": _EYES * eyes}

    @torch.no_grad()
    def measure(self, model: nn.Module, data: TrainingData) -> dict[str, float]:
        """Errors of the logarithm of light on people held back, and what they were before."""
        assert isinstance(data, FinishData)
        regions = ("skin", "mouth", "eyes")
        sums = dict.fromkeys(("share of error left", *regions, *(f"{region} before" for region in regions)), 0.0)
        count = len(data.held_back["drawn"])
        chosen = list(range(0, count, max(1, count // 128)))
        for start in range(0, len(chosen), _AT_ONCE):
            batch = data.held_back_batch(chosen[start : start + _AT_ONCE])
            predicted = model(batch["drawn"], batch["maps"])
            for suffix, change in (("", predicted), (" before", torch.zeros_like(predicted))):
                for name, error in zip(regions, _light_errors(change, batch), strict=True):
                    sums[name + suffix] += float(error) * len(batch["drawn"]) / len(chosen)
        left = [sums[name] / max(sums[f"{name} before"], 1e-9) for name in regions]
        return sums | {"share of error left": float(np.mean(left))}

    @torch.no_grad()
    def preview(self, model: nn.Module, data: TrainingData) -> np.ndarray | None:
        """Drawn, finished and true faces of people held back, wide mouths first; below them how light has changed."""
        assert isinstance(data, FinishData)
        opened = torch.argsort(data.held_back["region"].float().mean((1, 2, 3)), descending=True).tolist()
        most = max(1, len(opened) * 2 // 3)
        batch = data.held_back_batch(opened[:most][:: max(1, most // _SHOWN)][:_SHOWN])
        drawn = batch["drawn"]
        made = relight(drawn, model(drawn, batch["maps"]), batch["light"], batch["region"], batch["eyes"])
        light = ((made + _DARK) / (drawn + _DARK)).log() / LIGHT / 2 + 0.5
        rows = torch.stack([drawn, made, batch["truth"], light]).clamp(0, 1)
        return (rows * 255).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).cpu().numpy()

    def export(self, model: nn.Module, folder: Path) -> Mapping[str, Path]:
        """`finish.safetensors` in half precision."""
        from safetensors.torch import save_file

        path = folder / "finish.safetensors"
        state = model.state_dict()
        save_file({name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}, path)
        return {"finish": path}


def _light_errors(change: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Mean errors of (B, 3, h, w) changes of the logarithm of light and of their steps, on skin, between lips, at eyes.

    Each is compared over a neighbourhood that holds nothing of the others, where a misplaced edge hardly counts; on skin and
    between the lips over a wider one besides.
    """
    free = F.interpolate(batch["light"], size=change.shape[-2:], mode="bilinear", align_corners=False)
    fine = _errors_at(change, 1, free, batch)
    coarse = _errors_at(change, 2, free, batch)
    skin, mouth = (near + _COARSE * wide for near, wide in zip(fine[:2], coarse[:2], strict=True))
    return skin, mouth, fine[2]


def _errors_at(change: Tensor, fold: int, free: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """`_light_errors` on cells so many times as large as those of the fields."""
    drawn, truth = (F.avg_pool2d(batch[name].mean(1, keepdim=True), 2 * fold) for name in ("drawn", "truth"))
    ratio = ((truth + _DARK) / (drawn + _DARK)).log()
    inside, eyes = F.avg_pool2d(batch["region"], 2 * fold), F.avg_pool2d(batch["eyes"], fold)
    skin, mouth, lids = F.avg_pool2d(change, fold).chunk(3, 1)
    free = F.avg_pool2d(free, fold)
    beside = F.max_pool2d(inside, 3, 1, 1)
    # round the eyes skin and lids are one field; it is learned where lids move, and skin elsewhere
    both = skin * free + lids * eyes
    on_skin = _field_error(skin * free, ratio, free * (1 - beside) * (1 - eyes), free, LIGHT)
    ones = torch.ones_like(inside)
    return on_skin, _field_error(mouth, ratio, inside, ones, LIGHT), _field_error(both, ratio, eyes, ones, LASHES)


def _field_error(predicted: Tensor, ratio: Tensor, weight: Tensor, free: Tensor, most: float) -> Tensor:
    """Mean error of a (B, 1, h, w) field of changes up to `most` and half that of its steps, by weights."""
    ratio = ratio.clamp(-2 * most, 2 * most)
    near = smooth(ratio * weight, _SMOOTH) / (smooth(weight, _SMOOTH) + 1e-3)
    error = predicted - near.clamp(-most, most) * free
    down, right = _soft_abs(error.diff(dim=2)) * weight[:, :, 1:], _soft_abs(error.diff(dim=3)) * weight[..., 1:]
    return ((_soft_abs(error) * weight).sum() + (down.sum() + right.sum()) / 2) / (weight.sum() + 1)


def _soft_abs(error: Tensor) -> Tensor:
    """Sizes of errors, small ones squared: shadows that are often there are drawn faintly rather than never."""
    return error.square() / (error.square() + _SMALL**2).sqrt()
