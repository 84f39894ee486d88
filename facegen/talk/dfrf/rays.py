"""Rays, samples along them, volume rendering (Mildenhall et al., arXiv:2003.08934), and look-ups by position.

Cameras are `extrinsics` (B, 3, 4), world to OpenCV camera, and `intrinsics` (B, 3): focal length and principal point,
pixels. Coordinates are those of `geometry`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.talk.dfrf.geometry import X_RANGE, Y_RANGE


def full_precision(tensor: Tensor) -> torch.autocast:
    """A context without autocast: bfloat16 coordinates are more than a pixel off."""
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


def generate_rays(extrinsics: Tensor, intrinsics: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Rays through pixels (B, ..., 2).

    Returns:
        (B, 1..., 3) origins and (B, ..., 3) directions in the world; a direction is a step of one unit of depth.
    """
    ones = [1] * (pixels.dim() - 2)
    focal, centre = intrinsics[:, :1].view(-1, *ones, 1), intrinsics[:, 1:].view(-1, *ones, 2)
    rotation, translation = extrinsics[:, :, :3], extrinsics[:, :, 3]
    camera = torch.cat([(pixels - centre) / focal, torch.ones_like(pixels[..., :1])], -1)
    with full_precision(extrinsics):
        origin = -torch.einsum("bji,bj->bi", rotation, translation).view(-1, *ones, 3)
        return origin, torch.einsum("bji,b...j->b...i", rotation, camera)


def project(extrinsics: Tensor, intrinsics: Tensor, points: Tensor) -> Tensor:
    """(B, N, 2) pixels of (B, N, 3) world points."""
    with full_precision(extrinsics):
        camera = torch.einsum("bij,bnj->bni", extrinsics[:, :, :3], points) + extrinsics[:, None, :, 3]
    return camera[..., :2] / camera[..., 2:].clamp_min(1e-3) * intrinsics[:, None, :1] + intrinsics[:, None, 1:]


def intersect_relief(relief: Tensor, origin: Tensor, direction: Tensor, steps: int = 4) -> Tensor:
    """(B, N) depth at which rays (B, N, 3) meet the relief (B, 2, rows, columns), by fixed-point steps."""
    depth = (relief[:, 0].mean((1, 2))[:, None] - origin[..., 2]) / direction[..., 2]
    for _ in range(steps):
        height = sample_relief(relief, origin + depth[..., None] * direction)[..., 0]
        depth = (height - origin[..., 2]) / direction[..., 2]
    return depth


def sample_relief(relief: Tensor, points: Tensor) -> Tensor:
    """(B, N, 2) depth and coverage of a relief (B, 2, rows, columns), as in `HeadRelief`, at world points (B, N, 3)."""
    grid = torch.stack(_grid_coordinates(points[..., 0], points[..., 1]), -1)[:, :, None]
    sampled = F.grid_sample(relief, grid, padding_mode="border", align_corners=True)
    return sampled[..., 0].transpose(1, 2)


def sample_grid(values: Tensor, points: Tensor) -> Tensor:
    """(B, C, h, w) values (B, C, rows, columns) of the relief's grid at world points (B, 2 or 3, h, w)."""
    grid = torch.stack(_grid_coordinates(points[:, 0], points[:, 1]), -1)
    return F.grid_sample(values, grid, padding_mode="border", align_corners=True)


def _grid_coordinates(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """World x and y as coordinates of `grid_sample` on the relief's grid, -1..1."""
    across = 2 * (x - X_RANGE[0]) / (X_RANGE[1] - X_RANGE[0]) - 1
    down = 2 * (Y_RANGE[1] - y) / (Y_RANGE[1] - Y_RANGE[0]) - 1
    return across, down


def sample_pictures(pictures: Tensor, pixels: Tensor) -> Tensor:
    """(B, C, h, w) bilinear values of (B, C, H, W) pictures at (B, h, w, 2) pixels, borders repeated."""
    height, width = pictures.shape[2:]
    grid = 2 * pixels / torch.tensor([width, height], dtype=pixels.dtype, device=pixels.device) - 1
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def blend_basis(basis: Tensor, coefficients: Tensor) -> Tensor:
    """(B, 3, rows, columns) movement of the relief: a basis (B, M, 3, rows, columns) weighted by (B, M) coefficients."""
    with full_precision(basis):
        return torch.einsum("bmcij,bm->bcij", basis, coefficients)


def density_to_alpha(density: Tensor, depth: Tensor, last: float) -> Tensor:
    """(..., N) share of the arriving light that each sample absorbs.

    Args:
        density: (..., N) per world unit.
        depth: (..., N), rising.
        last: length of the last sample, world units.
    """
    steps = torch.cat([depth.diff(dim=-1), torch.full_like(depth[..., :1], last)], -1)
    return 1 - torch.exp(-density * steps)


def render_weights(alpha: Tensor) -> Tensor:
    """(..., N) weight of each sample in the colour of its ray, transmittance times alpha; at most 1 in sum."""
    transmittance = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha + 1e-10], -1), -1)
    return alpha * transmittance[..., :-1]


def sample_pdf(depth: Tensor, weights: Tensor, count: int, *, is_random: bool) -> Tensor:
    """(..., count) depths of fine samples, by inverse transform sampling of the coarse weights.

    Args:
        depth: (..., N) of the coarse samples.
        weights: (..., N) of `render_weights`.
        count: how many.
        is_random: random quantiles, or even ones.
    """
    bins = (depth[..., 1:] + depth[..., :-1]) / 2
    inner = weights[..., 1:-1].detach() + 1e-5
    cdf = torch.cumsum(inner / inner.sum(-1, keepdim=True), -1)
    cdf = torch.cat([torch.zeros_like(cdf[..., :1]), cdf], -1)
    if is_random:
        quantiles = torch.rand(*depth.shape[:-1], count, device=depth.device)
    else:
        quantiles = torch.linspace(0, 1, count, device=depth.device).expand(*depth.shape[:-1], count)
    above = torch.searchsorted(cdf, quantiles.contiguous(), right=True)
    low, high = (above - 1).clamp_min(0), above.clamp_max(cdf.shape[-1] - 1)
    ends, edges = (torch.gather(values, -1, torch.cat([low, high], -1)) for values in (cdf, bins))
    (low_end, high_end), (low_edge, high_edge) = ends.chunk(2, -1), edges.chunk(2, -1)
    share = (quantiles - low_end) / (high_end - low_end).clamp_min(1e-5)
    return low_edge + share.clamp(0, 1) * (high_edge - low_edge)
