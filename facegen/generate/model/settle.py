"""NVAE's last step: batch statistics as they are when faces are drawn from the prior."""

from __future__ import annotations

import torch
from torch import nn

from facegen.generate.model.vae import ConditionalVae


@torch.no_grad()
def settle_statistics(
    vae: ConditionalVae, *, batches: int = 10, batch_size: int = 24, temperature: float = 0.8
) -> None:
    """Estimates the batch norms' statistics anew from samples with random sliders; weights stay.

    The posterior's encoder sees no samples and keeps its own.

    Args:
        vae: is changed, and left in evaluation mode.
        batches: how many.
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
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    generator = torch.Generator().manual_seed(0)
    flows = torch.zeros(batch_size, 2, 64, 64, device=vae.device)
    for _ in range(batches):
        codes, _ = vae.sample_codes(batch_size, generator, temperature)
        sliders = torch.rand(batch_size, 5, generator=generator).to(codes)
        noises = tuple(
            0.8 * temperature * torch.randn(batch_size, *s, generator=generator).to(codes) for s in vae.noise_shapes()
        )
        vae(codes, flows, sliders, noises=noises)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    vae.eval()
