"""Augmentation of whole batches on their device.

Random parameters come from a CPU generator, so that the same seed gives the same batch on every device; the pixels are
worked on where they lie. Pictures are float (B, C, H, W) RGB in [0, 1] unless stated otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def uniform(count: int, low: float, high: float, random: Generator) -> Tensor:
    """(count,) float32 in [low, high), on the CPU."""
    return torch.rand(count, generator=random) * (high - low) + low


def to_float(pictures: Tensor) -> Tensor:
    """uint8 0..255 to float32 0..1."""
    return pictures.float().div_(255.0)


@dataclass(frozen=True, kw_only=True)
class AffineRange:
    """Ranges of a random similarity; the defaults are DeepFaceLab's."""

    rotation_deg: float = 10.0
    """Rotation in [-rotation_deg, rotation_deg]."""
    scale: float = 1.15
    """Scale in [1 / scale, scale], even in its logarithm."""
    shift: float = 0.05
    """Shift along each axis, as a share of the side."""

    def draw(self, count: int, random: Generator) -> Tensor:
        """(count, 2, 3) matrices from output to input coordinates, both in [-1, 1]."""
        angle = uniform(count, -self.rotation_deg, self.rotation_deg, random) * math.pi / 180
        inverse = torch.exp(uniform(count, -1.0, 1.0, random) * math.log(self.scale))
        shift = uniform(count * 2, -2 * self.shift, 2 * self.shift, random).view(count, 2, 1)
        cos, sin = inverse * angle.cos(), inverse * angle.sin()
        rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
        return torch.cat([rows, shift], 2)


def affine_grids(matrices: Tensor, size: int) -> Tensor:
    """(B, size, size, 2) sampling grids of (B, 2, 3) matrices."""
    return F.affine_grid(matrices, [len(matrices), 1, size, size], align_corners=False)


def sample_pictures(pictures: Tensor, grids: Tensor, fill: str = "reflection") -> Tensor:
    """Pictures at the grids' positions, bilinear; `fill` is "zeros", "border" or "reflection"."""
    return F.grid_sample(pictures, grids, mode="bilinear", padding_mode=fill, align_corners=False)


def sample_labels(labels: Tensor, grids: Tensor, fill: str = "reflection") -> Tensor:
    """(B, H, W) class numbers at the grids' positions, nearest; int64."""
    values = labels[:, None].float()
    return F.grid_sample(values, grids, mode="nearest", padding_mode=fill, align_corners=False)[:, 0].round().long()


def _random_subset(count: int, share: float, random: Generator, device: torch.device) -> Tensor:
    return (torch.rand(count, generator=random) < share).to(device)


def _column(values: Tensor, device: torch.device) -> Tensor:
    return values.view(-1, 1, 1, 1).to(device)


def jitter_colour(pictures: Tensor, random: Generator, strength: float = 1.0) -> Tensor:
    """Random brightness, contrast, gamma, saturation and white balance; one picture in twelve loses its colour."""
    count, device = len(pictures), pictures.device

    def draw(spread: float) -> Tensor:
        return _column(torch.exp(uniform(count, -spread, spread, random) * strength), device)

    balance = torch.exp(uniform(count * 3, -0.15, 0.15, random) * strength).view(count, 3, 1, 1).to(device)
    out = pictures * balance * draw(0.3)
    mean = out.mean((1, 2, 3), keepdim=True)
    out = (out - mean) * draw(0.35) + mean
    grey = out.mean(1, keepdim=True)
    saturation = draw(0.5)
    saturation[_random_subset(count, strength / 12, random, device)] = 0.0
    out = (grey + (out - grey) * saturation).clamp_(1e-4, 1.0)
    return out.pow_(draw(0.3))


def lower_resolution(pictures: Tensor, random: Generator, *, share: float, largest: float) -> Tensor:
    """Brings a share of the batch down by a common factor in [1.2, largest] and up again."""
    factor = float(uniform(1, 1.2, largest, random))
    chosen = _random_subset(len(pictures), share, random, pictures.device)
    if not bool(chosen.any()):
        return pictures
    size = pictures.shape[2:]
    small_hw = [max(8, round(side / factor)) for side in size]
    small = F.interpolate(pictures[chosen], size=small_hw, mode="area")
    out = pictures.clone()
    out[chosen] = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
    return out


