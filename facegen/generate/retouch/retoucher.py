"""The retoucher: a drawing in the canonical frame becomes what a photograph of that face would look like.

A drawing has the right face and the wrong details. `RetoucherNet` is trained by flow matching (arXiv:2210.02747) to carry the
drawing plus noise along straight lines to the photograph (the coupling of arXiv:2307.12348), so details are drawn anew
from noise and not averaged; a few steps of Euler's method follow these lines (written out: diffusers' scheduler of the
same steps imports scipy.stats, which takes as long as torch).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub
from facegen.config import from_dict
from facegen.device import choose_device, is_bfloat16_fast
from facegen.errors import WeightsError
from facegen.generate.dataset.packed import SIDE
from facegen.generate.weights import RETOUCHER
from facegen.restore.checkpoint import load_frozen
from facegen.restore.unet import UNet

SPREAD = 0.35
"""Deviation of the noise that is added to a drawing, in pictures of -1 to 1."""
COARSE = 8
"""Pixels a side over which that noise is nothing on average: what is coarser in a face stays as it was drawn."""
AROUND = {4: 0.08, 8: 0.12, 16: 0.15}
"""Deviation of further noise around the face (hair, ears, clothes, ground), by the size of its grains in pixels."""
FACE = ((63.75, 74.5), (34.0, 39.5))
"""Centre and half axes of the mean shape in the canonical frame, pixels of 128."""
_RIM = (0.9, 1.15)
"""Half axes between which the noise around a face begins."""
STEPS = 8
_FOLD = 2
"""Pixels a side that become channels before the first convolution."""
_FINE = 0.25
"""Deviation of what is finer than two pixels of 256, in pictures of -1 to 1."""
_TIMES = 1000
"""What the network's clock shows at the drawing's end."""


@dataclass(frozen=True, kw_only=True)
class RetoucherConfig:
    """What rebuilds a retoucher from its weights."""

    widths: tuple[int, ...] = (48, 64, 96)
    """Channels at 1/2, 1/4 and 1/8 of the side; multiples of 8."""
    layers: int = 1
    """Residual blocks at each scale."""
    fine: tuple[int, ...] = ()
    """Channels of a second UNet at 1/4, 1/8 and so on of 256 pixels; multiples of 32. None: 128 pixels are retouched."""

    @classmethod
    def from_weights(cls, path: Path) -> RetoucherConfig:
        """What a file of weights says it is; those that say nothing have the default."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                said = (file.metadata() or {}).get("config", "{}")
        except SafetensorError as error:
            raise WeightsError(
                f"Expected the retoucher's weights in {path}, but {error}; install them again."
            ) from error
        return from_dict(cls, json.loads(said))

    @property
    def side(self) -> int:
        """Side of the pictures."""
        return 2 * SIDE if self.fine else SIDE

    def build(self) -> RetoucherNet:
        """A fresh network."""
        return LargeRetoucherNet(self) if self.fine else RetoucherNet(self)


class RetoucherNet(nn.Module):
    """Says which way a picture between drawing and photograph goes."""

    def __init__(self, config: RetoucherConfig) -> None:
        super().__init__()
        self.config = config
        folded = _FOLD * _FOLD
        self.unet = UNet(6 * folded + 2, 3 * folded, config.widths, config.layers)

    def forward(self, pictures: Tensor, drawn: Tensor, shares: Tensor) -> Tensor:
        """The direction from the photograph to the noised drawing.

        Args:
            pictures: (B, 3, 128, 128) RGB of -1 to 1, with noise: `share` of the way from photograph to noised drawing.
            drawn: (B, 3, 128, 128) RGB of -1 to 1 in the canonical frame.
            shares: (B,) 0..1.
        """
        folded = F.pixel_unshuffle(torch.cat([pictures, drawn], 1), _FOLD)
        inputs = torch.cat([folded, _places(folded)], 1)
        return F.pixel_shuffle(self.unet(inputs, shares * _TIMES), _FOLD)

    def retouch(self, drawn: Tensor, noise: Tensor, steps: int = STEPS) -> Tensor:
        """(B, 3, S, S) RGB in [0, 1], the same retouched; `noise` is standard normal of that shape."""
        shares = [*torch.linspace(1, 1 / steps, steps), torch.zeros(())]
        before = drawn * 2 - 1
        pictures = add_noise(before, noise)
        for share, next_share in pairwise(shares):
            direction = self(pictures, before, share.expand(len(drawn)).to(drawn)).float()
            pictures = pictures.float() + (next_share - share) * direction
        return ((pictures + 1) / 2).clamp(0, 1)


