"""Losses between pictures, and mixtures of them.

All take (B, C, H, W) float pictures in [0, 1] and return the mean over the batch as a scalar. They are computed in
float32 even under autocast.

Own code rather than piq 0.8: its SSIM agrees to 1e-7 but not to the bit and loses digits under bfloat16 autocast (0.94531
for 0.94560), its MS-SSIM refuses pictures below 161 pixels, its GMSD is of another grey, and its import doubles torch's.

LPIPS needs two well-known files in the `lpips` folder below facegen's weights (or torch's own hub cache):
`alexnet-owt-7be5be79.pth` (torchvision) and `lpips_alex.pth` (the authors' version 0.1 heads).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen.config import home
from facegen.errors import InputError, WeightsError

SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
GMSD_C = 0.0026
LPIPS_BACKBONE, LPIPS_HEADS = "alexnet-owt-7be5be79.pth", "lpips_alex.pth"
LPIPS_LAYERS = (1, 4, 7, 9, 11)
"""Layers of AlexNet's features after which LPIPS compares pictures: each ReLU."""
LPIPS_MEAN, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
EYES_MOUTH_FACTOR = 300.0
"""Weight of the eyes-and-mouth term; DeepFaceLab's, where the other terms are weighted by 10."""


def gaussian_window(size: int, sigma: float, like: Tensor) -> Tensor:
    """(size,) weights that sum to 1."""
    positions = torch.arange(size, device=like.device, dtype=like.dtype) - (size - 1) / 2
    window = torch.exp(-positions.square() / (2 * sigma**2))
    return window / window.sum()


def _blur(pictures: Tensor, window: Tensor, padding: int = 0) -> Tensor:
    channels, size = pictures.shape[1], len(window)
    across = window.view(1, 1, 1, size).expand(channels, 1, 1, size)
    down = window.view(1, 1, size, 1).expand(channels, 1, size, 1)
    # variances are small differences of large means: in bfloat16 nothing but noise is left of them
    with torch.autocast(pictures.device.type, enabled=False):
        blurred = F.conv2d(pictures, across, groups=channels, padding=(0, padding))
        return F.conv2d(blurred, down, groups=channels, padding=(padding, 0))


def _ssim_parts(prediction: Tensor, target: Tensor, size: int, sigma: float) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure part for each picture and channel (Wang et al. 2004, eq. 13)."""
    prediction, target = prediction.float(), target.float()
    window = gaussian_window(min(size, *prediction.shape[2:]), sigma, prediction)
    stacked = torch.cat([prediction, target, prediction * prediction, target * target, prediction * target], 1)
    mean_a, mean_b, aa, bb, ab = _blur(stacked, window).chunk(5, 1)
    contrast = (2 * (ab - mean_a * mean_b) + SSIM_C2) / (aa - mean_a**2 + bb - mean_b**2 + SSIM_C2)
    luminance = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    return (luminance * contrast).mean((2, 3)), contrast.mean((2, 3))


def ssim(prediction: Tensor, target: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity, 1 for equal pictures (Wang et al. 2004)."""
    return _ssim_parts(prediction, target, size, sigma)[0].mean()


def dssim(prediction: Tensor, target: Tensor) -> Tensor:
    """(1 - SSIM) / 2 with a window that grows with the picture as DeepFaceLab's does; two sizes from 256 pixels on."""
    side = prediction.shape[2]
    sizes = [max(3, int(side / 11.6))] if side < 256 else [int(side / 11.6), int(side / 23.2)]
    return torch.stack([(1 - ssim(prediction, target, size)) / 2 for size in sizes]).mean()


def ms_ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """1 - MS-SSIM (Wang et al. 2003), over as many of its five scales as the window fits into."""
    scales = max(1, min(len(MS_SSIM_WEIGHTS), int(math.log2(prediction.shape[2] / 11)) + 1))
    weights = [weight / sum(MS_SSIM_WEIGHTS[:scales]) for weight in MS_SSIM_WEIGHTS[:scales]]
    product = torch.ones_like(prediction[:, :, 0, 0])
    for scale, weight in enumerate(weights):
        full, contrast = _ssim_parts(prediction, target, 11, 1.5)
        part = full if scale == scales - 1 else contrast
        product = product * part.clamp_min(1e-4) ** weight
        prediction, target = F.avg_pool2d(prediction, 2), F.avg_pool2d(target, 2)
    return 1 - product.mean()


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (prediction - target).abs().mean()


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference."""
    return (prediction - target).square().mean()


def log_cosh(prediction: Tensor, target: Tensor) -> Tensor:
    """Logarithm of the hyperbolic cosine of the difference: square when small, absolute when large."""
    gap = (prediction - target).abs()
    return (gap + F.softplus(-2 * gap) - math.log(2)).mean()


def gmsd(prediction: Tensor, target: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation (Xue et al., arXiv:1308.3052)."""

    def gradient(pictures: Tensor) -> Tensor:
        grey = F.avg_pool2d(pictures.mean(1, keepdim=True), 2)
        kernel = torch.tensor([[1.0, 0.0, -1.0]] * 3, device=grey.device, dtype=grey.dtype) / 3
        with torch.autocast(grey.device.type, enabled=False):
            both = F.conv2d(grey, torch.stack([kernel, kernel.T])[:, None], padding=1)
        return (both.square().sum(1) + 1e-8).sqrt()

    a, b = gradient(prediction.float()), gradient(target.float())
    similarity = (2 * a * b + GMSD_C) / (a * a + b * b + GMSD_C)
    return (similarity.var((1, 2)) + 1e-10).sqrt().mean()


