"""Regularization of the generator after NVAE (arXiv:2007.03898): spectral, KL balancing, batch norm recalibration."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.generate.model.vae import VaeNetwork

POSITIONS = (64, 256, 1024)
"""Positions of the latent groups' maps, for balancing their KL divergences."""
_VECTORS: weakref.WeakKeyDictionary[nn.Module, Tensor] = weakref.WeakKeyDictionary()


def sum_spectral_norms(model: nn.Module) -> Tensor:
    """Sum of the largest singular values of a model's convolutions (arXiv:1705.10941); one power iteration per call.

    The vectors of the power iteration are not part of a checkpoint: they converge again within a few calls.
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


def balance_divergences(divergences: Tensor, progress: float) -> Tensor:
    """Sum of the groups' KL divergences, with warm-up and balancing over the first 30 % against posterior collapse.

    Args:
        divergences: (B, groups) nats.
        progress: fraction of the training that is done.
    """
    warmup = min(1.0, max(1e-4, progress / 0.3))
    means = divergences.mean(0)
    if warmup >= 1:
        return means.sum()
    positions = torch.tensor(POSITIONS, device=means.device, dtype=means.dtype)
    factors = means.detach().abs() / positions * means.detach().sum()
    factors = factors / factors.mean().clamp_min(1e-8)
    return warmup * (factors * means).sum()


@torch.no_grad()
def recalibrate_batch_norm(
    vae: VaeNetwork, *, batches: int = 10, batch_size: int = 24, temperature: float = 0.8
) -> None:
    """Estimates the batch norms' running statistics from samples of the prior with random sliders.

    The posterior's encoder sees no samples and keeps its statistics.

    Args:
        vae: changed in place, and left in evaluation mode.
        batches: number of batches.
        batch_size: faces in each.
        temperature: of the samples.
    """
    norms = [
        module
        for name, module in vae.named_modules()
        if isinstance(module, nn.BatchNorm2d) and not name.startswith("seen_")
    ]
    momenta = [norm.momentum for norm in norms]
    vae.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average over the batches
        norm.train()
    generator = torch.Generator().manual_seed(0)
    flows = torch.zeros(batch_size, 2, 64, 64, device=vae.texture_mean.device)
    for _ in range(batches):
        codes, _ = vae.sample_prior(batch_size, generator, temperature)
        sliders = torch.rand(batch_size, 5, generator=generator).to(codes)
        noises = tuple(
            0.8 * temperature * torch.randn(batch_size, *s, generator=generator).to(codes) for s in vae.noise_shapes()
        )
        vae(codes, flows, sliders, noises=noises)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    vae.eval()