class LargeRetoucherNet(RetoucherNet):
    """Retouches 256 pixels: a retoucher of 128, and a UNet that corrects it and draws what is finer.

    Of pixels two by two the mean is the smaller network's matter, which goes on from its trained weights: both add up to the
    direction of that mean. What is finer the UNet says as it is in the photograph and not as a direction, which its few channels
    could not carry for noise of so many pixels (arXiv:2511.13720).
    """

    def __init__(self, config: RetoucherConfig) -> None:
        super().__init__(config)
        coarse, fine = 3 * _FOLD * _FOLD, 3 * (2 * _FOLD) ** 2
        self.finer = UNet(2 * fine + coarse + 2, fine, config.fine, config.layers, attention=(len(config.fine) - 2,))
        for parameter in self.finer.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, drawn: Tensor, shares: Tensor) -> Tensor:
        """As the smaller network's, for (B, 3, 256, 256); shares of more than nothing."""
        means = _halved(pictures)
        direction = super().forward(means, _halved(drawn), shares)
        folded = F.pixel_unshuffle(torch.cat([pictures, drawn], 1), 2 * _FOLD)
        inputs = torch.cat([folded, F.pixel_unshuffle(direction, _FOLD).to(folded), _places(folded)], 1)
        found = F.pixel_shuffle(self.finer(inputs, shares * _TIMES), 2 * _FOLD)
        change = _halved(found)
        share = shares[:, None, None, None]
        photograph = _doubled(means - share * (direction + change)) + _FINE * (found - _doubled(change))
        return (pictures - photograph) / share


def enlarged(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, side, side) of (B, 3, S, S)."""
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=False)


def _halved(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(pictures, 2)


def _doubled(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, scale_factor=2, mode="nearest")


def _places(like: Tensor) -> Tensor:
    """(B, 2, H, W): every face lies in the same place, so where a pixel is says what it shows."""
    count, _, height, width = like.shape
    y = torch.linspace(-1, 1, height, device=like.device)
    x = torch.linspace(-1, 1, width, device=like.device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy")).expand(count, -1, -1, -1).to(like)


def add_noise(drawn: Tensor, noise: Tensor) -> Tensor:
    """(B, 3, S, S) drawings of -1 to 1 with noise, of that shape and standard normal: fine in the face, of all sizes around.

    A face stays who it is. What hair, clothes and ground look like a drawing hardly says. Means of 256 pixels two by two are
    what 128 pixels would be.
    """
    side = drawn.shape[-1]
    if side > SIDE:
        means = _halved(noise)
        added = add_noise(torch.zeros_like(means), 2 * means)
        return drawn + _doubled(added) + SPREAD * (noise - _doubled(means))
    grains = {size: _enlarged(F.avg_pool2d(noise, size) * size, side) for size in {COARSE, *AROUND}}
    around = sum(deviation * grains[size] for size, deviation in AROUND.items())
    return drawn + SPREAD * (noise - grains[COARSE] / COARSE) + outer_weight(side).to(drawn) * around


def _enlarged(grains: Tensor, side: int) -> Tensor:
    return F.interpolate(grains, size=(side, side), mode="bilinear", align_corners=False)


@cache
def outer_weight(side: int) -> Tensor:
    """(side, side) float32: 0 in the face, 1 around it."""
    (x, y), (wide, high) = FACE
    places = torch.arange(side) * (128 / side)
    away = torch.hypot(((places - x) / wide)[None, :], ((places - y) / high)[:, None])
    return ((away - _RIM[0]) / (_RIM[1] - _RIM[0])).clamp(0, 1)


class Retoucher:
    """The trained retoucher.

    Args:
        device: as `device.choose_device` takes it.
        path: weights of a training; None takes the bundled ones.

    Raises:
        WeightsError: the weights are missing or were changed.
    """

    def __init__(self, device: str = "auto", path: Path | None = None) -> None:
        self.device = choose_device(device)
        path = path or Path(hub.fetch(RETOUCHER))
        network = load_frozen(RetoucherConfig.from_weights(path).build(), path, "retoucher").to(self.device)
        self._network = network.to(memory_format=torch.channels_last)
        self._dtype = torch.bfloat16 if is_bfloat16_fast(self.device) else torch.float32

    def retouch(self, drawn_rgb: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
        """Drawings as photographs.

        Args:
            drawn_rgb: (B, 128, 128, 3) uint8 in the canonical frame.
            seeds: one a picture, of what is drawn anew.

        Returns:
            (B, S, S, 3) uint8, S the side that the network was made for.
        """
        side = self._network.config.side
        made = np.empty((len(drawn_rgb), side, side, 3), np.uint8)
        # one by one: in a batch the last bits of a face depend on how many stand beside it
        for place, seed in enumerate(seeds):
            drawn = torch.from_numpy(drawn_rgb[place : place + 1]).to(self.device).permute(0, 3, 1, 2).float().div(255)
            drawn = enlarged(drawn, side)
            noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
            with torch.inference_mode(), torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
                retouched = self._network.retouch(drawn, noise)
            made[place] = retouched[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        return made
