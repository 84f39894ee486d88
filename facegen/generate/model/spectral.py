"""NVAE's spectral regularisation: the largest singular value of each convolution, by power iteration."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_VECTORS: weakref.WeakKeyDictionary[nn.Module, Tensor] = weakref.WeakKeyDictionary()


def largest_singular_values(model: nn.Module) -> Tensor:
    """Sum over the convolutions of a model (Yoshida & Miyato, arXiv:1705.10941); one power iteration a call.

    The vectors that the iteration goes on from are no part of a checkpoint: a few calls bring them back.
    """
    terms = []
    with torch.autocast(next(model.parameters()).device.type, enabled=False):
        for layer in model.modules():
            if not isinstance(layer, nn.Conv2d) or layer.groups > 1:
                continue
            matrix = layer.weight.float().flatten(1)
            with torch.no_grad():
                start = _VECTORS.get(layer)
                if start is None:
                    start = torch.ones(matrix.shape[1], device=matrix.device)
                left = F.normalize(matrix @ F.normalize(start, dim=0), dim=0)
                right = F.normalize(matrix.T @ left, dim=0)
                _VECTORS[layer] = right
            terms.append(left @ matrix @ right)
    return torch.stack(terms).sum()
