"""Colour transfer between pictures, for training (on B's faces) and for merging (on the result).

Every transfer takes (B, 3, H, W) float RGB in [0, 1] twice, the pictures and the references whose colours they get, with
optional masks (B, 1, H, W) inside which colours are measured, and returns the pictures recoloured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)


def to_lab(pictures: Tensor) -> Tensor:
    """CIE L*a*b* of sRGB pictures, D65, L in 0..100."""
    linear = torch.where(pictures > 0.04045, ((pictures.clamp_min(0) + 0.055) / 1.055) ** 2.4, pictures / 12.92)
    white = torch.tensor(_WHITE, device=pictures.device).view(1, 3, 1, 1)
    xyz = torch.einsum("ij,bjhw->bihw", torch.tensor(_TO_XYZ, device=pictures.device), linear) / white
    f = torch.where(xyz > 0.008856, xyz.clamp_min(1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.split(1, 1)
    return torch.cat([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def to_rgb(lab: Tensor) -> Tensor:
    """sRGB of CIE L*a*b*, clipped to [0, 1]."""
    light, a, b = lab.split(1, 1)
    y = (light + 16) / 116
    f = torch.cat([y + a / 500, y, y - b / 200], 1)
    xyz = torch.where(f > 0.206893, f**3, (f - 16 / 116) / 7.787)
    xyz = xyz * torch.tensor(_WHITE, device=lab.device).view(1, 3, 1, 1)
    linear = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(torch.tensor(_TO_XYZ, device=lab.device)), xyz)
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp_min(1e-6) ** (1 / 2.4) - 0.055, 12.92 * linear).clamp(
        0, 1
    )


def _weights(pictures: Tensor, mask: Tensor | None) -> Tensor:
    """(B, 1, H, W) summing to 1 over each picture."""
    weights = torch.ones_like(pictures[:, :1]) if mask is None else mask.clamp_min(0) + 1e-6
    return weights / weights.sum((2, 3), keepdim=True)


def _moments(pictures: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    weights = _weights(pictures, mask)
    mean = (pictures * weights).sum((2, 3), keepdim=True)
    return mean, ((pictures - mean).square() * weights).sum((2, 3), keepdim=True).sqrt()


def transfer_reinhard(
    pictures: Tensor, references: Tensor, mask: Tensor | None = None, reference_mask: Tensor | None = None
) -> Tensor:
    """rct: mean and standard deviation of each L*a*b* channel (Reinhard et al. 2001)."""
    lab = to_lab(pictures)
    mean, deviation = _moments(lab, mask)
    new_mean, new_deviation = _moments(to_lab(references), reference_mask)
    ratio = (new_deviation / deviation.clamp_min(1e-4)).clamp(0.25, 4)
    return to_rgb((lab - mean) * ratio + new_mean)


def _covariance(pictures: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    weights = _weights(pictures, mask)
    mean = (pictures * weights).sum((2, 3), keepdim=True)
    flat, w = (pictures - mean).flatten(2), weights.flatten(2)
    return mean, (flat * w) @ flat.transpose(1, 2) + 1e-5 * torch.eye(3, device=pictures.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag_embed(values.clamp_min(1e-8) ** exponent) @ vectors.transpose(1, 2)


def transfer_linear(
    pictures: Tensor,
    references: Tensor,
    mask: Tensor | None = None,
    reference_mask: Tensor | None = None,
    *,
    is_mkl: bool = False,
) -> Tensor:
    """A linear map of RGB that gives the pictures the references' mean and covariance.

    Args:
        pictures: (B, 3, H, W).
        references: (B, 3, H, W).
        mask: (B, 1, H, W) where the pictures are measured.
        reference_mask: (B, 1, H, W) where the references are.
        is_mkl: mkl, the map that moves colours least (Monge-Kantorovich; Pitie and Kokaram 2007); otherwise lct,
            whitening and colouring by the square roots of the covariances.
    """
    mean, cov = _covariance(pictures, mask)
    new_mean, new_cov = _covariance(references, reference_mask)
    if is_mkl:
        root, inverse = _power(cov, 0.5), _power(cov, -0.5)
        matrix = inverse @ _power(root @ new_cov @ root, 0.5) @ inverse
    else:
        matrix = _power(new_cov, 0.5) @ _power(cov, -0.5)
    mapped = matrix @ (pictures - mean).flatten(2)
    return (mapped.view_as(pictures) + new_mean).clamp(0, 1)


def _masked_pixels(picture: Tensor, mask: Tensor | None) -> Tensor:
    """(3, N): the pixels of one picture inside its mask, or all of them where these are few."""
    flat = picture.flatten(1)
    if mask is None:
        return flat
    inside = mask.flatten() > 0.5
    return flat[:, inside] if int(inside.sum()) > 64 else flat


def _match_quantiles(values: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Maps each value from its quantile of `source` to the same quantile of `target`; all one-dimensional."""
    quantiles = torch.searchsorted(source.sort().values, values.contiguous()).float() / max(len(source), 1)
    grid = target.sort().values
    position = (quantiles * (len(grid) - 1)).clamp(0, len(grid) - 1)
    low = position.floor().long()
    high = (low + 1).clamp_max(len(grid) - 1)
    return grid[low] + (grid[high] - grid[low]) * (position - low)


def _random_rotations(count: int, device: torch.device) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(count, 3, 3, generator=random))[0].to(device)


def transfer_sliced(
    pictures: Tensor,
    references: Tensor,
    mask: Tensor | None = None,
    reference_mask: Tensor | None = None,
    *,
    steps: int = 12,
    step_size: float = 1.0,
) -> Tensor:
    """Matches the histograms along randomly rotated axes, again and again.

    Args:
        pictures: (B, 3, H, W).
        references: (B, 3, H, W).
        mask: (B, 1, H, W) where the pictures are measured.
        reference_mask: (B, 1, H, W) where the references are.
        steps: how many rotations.
        step_size: 1 is idt, iterative distribution transfer (Pitie et al. 2007); less is sot, sliced optimal transport
            (Rabin et al. 2011).
    """
    out = []
    for number in range(len(pictures)):
        flat = pictures[number].flatten(1).clone()
        inside = slice(None) if mask is None else mask[number].flatten() > 0.5
        target = _masked_pixels(references[number], None if reference_mask is None else reference_mask[number])
        for rotation in _random_rotations(steps, pictures.device):
            source_axes, target_axes = rotation @ flat, rotation @ target
            matched = torch.stack(
                [_match_quantiles(source_axes[k], source_axes[k][inside], target_axes[k]) for k in range(3)]
            )
            flat = flat + step_size * (rotation.T @ (matched - source_axes))
        out.append(flat.view_as(pictures[number]))
    return torch.stack(out).clamp(0, 1)


COLOUR_TRANSFERS: Mapping[str, Callable[..., Tensor]] = {
    "rct": transfer_reinhard,
    "lct": transfer_linear,
    "mkl": partial(transfer_linear, is_mkl=True),
    "idt": transfer_sliced,
    "sot": partial(transfer_sliced, step_size=0.35),
}
"""The transfers by their names in DeepFaceLab."""
