"""The generator's building blocks, after NVAE (Vahdat & Kautz, arXiv:2007.03898), with FiLM (arXiv:1709.07871)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.05
"""Of the batch norms."""
BRANCH = 0.3
"""Scale of a residual branch; NVAE uses 0.1, with ten times as many cells."""


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: channel weights from the pooled map (arXiv:1709.01507)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = max(width // 16, 4)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        return x * self.layers(x.mean((2, 3)))[:, :, None, None]


class Film(nn.Module):
    """Scales and shifts channels by the condition; initialised as the identity."""

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, width, H, W), (B, condition) to (B, width, H, W)."""
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class ResidualCell(nn.Module):
    """NVAE's encoder cell: twice (BN, Swish, 3x3 convolution), squeeze-excite; with a condition, FiLM before the latter."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, momentum=MOMENTUM) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        self.film = Film(condition, width) if condition else None
        self.gate = SqueezeExcite(width)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, width, H, W), (B, condition) to (B, width, H, W)."""
        h = self.convs[0](F.silu(self.norms[0](x)))
        h = self.norms[1](h)
        if self.film is not None and condition is not None:
            h = self.film(h, condition)
        return x + BRANCH * self.gate(self.convs[1](F.silu(h)))


class DepthwiseCell(nn.Module):
    """NVAE's decoder cell: expansion, depthwise 5x5 convolution, projection, squeeze-excite; FiLM in the middle."""

    def __init__(self, width: int, condition: int, expansion: int = 3) -> None:
        super().__init__()
        wide = width * expansion
        self.first = nn.Sequential(
            nn.BatchNorm2d(width, momentum=MOMENTUM), nn.Conv2d(width, wide, 1, bias=False),
            nn.BatchNorm2d(wide, momentum=MOMENTUM), nn.SiLU(), nn.Conv2d(wide, wide, 5, 1, 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide, momentum=MOMENTUM),
        )  # fmt: skip
        self.film = Film(condition, wide)
        self.last = nn.Sequential(nn.Conv2d(wide, width, 1, bias=False), nn.BatchNorm2d(width, momentum=MOMENTUM))
        self.gate = SqueezeExcite(width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, width, H, W), (B, condition) to (B, width, H, W)."""
        return x + BRANCH * self.gate(self.last(F.silu(self.film(self.first(x), condition))))


class Down(nn.Sequential):
    """Strided convolution: half the side, `outputs` channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 3, 2, 1))


class Up(nn.Sequential):
    """Pixel shuffle, the fastest upsampling on CPUs: twice the side, `outputs` channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))


def soft_clamp(x: Tensor) -> Tensor:
    """NVAE's bound of means and log deviations to (-5, 5)."""
    return 5 * torch.tanh(x / 5)


class LatentGroup(nn.Module):
    """One latent group: a prior from the map above, a posterior relative to it (NVAE's residual normal distribution).

    Args:
        width: channels of the map above.
        seen: channels of the encoder's map at this scale.
        latent: channels of the group.
    """

    def __init__(self, width: int, seen: int, latent: int) -> None:
        super().__init__()
        self.prior = nn.Sequential(nn.SiLU(), nn.Conv2d(width, 2 * latent, 1))
        self.posterior = nn.Sequential(nn.SiLU(), nn.Conv2d(width + seen, 2 * latent, 3, 1, 1))
        self.join = nn.Conv2d(latent, width, 1)
        for parameter in (*self.prior.parameters(), *self.posterior.parameters()):
            nn.init.zeros_(parameter)

    def forward(
        self, above: Tensor, seen: Tensor | None, noise: Tensor | None, temperature: float | Tensor = 1.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draws the group's latents and adds them to the map.

        Args:
            above: (B, width, h, w).
            seen: (N, seen, h, w) the encoder's map: the first N <= B faces are drawn from their posteriors, the others
                (all of them for None) from the prior.
            noise: (B, latent, h, w) standard normal; None draws it.
            temperature: factor on the prior's deviation; broadcasts to (B, latent, h, w).

        Returns:
            The map, (B,) KL divergence of posterior from prior in nats (0 for a sample), and the noise that
            reproduces the latents through the prior at temperature 1.
        """
        mean, log_std = soft_clamp(self.prior(above).float()).chunk(2, 1)
        std = log_std.exp() + 1e-2
        divergence = mean.new_zeros(len(mean))
        if noise is None:
            noise = torch.randn_like(mean)
        standard = noise * temperature
        if seen is not None:
            count = len(seen)
            stacked = torch.cat([above[:count], seen], 1)
            offset, log_ratio = soft_clamp(self.posterior(stacked).float()).chunk(2, 1)
            # posterior N(mean + std * offset, std * ratio): the KL divergence depends on offset and ratio only
            ratio = log_ratio.exp()
            kl = 0.5 * (offset.square() + ratio.square() - 1).sum((1, 2, 3)) - log_ratio.sum((1, 2, 3))
            divergence = torch.cat([kl, divergence[count:]])
            standard = torch.cat([offset + ratio * noise[:count], standard[count:]])
        value = mean + std * standard
        return above + self.join(value.to(above.dtype)), divergence, standard
