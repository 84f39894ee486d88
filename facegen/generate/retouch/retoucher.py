"""The retoucher: flow matching from a drawing in the canonical frame to a photograph of that face.

A drawing has the right face and the wrong details. `RetoucherNet` is trained by flow matching (arXiv:2210.02747) to carry the
drawing plus noise along straight lines to the photograph (the coupling of arXiv:2307.12348), so details are drawn anew
from noise and not averaged; a few steps of Euler's method follow these lines (written out: diffusers' scheduler of the
same steps imports scipy.stats, which takes as long as torch).
"""

from __future__ import annotations

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
from facegen.json_file import parse_json
from facegen.restore.checkpoint import load_frozen
from facegen.restore.unet import UNet

NOISE_STD = 0.35
"""Standard deviation of the noise that is added to a drawing in [-1, 1]."""
COARSE_PX = 8
"""Side of the squares over which that noise averages to 0, pixels: coarser structure of a face stays as drawn."""
OUTER_NOISE_STD = {4: 0.08, 8: 0.12, 16: 0.15}
"""Standard deviation of further noise around the face (hair, ears, clothes, ground), by its grain size in pixels."""
FACE_ELLIPSE = ((63.75, 74.5), (34.0, 39.5))
"""Centre and half axes of the mean shape in the canonical frame, pixels of 128."""
_OUTER_RADII = (0.9, 1.15)
"""Radii, in half axes of the ellipse, between which the noise around a face rises from 0 to full strength."""
STEPS = 8
_PATCH = 2
"""Side of the squares of pixels that `pixel_unshuffle` turns into channels before the first convolution."""
_FINE_STD = 0.25
"""Standard deviation of details finer than two pixels of 256, in pictures in [-1, 1]."""
_TIME_STEPS = 1000
"""Time step of the UNet at time 1, the noised drawing."""


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
        """The configuration in the metadata of a weights file; the default where there is none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                config = (file.metadata() or {}).get("config", "{}")
        except FileNotFoundError as error:
            raise WeightsError(
                f"Expected the retoucher's weights in {path}, found no such file; check its path."
            ) from error
        except SafetensorError as error:
            raise WeightsError(
                f"Expected the retoucher's weights in {path}, but {error}; install them again."
            ) from error
        return from_dict(cls, parse_json(config, path.name))

    @property
    def side(self) -> int:
        """Side of the pictures."""
        return 2 * SIDE if self.fine else SIDE

    def build(self) -> RetoucherNet:
        """A fresh network."""
        return LargeRetoucherNet(self) if self.fine else RetoucherNet(self)


class RetoucherNet(nn.Module):
    """Predicts the flow-matching velocity between photograph and noised drawing."""

    def __init__(self, config: RetoucherConfig) -> None:
        super().__init__()
        self.config = config
        pixels = _PATCH * _PATCH
        self.unet = UNet(6 * pixels + 2, 3 * pixels, config.widths, config.layers)

    def forward(self, pictures: Tensor, drawn: Tensor, times: Tensor) -> Tensor:
        """Predicts the velocity, noised drawing minus photograph.

        Args:
            pictures: (B, 3, 128, 128) RGB in [-1, 1]: at `times` on the line from photograph to noised drawing.
            drawn: (B, 3, 128, 128) RGB of -1 to 1 in the canonical frame.
            times: (B,) 0 (photograph) to 1 (noised drawing).
        """
        patches = F.pixel_unshuffle(torch.cat([pictures, drawn], 1), _PATCH)
        inputs = torch.cat([patches, _position_maps(patches)], 1)
        return F.pixel_shuffle(self.unet(inputs, times * _TIME_STEPS), _PATCH)

    def retouch(self, drawn: Tensor, noise: Tensor, steps: int = STEPS) -> Tensor:
        """(B, 3, S, S) RGB in [0, 1], the same retouched; `noise` is standard normal of that shape."""
        times = [*torch.linspace(1, 1 / steps, steps), torch.zeros(())]
        before = drawn * 2 - 1
        pictures = add_noise(before, noise)
        for time, next_time in pairwise(times):
            direction = self(pictures, before, time.expand(len(drawn)).to(drawn)).float()
            pictures = pictures.float() + (next_time - time) * direction
        return ((pictures + 1) / 2).clamp(0, 1)


class LargeRetoucherNet(RetoucherNet):
    """Retouches 256 pixels: the network of 128 pixels, and a UNet that corrects it and adds finer detail.

    The sum of both predicts the velocity of the means of 2x2 pixels; the smaller network starts from its trained weights.
    Details finer than that the UNet predicts as they are in the photograph (x-prediction): its few channels could not carry
    the velocity of noise of so many pixels (arXiv:2511.13720).
    """

    def __init__(self, config: RetoucherConfig) -> None:
        super().__init__(config)
        coarse, fine = 3 * _PATCH * _PATCH, 3 * (2 * _PATCH) ** 2
        self.finer = UNet(2 * fine + coarse + 2, fine, config.fine, config.layers, attention=(len(config.fine) - 2,))
        for parameter in self.finer.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, drawn: Tensor, times: Tensor) -> Tensor:
        """As `RetoucherNet.forward`, for (B, 3, 256, 256); times above 0."""
        means = _downsample(pictures)
        direction = super().forward(means, _downsample(drawn), times)
        patches = F.pixel_unshuffle(torch.cat([pictures, drawn], 1), 2 * _PATCH)
        inputs = torch.cat([patches, F.pixel_unshuffle(direction, _PATCH).to(patches), _position_maps(patches)], 1)
        prediction = F.pixel_shuffle(self.finer(inputs, times * _TIME_STEPS), 2 * _PATCH)
        change = _downsample(prediction)
        time = times[:, None, None, None]
        photograph = _upsample(means - time * (direction + change)) + _FINE_STD * (prediction - _upsample(change))
        return (pictures - photograph) / time


def resize(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, side, side) of (B, 3, S, S)."""
    if pictures.shape[-1] == side:
        return pictures
    return F.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=False)