def focal_frequency(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared difference of spectra, weighted by itself (Jiang et al., arXiv:2012.12821, eq. 8, alpha 1)."""
    gap = torch.fft.fft2(prediction.float() - target.float(), norm="ortho")
    distance = gap.real.square() + gap.imag.square()
    weight = distance.detach().sqrt()
    weight = weight / weight.amax((2, 3), keepdim=True).clamp_min(1e-8)
    return (weight * distance).mean()


def laplacian(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute difference at each level of a Laplacian pyramid (Bojanowski et al., arXiv:1707.05776, eq. 3)."""
    gap = prediction.float() - target.float()
    window = gaussian_window(5, 1.0, gap)
    terms: list[Tensor] = []
    while min(gap.shape[2:]) >= 16 and len(terms) < 5:
        blurred = _blur(gap, window, padding=2)
        terms.append((gap - blurred).abs().mean())
        gap = F.avg_pool2d(blurred, 2)
    return torch.stack([*terms, gap.abs().mean()]).sum()


def total_variation(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared step between neighbours in the drawn picture; the wanted one does not matter."""
    across = (prediction[..., 1:] - prediction[..., :-1]).square().mean()
    return across + (prediction[..., 1:, :] - prediction[..., :-1, :]).square().mean()


def _lpips_folders() -> tuple[Path, ...]:
    return home() / "weights" / "lpips", Path(torch.hub.get_dir()) / "checkpoints"


def _find_lpips_file(name: str) -> Path | None:
    return next((folder / name for folder in _lpips_folders() if (folder / name).is_file()), None)


class Lpips(nn.Module):
    """Learned perceptual distance: AlexNet's features, a weight for each channel (Zhang et al., arXiv:1801.03924)."""

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import alexnet

        self.features = alexnet(weights=None).features
        self.heads = nn.ParameterList(torch.ones(1, c, 1, 1) for c in (64, 192, 384, 256, 256))
        self.register_buffer("mean", torch.tensor(LPIPS_MEAN).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(LPIPS_SCALE).view(1, 3, 1, 1))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """(B,) distances of (B, 3, H, W) pictures in [0, 1]; H and W 64 or more."""
        both = (torch.cat([prediction, target]) * 2 - 1 - self.mean) / self.scale
        total = prediction.new_zeros(len(prediction))
        for index, layer in enumerate(self.features[: LPIPS_LAYERS[-1] + 1]):
            both = layer(both)
            if index in LPIPS_LAYERS:
                unit = both / (both.square().sum(1, keepdim=True) + 1e-10).sqrt()
                a, b = unit.chunk(2)
                total = total + ((a - b).square() * self.heads[LPIPS_LAYERS.index(index)]).sum(1).mean((1, 2))
        return total


def lpips(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean LPIPS distance.

    Raises:
        WeightsError: the weights are not there.
    """
    return _load_lpips(str(prediction.device))(prediction.float(), target.float()).mean()


@functools.cache
def _load_lpips(device: str) -> Lpips:
    backbone, heads = _find_lpips_file(LPIPS_BACKBONE), _find_lpips_file(LPIPS_HEADS)
    if backbone is None or heads is None:
        raise WeightsError(
            f"The loss lpips needs {LPIPS_BACKBONE} and {LPIPS_HEADS} in {_lpips_folders()[0]}, which are not there; add them or take "
            "another loss."
        )
    model = Lpips()
    features: dict[str, Any] = torch.load(backbone, weights_only=True)
    learned: dict[str, Any] = torch.load(heads, weights_only=True)
    model.features.load_state_dict(
        {k.removeprefix("features."): v for k, v in features.items() if k.startswith("features.")}
    )
    for index, head in enumerate(model.heads):
        head.data.copy_(learned[f"lin{index}.model.1.weight"])
    return model.eval().requires_grad_(False).to(device)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "dssim": dssim,
    "ms_ssim": ms_ssim,
    "l1": l1,
    "mse": mse,
    "log_cosh": log_cosh,
    "gmsd": gmsd,
    "focal_frequency": focal_frequency,
    "laplacian": laplacian,
    "total_variation": total_variation,
    "lpips": lpips,
}
"""By name; "lpips" needs its weights."""


class Mixture:
    """Several losses added with weights.

    Args:
        weights: by name of `LOSSES`.

    Raises:
        InputError: there is no loss of that name.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        unknown = sorted(set(weights) - set(LOSSES))
        if unknown:
            raise InputError(f"Expected losses of {', '.join(LOSSES)}, found {unknown[0]!r}.")
        self.weights = {name: weight for name, weight in weights.items() if weight}

    def __call__(
        self, prediction: Tensor, target: Tensor, *, mask: Tensor | None = None, eyes_mouth: Tensor | None = None
    ) -> Tensor:
        """The weighted sum.

        Args:
            prediction: (B, C, H, W) in [0, 1].
            target: the same.
            mask: (B, 1, H, W) in [0, 1]; both pictures are multiplied by it first.
            eyes_mouth: (B, 1, H, W) in [0, 1]; where given, the absolute difference inside it counts besides.
        """
        a, b = (prediction, target) if mask is None else (prediction * mask, target * mask)
        total = torch.stack([weight * LOSSES[name](a, b) for name, weight in self.weights.items()]).sum()
        if eyes_mouth is not None:
            total = total + EYES_MOUTH_FACTOR * ((prediction - target) * eyes_mouth).abs().mean()
        return total


def soft_mask(mask: Tensor, side: int) -> Tensor:
    """A face mask for losses as DeepFaceLab softens it: blurred, then the lower half of its values stretched to [0, 1].

    Args:
        mask: (B, 1, H, W) in [0, 1].
        side: side of the pictures, pixels.
    """
    sigma = max(1.0, side // 32)
    size = 2 * round(3 * sigma) + 1
    mask = mask.float()
    return _blur(mask, gaussian_window(size, sigma, mask), padding=size // 2).clamp(0, 0.5) * 2