def add_noise(pictures: Tensor, random: Generator, *, share: float, largest: float) -> Tensor:
    """Gaussian noise of a random strength up to `largest` on a share of the batch."""
    count, device = len(pictures), pictures.device
    sigma = _column(uniform(count, 0.0, largest, random), device)
    sigma[~_random_subset(count, share, random, device)] = 0.0
    noise = torch.randn(pictures.shape, generator=random).to(device)
    return (pictures + noise * sigma).clamp_(0.0, 1.0)


def _dct_matrix() -> Tensor:
    rows = torch.arange(8.0)[:, None]
    matrix = torch.cos((2 * torch.arange(8.0)[None] + 1) * rows * math.pi / 16) * 0.5
    matrix[0] /= math.sqrt(2)
    return matrix


def add_compression(pictures: Tensor, random: Generator, *, share: float) -> Tensor:
    """Blocks like those of JPEG on a share of the batch: 8x8 cosine transform, coarser steps for higher frequencies.

    Sides that are no multiple of 8 are left alone.
    """
    count, channels, height, width = pictures.shape
    coarseness = uniform(count, 0.01, 0.08, random)
    chosen = _random_subset(count, share, random, pictures.device)
    if height % 8 or width % 8 or not bool(chosen.any()):
        return pictures
    matrix = _dct_matrix().to(pictures.device)
    frequency = torch.arange(8.0, device=pictures.device)
    steps = (1 + frequency[:, None] + frequency[None]) / 4
    steps = steps * coarseness.to(pictures.device)[chosen].view(-1, 1, 1, 1, 1, 1)
    some = pictures[chosen].reshape(-1, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    spectrum = torch.round(matrix @ some @ matrix.T / steps) * steps
    out = pictures.clone()
    out[chosen] = (matrix.T @ spectrum @ matrix).transpose(3, 4).reshape(-1, channels, height, width).clamp_(0.0, 1.0)
    return out


def draw_warps(count: int, random: Generator) -> Tensor:
    """(count, 2, 9, 9) smooth displacement fields in [-1, 1] coordinates, as DeepFaceLab bends its inputs.

    A net of 2, 4 or 8 cells; its inner knots move by a normal draw within 2.5 sigma, brought to [-1, 1], times 0.24
    cells.
    """
    fields = []
    for cells in 2 ** torch.randint(1, 4, (count,), generator=random):
        knots = int(cells) - 1
        # inverse of the normal distribution function, cut at 2.5 sigma
        inside = uniform(2 * knots * knots, -1.0, 1.0, random) * math.erf(2.5 / math.sqrt(2))
        draws = torch.erfinv(inside) * math.sqrt(2) / 2.5
        moves = draws.view(1, 2, knots, knots) * (0.24 * 2 / int(cells))
        fields.append(F.interpolate(F.pad(moves, (1, 1, 1, 1)), size=(9, 9), mode="bilinear", align_corners=True))
    return torch.cat(fields)


def warp_grids(grids: Tensor, fields: Tensor) -> Tensor:
    """Sampling grids (B, H, W, 2) bent by displacement fields (B, 2, h, w): first the field, then the affine."""
    return grids + F.grid_sample(fields, grids, padding_mode="border", align_corners=True).permute(0, 2, 3, 1)


def jitter_hsv(pictures: Tensor, random: Generator, power: float) -> Tensor:
    """Random hue, saturation and value, each shifted by up to `power` of its range (DeepFaceLab: 0 to 0.3)."""
    count, device = len(pictures), pictures.device
    hue, saturation, value = (_column(uniform(count, -power, power, random), device) for _ in range(3))
    high, low = pictures.amax(1, keepdim=True), pictures.amin(1, keepdim=True)
    grey = high - low
    # a picture's own hue turns by moving its pure colour round the circle of six ramps
    red, green, blue = pictures.split(1, 1)
    spread = grey.clamp_min(1e-6)
    angle = torch.where(
        high == red,
        (green - blue) / spread,
        torch.where(high == green, 2 + (blue - red) / spread, 4 + (red - green) / spread),
    )
    angle = angle + hue * 6
    shifts = torch.tensor([5.0, 3.0, 1.0], device=device).view(1, 3, 1, 1)
    ramp = (angle + shifts).remainder(6)
    pure = 1 - torch.minimum(ramp, 4 - ramp).clamp(0, 1)
    top = (high + value).clamp(0, 1)
    strength = (grey / high.clamp_min(1e-6) + saturation * (grey > 1e-3)).clamp(0, 1)
    return top * (1 - strength * (1 - pure))