def _downsample(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(pictures, 2)


def _upsample(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, scale_factor=2, mode="nearest")


def _position_maps(like: Tensor) -> Tensor:
    """(B, 2, H, W) x and y in [-1, 1]: faces are aligned, so the position of a pixel depends on the part that it shows."""
    count, _, height, width = like.shape
    y = torch.linspace(-1, 1, height, device=like.device)
    x = torch.linspace(-1, 1, width, device=like.device)
    return torch.stack(torch.meshgrid(x, y, indexing="xy")).expand(count, -1, -1, -1).to(like)


def add_noise(drawn: Tensor, noise: Tensor) -> Tensor:
    """(B, 3, S, S) drawings of -1 to 1 with noise, of that shape and standard normal: fine in the face, of all sizes around.

    So identity is kept, while hair, clothes and ground, which a drawing hardly determines, are drawn anew. The means of 2x2
    of 256 pixels have the distribution of 128 pixels.
    """
    side = drawn.shape[-1]
    if side > SIDE:
        means = _downsample(noise)
        added = add_noise(torch.zeros_like(means), 2 * means)
        return drawn + _upsample(added) + NOISE_STD * (noise - _upsample(means))
    grains = {size: _upsample_grains(F.avg_pool2d(noise, size) * size, side) for size in {COARSE_PX, *OUTER_NOISE_STD}}
    around = sum(deviation * grains[size] for size, deviation in OUTER_NOISE_STD.items())
    return drawn + NOISE_STD * (noise - grains[COARSE_PX] / COARSE_PX) + outer_weight(side).to(drawn) * around


def _upsample_grains(grains: Tensor, side: int) -> Tensor:
    return F.interpolate(grains, size=(side, side), mode="bilinear", align_corners=False)


@cache
def outer_weight(side: int) -> Tensor:
    """(side, side) float32: 0 in the face, 1 around it."""
    (x, y), (wide, high) = FACE_ELLIPSE
    positions = torch.arange(side) * (128 / side)
    radius = torch.hypot(((positions - x) / wide)[None, :], ((positions - y) / high)[:, None])
    return ((radius - _OUTER_RADII[0]) / (_OUTER_RADII[1] - _OUTER_RADII[0])).clamp(0, 1)


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
        retouched_rgb = np.empty((len(drawn_rgb), side, side, 3), np.uint8)
        # one by one: in a batch the last bits of a face depend on how many stand beside it
        for index, seed in enumerate(seeds):
            drawn = torch.from_numpy(drawn_rgb[index : index + 1]).to(self.device).permute(0, 3, 1, 2).float().div(255)
            drawn = resize(drawn, side)
            noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(seed)).to(self.device)
            with torch.inference_mode(), torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
                retouched = self._network.retouch(drawn, noise)
            retouched_rgb[index] = retouched[0].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        return retouched_rgb
