"""What holds the restorer to believable detail."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchCritic(nn.Module):
    """Scores small patches (arXiv:1611.07004), with spectral norm (arXiv:1802.05957).

    Args:
        width: channels of the first layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                spectral_norm(nn.Conv2d(12, width, 3, 1, 1)),
                spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
                spectral_norm(nn.Conv2d(2 * width, 3 * width, 4, 2, 1)),
            ]
        )
        self.last = spectral_norm(nn.Conv2d(3 * width, 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 1, S / 8, S / 8) scores and features of (B, 3, S, S) RGB in [0, 1]."""
        h = F.pixel_unshuffle(pictures * 2 - 1, 2)
        features = []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.2)
            features.append(h)
        return self.last(h), features
