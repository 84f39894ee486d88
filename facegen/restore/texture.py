"""Fine texture: how strong it is in each direction, whatever its exact place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_WINDOW, _STRIDE = 8, 4


def details(pictures: Tensor) -> Tensor:
    """What a small blur takes away, times four: (B, 3, H, W) of the same; a critic sees sharpness in it at once."""
    padded = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    return 4 * (pictures - F.avg_pool2d(padded, 3, 1))


def texture_distance(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean difference of the local strength of edges in four directions, at two scales.

    Pixel losses reward blur where the place of a strand of hair is not known; this one asks for strands as strong as
    the photograph's, wherever they come to lie.

    Args:
        drawn: (B, 3, H, W) in [0, 1].
        wanted: the same.
    """
    terms = []
    for _ in range(2):
        terms.append((_strengths(drawn) - _strengths(wanted)).abs().mean())
        drawn, wanted = F.avg_pool2d(drawn, 2), F.avg_pool2d(wanted, 2)
    return torch.stack(terms).mean()


def _strengths(pictures: Tensor) -> Tensor:
    """(B, 7, h, w) root mean square of first differences in four directions and of second ones in three.

    The second ones are what a pattern that alternates from pixel to pixel has much of, and photographs little.
    """
    grey = pictures.mean(1, keepdim=True)
    middle, right, left = grey[..., 1:-1, 1:-1], grey[..., 1:-1, 2:], grey[..., 1:-1, :-2]
    below, above, corner = grey[..., 2:, 1:-1], grey[..., :-2, 1:-1], grey[..., 2:, 2:]
    bands = [
        right - middle,
        below - middle,
        corner - middle,
        below - right,
        left + right - 2 * middle,
        above + below - 2 * middle,
        middle + corner - right - below,
    ]
    squares = torch.cat(bands, 1).square()
    return (F.avg_pool2d(squares, _WINDOW, _STRIDE) + 1e-5).sqrt()
