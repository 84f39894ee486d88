"""Giving one picture the colours of another: what training does to B's faces, and merging to the result.

All take (B, 3, H, W) float RGB in [0, 1] twice, the picture and whose colours it gets, and return the first anew. With a
mask only what lies inside is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def reinhard(pictures: Tensor, like: Tensor, mask: Tensor | None = None, like_mask: Tensor | None = None) -> Tensor:
    """rct: mean and deviation of each L*a*b* channel (Reinhard et al. 2001)."""
    lab, wanted = to_lab(pictures), to_lab(like)
    (mean, deviation), (new_mean, new_deviation) = _moments(lab, mask), _moments(wanted, like_mask)
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


def _linear(pictures: Tensor, like: Tensor, mask: Tensor | None, like_mask: Tensor | None, *, is_mkl: bool) -> Tensor:
    mean, cov = _covariance(pictures, mask)
    new_mean, new_cov = _covariance(like, like_mask)
    if is_mkl:
        root, inverse = _power(cov, 0.5), _power(cov, -0.5)
        matrix = inverse @ _power(root @ new_cov @ root, 0.5) @ inverse
    else:
        matrix = _power(new_cov, 0.5) @ _power(cov, -0.5)
    moved = matrix @ (pictures - mean).flatten(2)
    return (moved.view_as(pictures) + new_mean).clamp(0, 1)


def linear(pictures: Tensor, like: Tensor, mask: Tensor | None = None, like_mask: Tensor | None = None) -> Tensor:
    """lct: mean and covariance of RGB, whitened and coloured by their square roots."""
    return _linear(pictures, like, mask, like_mask, is_mkl=False)


def monge_kantorovich(
    pictures: Tensor, like: Tensor, mask: Tensor | None = None, like_mask: Tensor | None = None
) -> Tensor:
    """mkl: the linear map between the two covariances that moves colours least (Pitie and Kokaram 2007)."""
    return _linear(pictures, like, mask, like_mask, is_mkl=True)


def _chosen(picture: Tensor, mask: Tensor | None) -> Tensor:
    """(3, N) the pixels of one picture that are measured."""
    flat = picture.flatten(1)
    if mask is None:
        return flat
    inside = mask.flatten() > 0.5
    return flat[:, inside] if int(inside.sum()) > 64 else flat


def _matched(values: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Each value moved from its quantile of `own` to the same quantile of `wanted`; all one-dimensional."""
    places = torch.searchsorted(own.sort().values, values.contiguous()).float() / max(len(own), 1)
    grid = wanted.sort().values
    position = (places * (len(grid) - 1)).clamp(0, len(grid) - 1)
    low = position.floor().long()
    high = (low + 1).clamp_max(len(grid) - 1)
    return grid[low] + (grid[high] - grid[low]) * (position - low)


def _rotations(count: int, device: torch.device) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(count, 3, 3, generator=random))[0].to(device)


def iterative(pictures: Tensor, like: Tensor, mask: Tensor | None = None, like_mask: Tensor | None = None) -> Tensor:
    """idt: histograms along turned axes made equal again and again (Pitie et al. 2007)."""
    return _sliced(pictures, like, mask, like_mask, steps=12, share=1.0)


def sliced(pictures: Tensor, like: Tensor, mask: Tensor | None = None, like_mask: Tensor | None = None) -> Tensor:
    """sot: small steps of sliced optimal transport (Rabin et al. 2011)."""
    return _sliced(pictures, like, mask, like_mask, steps=12, share=0.35)


def _sliced(
    pictures: Tensor, like: Tensor, mask: Tensor | None, like_mask: Tensor | None, *, steps: int, share: float
) -> Tensor:
    out = []
    for number in range(len(pictures)):
        flat = pictures[number].flatten(1).clone()
        own_mask = None if mask is None else mask[number]
        inside = slice(None) if own_mask is None else own_mask.flatten() > 0.5
        wanted = _chosen(like[number], None if like_mask is None else like_mask[number])
        for turn in _rotations(steps, pictures.device):
            turned, turned_wanted = turn @ flat, turn @ wanted
            new = torch.stack([_matched(turned[axis], turned[axis][inside], turned_wanted[axis]) for axis in range(3)])
            flat = flat + share * (turn.T @ (new - turned))
        out.append(flat.view_as(pictures[number]))
    return torch.stack(out).clamp(0, 1)


TRANSFERS: Mapping[str, Callable[..., Tensor]] = {
    "rct": reinhard,
    "lct": linear,
    "mkl": monge_kantorovich,
    "idt": iterative,
    "sot": sliced,
}
"""By DeepFaceLab's names."""
