"""Optimisers and learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from facegen.training.settings import OptimiserSettings

LR_DROPOUT_PERIOD = 500
COSINE_FLOOR = 0.01
CHUNK = 1 << 15
"""Numbers that are worked on at once: so few stay in a core's cache, and torch gives them to one thread, unlike more."""


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
        rate *= COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
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
            mask = (torch.rand(parameter.shape, generator=random) < self.keep).to(parameter.device)
            parameter.copy_(torch.where(mask, parameter, old))


class AdaBelief(torch.optim.Optimizer):
    """Adam whose step is divided by how far gradients stray from their mean (Zhuang et al., arXiv:2010.07468).

    Weights are walked through in pieces, so that each of them, its gradient and both moments are read once a step; the
    gradients are used up. States are named as pytorch_optimizer's, whose numbers these are, so that trainings go on.

    Args:
        parameters: the weights.
        lr: learning rate.
        betas: memory of the mean and of the square of what strays from it.
        eps: keeps divisions finite.
        weight_decay: pull towards zero, decoupled from the gradient.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "step": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the gradients hold nothing of use afterwards."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["step"] += 1
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["exp_avg"] = torch.zeros_like(weight)
                    state["exp_avg_var"] = torch.zeros_like(weight)
                _advance(weight, weight.grad, state, group)
        return loss


def _advance(weight: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    first, second = 1 - beta1 ** group["step"], math.sqrt(1 - beta2 ** group["step"])
    for key in ("exp_avg", "exp_avg_var"):
        state[key] = _match_layout(weight, state[key])
    tensors = (weight, _match_layout(weight, gradient), state["exp_avg"], state["exp_avg_var"])
    parts = [_flatten_in_memory_order(tensor) for tensor in tensors]
    size = CHUNK if weight.device.type == "cpu" else weight.numel()
    for w, g, mean, spread in zip(*(part.split(size) for part in parts), strict=True):
        if group["weight_decay"]:
            w.mul_(1 - group["lr"] * group["weight_decay"])
        mean.lerp_(g, 1 - beta1)
        g.sub_(mean)
        spread.mul_(beta2).addcmul_(g, g, value=1 - beta2).add_(group["eps"])
        torch.sqrt(spread, out=g)
        w.addcdiv_(mean, g.add_(group["eps"] * second), value=-group["lr"] * second / first)


def _match_layout(weight: Tensor, tensor: Tensor) -> Tensor:
    """A tensor in a weight's own memory layout; itself where it has it."""
    return tensor if tensor.stride() == weight.stride() else torch.empty_like(weight).copy_(tensor)


def _flatten_in_memory_order(tensor: Tensor) -> Tensor:
    """A tensor's numbers in the order in which they lie in memory; no copy."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1).reshape(-1)
    return tensor.view(-1)
