"""Rays, what lies along them, and what is seen of it (Mildenhall et al., arXiv:2003.08934)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.talk.dfrf.head_prior import X_RANGE, Y_RANGE


def exact(tensor: Tensor) -> torch.autocast:
    """A context in which places are reckoned in float32: half of its digits put them more than a pixel off."""
    return torch.autocast(tensor.device.type, enabled=False)


def pixel_grid(corner: Tensor, size_hw: tuple[int, int], stride: int) -> Tensor:
    """(B, h / stride, w / stride, 2) pixels in the middle of each stride of a box.

    Args:
        corner: (B, 2) upper left corner of the box.
        size_hw: of the box, multiples of the stride.
        stride: pixels from ray to ray.
    """
    y = (torch.arange(size_hw[0] // stride, device=corner.device) + 0.5) * stride
    x = (torch.arange(size_hw[1] // stride, device=corner.device) + 0.5) * stride
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    return grid[None] + corner[:, None, None]


def cast(camera: Tensor, lens: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Rays through pixels.

    Args:
        camera: (B, 3, 4) world to OpenCV camera.
        lens: (B, 3) focal length and centre, pixels.
        pixels: (B, ..., 2).

    Returns:
        (B, 1..., 3) origins and (B, ..., 3) directions in the world; a direction is a step of one unit of depth.
    """
    ones = [1] * (pixels.dim() - 2)
    focal, centre = lens[:, :1].view(-1, *ones, 1), lens[:, 1:].view(-1, *ones, 2)
    turn, shift = camera[:, :, :3], camera[:, :, 3]
    seen = torch.cat([(pixels - centre) / focal, torch.ones_like(pixels[..., :1])], -1)
    with exact(camera):
        origin = -torch.einsum("bji,bj->bi", turn, shift).view(-1, *ones, 3)
        return origin, torch.einsum("bji,b...j->b...i", turn, seen)


def project(camera: Tensor, lens: Tensor, points: Tensor) -> Tensor:
    """(B, N, 2) pixels of (B, N, 3) world points; cameras as in `cast`."""
    with exact(camera):
        seen = torch.einsum("bij,bnj->bni", camera[:, :, :3], points) + camera[:, None, :, 3]
    return seen[..., :2] / seen[..., 2:].clamp_min(1e-3) * lens[:, None, :1] + lens[:, None, 1:]


def relief(prior: Tensor, points: Tensor) -> Tensor:
    """(B, N, 2) depth of the head's relief and how often it is there, at world points (B, N, 3).

    Args:
        prior: (B, 2, rows, columns) of `HeadPrior`.
    """
    x = 2 * (points[..., 0] - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) - 1
    y = 2 * (Y_RANGE[1] - points[..., 1]) / (Y_RANGE[1] - Y_RANGE[0]) - 1
    grid = torch.stack([x, y], -1)[:, :, None]
    found = F.grid_sample(prior, grid, padding_mode="border", align_corners=True)
    return found[..., 0].transpose(1, 2)


def expressed(movement: Tensor, numbers: Tensor) -> Tensor:
    """(B, 3, rows, columns) how the relief moves with (B, M) numbers of mouth and eyes; movement (B, M, 3, rows, columns)."""
    with exact(movement):
        return torch.einsum("bmcij,bm->bcij", movement, numbers)


def on_relief(values: Tensor, places: Tensor) -> Tensor:
    """(B, C, h, w) values (B, C, rows, columns) of the relief's grid at world places (B, 2 or 3, h, w)."""
    x = 2 * (places[:, 0] - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) - 1
    y = 2 * (Y_RANGE[1] - places[:, 1]) / (Y_RANGE[1] - Y_RANGE[0]) - 1
    return F.grid_sample(values, torch.stack([x, y], -1), padding_mode="border", align_corners=True)


def meet(prior: Tensor, origin: Tensor, direction: Tensor, rounds: int = 4) -> Tensor:
    """(B, N) depth at which rays (B, N, 3) meet the relief, by fixed-point steps from its middle plane."""
    depth = (prior[:, 0].mean((1, 2))[:, None] - origin[..., 2]) / direction[..., 2]
    for _ in range(rounds):
        height = relief(prior, origin + depth[..., None] * direction)[..., 0]
        depth = (height - origin[..., 2]) / direction[..., 2]
    return depth


def opacity(density: Tensor, depth: Tensor, last: float) -> Tensor:
    """(..., N) share of the light that each sample takes, of those before it left.

    Args:
        density: (..., N) per unit.
        depth: (..., N), rising.
        last: length of the last sample.
    """
    steps = torch.cat([depth.diff(dim=-1), torch.full_like(depth[..., :1], last)], -1)
    return 1 - torch.exp(-density * steps)


def seen_shares(alpha: Tensor) -> Tensor:
    """(..., N) share of what is seen that each sample makes up; together no more than 1."""
    left = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha + 1e-10], -1), -1)
    return alpha * left[..., :-1]


def importance_samples(depth: Tensor, shares: Tensor, count: int, *, is_random: bool) -> Tensor:
    """(..., count) further depths where `shares` are high: the inverse of their distribution function.

    Args:
        depth: (..., N) of the coarse samples.
        shares: (..., N) of `seen_shares`.
        count: how many.
        is_random: random places, or even ones.
    """
    middle = (depth[..., 1:] + depth[..., :-1]) / 2
    weights = shares[..., 1:-1].detach() + 1e-5
    cumulated = torch.cumsum(weights / weights.sum(-1, keepdim=True), -1)
    cumulated = torch.cat([torch.zeros_like(cumulated[..., :1]), cumulated], -1)
    if is_random:
        places = torch.rand(*depth.shape[:-1], count, device=depth.device)
    else:
        places = torch.linspace(0, 1, count, device=depth.device).expand(*depth.shape[:-1], count)
    above = torch.searchsorted(cumulated, places.contiguous(), right=True)
    low, high = (above - 1).clamp_min(0), above.clamp_max(cumulated.shape[-1] - 1)
    ends, bins = (torch.gather(values, -1, torch.cat([low, high], -1)) for values in (cumulated, middle))
    (low_end, high_end), (low_bin, high_bin) = ends.chunk(2, -1), bins.chunk(2, -1)
    share = (places - low_end) / (high_end - low_end).clamp_min(1e-5)
    return low_bin + share.clamp(0, 1) * (high_bin - low_bin)


def at_pixels(pictures: Tensor, pixels: Tensor) -> Tensor:
    """(B, C, ...) bilinear values of (B, C, H, W) at (B, h, w, 2) pixels, borders repeated."""
    height, width = pictures.shape[2:]
    grid = 2 * pixels / torch.tensor([width, height], dtype=pixels.dtype, device=pixels.device) - 1
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
