"""Optimisers and the rate they use at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from facegen.training.adabelief import AdaBelief
from facegen.training.settings import OptimiserSettings

LR_DROPOUT_PERIOD = 500
LOWEST_SHARE = 0.01


def build_optimiser(parameters: Iterable[nn.Parameter], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """The optimiser that the settings name, from torch or pytorch_optimizer."""
    import pytorch_optimizer

    parameters = list(parameters)
    rate, decay = settings.rate, settings.weight_decay
    epsilon = 10.0**settings.epsilon_exponent
    betas = (settings.beta1, settings.beta2)
    # one pass over memory instead of ten: on a CPU several times quicker
    is_fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    known: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(parameters, rate, betas, epsilon, decay, fused=is_fused),
        "adamw": lambda: torch.optim.AdamW(parameters, rate, betas, epsilon, decay, fused=is_fused),
        "nadam": lambda: torch.optim.NAdam(parameters, rate, betas, epsilon, decay),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, rate, settings.beta2, epsilon, decay),
        "adamax": lambda: torch.optim.Adamax(parameters, rate, betas, epsilon, decay),
        "adabelief": lambda: AdaBelief(parameters, rate, betas, epsilon, decay),
        "lion": lambda: pytorch_optimizer.Lion(parameters, lr=rate, betas=betas, weight_decay=decay),
    }
    return known[settings.name]()


def rate_at(settings: OptimiserSettings, step: int, progress: float) -> float:
    """Learning rate of the step after `step` steps, with `progress` (0..1) of the training done."""
    rate = settings.rate
    if settings.warmup_steps:
        rate *= min(1.0, (step + 1) / settings.warmup_steps)
    if settings.schedule == "cosine":
        rate *= LOWEST_SHARE + (1 - LOWEST_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    if settings.lr_dropout < 1:
        rate *= 0.5 * (1 + math.cos(math.tau * step / LR_DROPOUT_PERIOD))
    return rate


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


class LrDropout:
    """Lets each weight take part in a step only with a given chance (DeepFaceLab's «lr dropout»).

    The mask is drawn per weight and step; what the optimiser remembers of the gradients is not masked.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], keep: float) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.keep = keep

    @torch.no_grad()
    def step(self, optimiser: torch.optim.Optimizer, seed: int) -> None:
        """Does the optimiser's step, and takes it back where the mask drawn from `seed` is off."""
        before = [p.detach().clone() for p in self.parameters]
        optimiser.step()
        random = torch.Generator().manual_seed(seed)
        for parameter, old in zip(self.parameters, before, strict=True):
            taken = (torch.rand(parameter.shape, generator=random) < self.keep).to(parameter.device)
            parameter.copy_(torch.where(taken, parameter, old))
