"""`Restorer`: restores small, blurred or generated faces at 256 or 512 pixels; and its network.

The network is a small UNet on pixel-unshuffled faces: one pass, with a residual connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facegen import hub, media
from facegen.device import choose_device, in_batches, is_bfloat16_fast
from facegen.errors import InputError
from facegen.restore.checkpoint import load_frozen
from facegen.restore.unet import UNet
from facegen.restore.weights import RESTORER

SIZE = 256
"""Side of restored pictures where nothing else is asked for, pixels."""
LARGE = 512
"""Side of faces that are enlarged, pixels; the network was trained at both."""
_BATCH_SIZE = 8
FOLD = 4
"""Factor of the pixel unshuffle before the first convolution."""


@dataclass(frozen=True, kw_only=True)
class RestorerConfig:
    """Architecture of a restorer."""

    widths: tuple[int, ...] = (48, 80, 112)
    """Channels at 1/4, 1/8 and 1/16 of the input's side; multiples of 8."""
    layers: int = 1
    """Residual blocks at each scale."""

    def build(self) -> RestorerNet:
        """An untrained network, which is the identity."""
        return RestorerNet(self)


class RestorerNet(nn.Module):
    """Predicts the residual between a degraded face and the photograph."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        channels = 3 * FOLD * FOLD
        self.unet = UNet(channels, channels, config.widths, config.layers)
        for parameter in self.unet.conv_out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1], H and W multiples of 16, to restored RGB of the same shape, not clipped."""
        folded = F.pixel_unshuffle(pictures * 2 - 1, FOLD)
        residual = self.unet(folded, 0)
        return pictures + F.pixel_shuffle(residual, FOLD).to(pictures.dtype)


class Restorer:
    """The trained restorer; one for generated faces, swaps, talks and facesets.

    Args:
        device: as `device.choose_device` takes it.
        path: weights of a training run; None loads the bundled ones.

    Raises:
        WeightsError: the weights are missing or were changed.
    """

    def __init__(self, device: str = "auto", path: Path | None = None) -> None:
        self.device = choose_device(device)
        self._network = load_restorer(path or hub.fetch(RESTORER)).to(self.device).to(memory_format=torch.channels_last)
        self._dtype = torch.bfloat16 if is_bfloat16_fast(self.device) else torch.float32

    def restore(self, pictures_rgb: np.ndarray, strength: float = 1.0, *, size: int = SIZE) -> np.ndarray:
        """Restores aligned faces.

        Args:
            pictures_rgb: (N, H, W, 3) uint8, squares of any size, aligned as in `generate.frame` or as FFHQ crops.
            strength: weight of the network's output, 0 to 1; 0 only resizes. No colour comes where a picture has none.
            size: side of the result, 256 or 512.

        Returns:
            (N, size, size, 3) uint8.
        """
        if pictures_rgb.ndim != 4 or pictures_rgb.shape[1] != pictures_rgb.shape[2] or pictures_rgb.dtype != np.uint8:
            raise InputError(f"Expected square uint8 RGB pictures, found {pictures_rgb.shape} {pictures_rgb.dtype}.")
        restored_rgb = np.empty((len(pictures_rgb), size, size, 3), np.uint8)
        shrinks = pictures_rgb.shape[1] > size
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC

        def restore_batch(indices: range) -> None:
            batch = np.stack([cv2.resize(pictures_rgb[i], (size, size), interpolation=interpolation) for i in indices])
            inputs = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).float().div(255)
            with torch.inference_mode(), torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
                restored = self._restore(inputs)
            blended = torch.lerp(inputs, restored.float(), strength).clamp(0, 1).mul(255).round().byte()
            for number, (before, after) in enumerate(
                zip(batch, blended.permute(0, 2, 3, 1).cpu().numpy(), strict=True)
            ):
                tint = media.measure_tint(before)
                restored_rgb[indices.start + number] = after if tint is None else tint.apply(after)

        in_batches(restore_batch, len(pictures_rgb), _BATCH_SIZE)
        return restored_rgb

    def _restore(self, inputs: Tensor) -> Tensor:
        """The network's output; at 512 pixels the mean of two, half a fold apart: one alone leaves a faint grid of the fold on skin."""
        restored = self._network(inputs)
        if inputs.shape[3] == LARGE:
            shift = FOLD // 2
            shifted = self._network(torch.roll(inputs, (shift, shift), (2, 3)))
            restored = (restored + torch.roll(shifted, (-shift, -shift), (2, 3))) / 2
        return restored


def load_restorer(path: Path) -> RestorerNet:
    """The frozen network from its weights.

    Raises:
        WeightsError: the file holds another model.
    """
    return load_frozen(RestorerConfig().build(), path, "restorer")
