"""The finishing network, light over a moving face as fields of half its resolution, and `Finisher`, which applies it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.config import check
from facegen.device import is_bfloat16_fast
from facegen.errors import WeightsError
from facegen.faces import align
from facegen.media.source import file_key
from facegen.restore.data import blur
from facegen.talk.finish.inputs import MAPS, FinishInput, MeshShape
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import PostProcess
from facegen.talk.portrait.restoration import add_residual
from facegen.talk.weights import FINISH

LIGHT = 0.5
"""Largest change of the logarithm of light on skin and between the lips."""
LASHES = 1.2
"""The same round lids that move: a line of lashes is far darker than skin."""
_FOLD = 2
_SMOOTH = 1.0
"""Light knows no sharper edges than this, in cells of its field: about 1.5 mm."""


@dataclass(frozen=True, kw_only=True)
class FinishNetConfig:
    """Size of the network."""

    widths: tuple[int, ...] = (16, 32, 48, 56)
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the square's side."""

    def __post_init__(self) -> None:
        check(self)


class PointwiseResidual(nn.Module):
    """Residual block of a 3x3 and a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread, self.mix = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        return x + self.mix(F.silu(self.spread(x)))


class FinishNet(nn.Module):
    """A U-Net (arXiv:1505.04597) that predicts smooth factors of the drawn colours.

    So it can draw shade and open a dark mouth to the light, but never blur skin or teeth, nor colour them.
    """

    def __init__(self, config: FinishNetConfig) -> None:
        super().__init__()
        self.config = config
        first, *others = config.widths
        self.enter = nn.Conv2d(3 * _FOLD**2 + MAPS, first, 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in zip(config.widths, others, strict=False))
        self.blocks = nn.ModuleList(PointwiseResidual(width) for width in others)
        self.bottom = PointwiseResidual(others[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(others, others[1:], strict=False))
        self.backs = nn.ModuleList(PointwiseResidual(width) for width in others[:-1])
        self.leave, self.fine = nn.Conv2d(others[0], 3 * _FOLD**2, 3, 1, 1), nn.Conv2d(first, 3, 3, 1, 1)
        for last in (self.leave, self.fine):
            nn.init.normal_(last.weight, std=1e-3)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, drawn: Tensor, maps: Tensor) -> Tensor:
        """Predicts the change of light, before it is masked.

        Args:
            drawn: (B, 3, S, S) RGB in [0, 1]; S a multiple of 16.
            maps: (B, MAPS, S / 2, S / 2) in [-1, 1].

        Returns:
            (B, 3, S / 2, S / 2) smooth changes of the logarithm of light, on skin and between the lips within `LIGHT`, and
            round the eyes within `LASHES`.
        """
        entered = x = F.silu(self.enter(torch.cat([F.pixel_unshuffle(drawn * 2 - 1, _FOLD), maps], 1)))
        passed = []
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(F.silu(down(x)))
            passed.append(x)
        x = self.bottom(x)
        for up, back, beside in zip(reversed(self.ups), reversed(self.backs), reversed(passed[:-1]), strict=True):
            x = back(F.interpolate(up(x), scale_factor=2.0, mode="nearest") + beside)
        predicted = F.pixel_shuffle(self.leave(F.silu(x)), _FOLD) + self.fine(entered)
        return smooth(
            torch.tanh(predicted.float()) * predicted.new_tensor([LIGHT, LIGHT, LASHES])[:, None, None], _SMOOTH
        )


def relight(drawn: Tensor, change: Tensor, light: Tensor, region: Tensor, eyes: Tensor) -> Tensor:
    """Applies a change of light to drawn faces: (B, 3, S, S), not clipped.

    Args:
        drawn: (B, 3, S, S) RGB in [0, 1].
        change: (B, 3, S / 2, S / 2) of `FinishNet`.
        light: (B, 1, S / 4, S / 4) 0..1, how far light may change on skin.
        region: (B, 1, S, S) 0..1, how far it may change between the lips instead.
        eyes: (B, 1, S / 2, S / 2) 0..1, how far it may change round the eyes besides.
    """
    skin, mouth, lids = change.chunk(3, 1)
    free = F.interpolate(light, size=change.shape[-2:], mode="bilinear", align_corners=False)
    fields = torch.cat([skin * free + lids * eyes, mouth], 1)
    skin, mouth = F.interpolate(fields, size=drawn.shape[-2:], mode="bilinear", align_corners=False).chunk(2, 1)
    # what is bright already, such as teeth, is not to be blown out; squared, the region ends within the lips' edges
    mouth = mouth * (1 - drawn.mean(1, keepdim=True).square())
    return drawn * torch.lerp(skin, mouth, region.square()).exp()


def smooth(fields: Tensor, sigma: float) -> Tensor:
    """(B, C, h, w) fields without what is finer than `sigma` cells."""
    batch, channels = fields.shape[:2]
    apart = fields.reshape(batch * channels, 1, *fields.shape[2:]).expand(-1, 3, -1, -1)
    return blur(apart, sigma)[:, :1].reshape(fields.shape)


Array = np.ndarray


class Finisher:
    """Relights drawn faces: shadows that move with them, light in open mouths. Several threads may use it at once.

    Args:
        path: weights of a training.

    Raises:
        WeightsError: the weights are missing, or are another model's.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        network = FinishNet(FinishNetConfig()).eval().requires_grad_(False)
        try:
            network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        except (SafetensorError, RuntimeError) as error:
            raise WeightsError(
                f"Expected the weights of the finishing network in {path}, found another model; install them again."
            ) from error
        self.network = network.to(memory_format=torch.channels_last)
        self._halved = is_bfloat16_fast(torch.device("cpu"))

    @classmethod
    def load(cls) -> Finisher:
        """The bundled network, or the trained one that replaces it; kept in memory between calls.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        path = hub.fetch(FINISH)
        return _load(path, file_key(path))

    def predict_change(self, inputs: FinishInput) -> Array:
        """(SIDE, SIDE, 3) float32, 0..255, to be added to the drawn square."""
        drawn = torch.from_numpy(inputs.drawn_rgb).permute(2, 0, 1)[None].float() / 255
        maps, light, region, eyes = (
            torch.from_numpy(values)[None]
            for values in (inputs.maps.transpose(2, 0, 1), inputs.light[None], inputs.region[None], inputs.eyes[None])
        )
        with torch.inference_mode():
            with torch.autocast("cpu", torch.bfloat16, self._halved):
                predicted = self.network(drawn, maps)
            change = relight(drawn, predicted, light, region, eyes) - drawn
        return np.ascontiguousarray(change[0].permute(1, 2, 0).numpy() * 255)

    def post_process(self, portrait: PortraitModel) -> PostProcess:
        """A post-process of this portrait's `MeshRenderer`; where nothing has moved nothing changes."""
        shape = MeshShape.of(portrait.head.face)

        def finish(picture_rgb: np.ndarray, points: Array) -> None:
            inputs = FinishInput.of(picture_rgb, points, shape)
            if inputs.light.any() or inputs.region.any() or inputs.eyes.any():
                add_residual(picture_rgb, self.predict_change(inputs), align.invert(inputs.matrix))

        return finish


@functools.lru_cache(1)
def _load(path: Path, _weights_key: tuple[str, int, int]) -> Finisher:
    """Other weights under the same path have another key."""
    return Finisher(path)
