"""`Realism`: how much a face looks like a photograph, and where it does not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from facegen import hub
from facegen.device import choose_device
from facegen.generate.attributes.network import load_attribute_net
from facegen.generate.realism.task import REALISM_CONFIG
from facegen.generate.weights import REALISM

_AT_ONCE = 16
_WARNING = np.array([255, 90, 0], np.float32)


class Realism:
    """The trained classifier of photographs against generated faces.

    Args:
        device: as `device.choose_device` takes it.
        path: what `facegen train realism` exported; None takes the bundled weights.

    Raises:
        WeightsError: the weights are missing, were changed or are another model's.
    """

    def __init__(self, device: str = "auto", path: Path | None = None) -> None:
        self.device = choose_device(device)
        self._network = load_attribute_net(str(path or hub.fetch(REALISM)), REALISM_CONFIG).to(self.device)

    def score(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N,) float32 0..1, 1 for a photograph, of (N, S, S, 3) uint8 aligned faces."""
        return 1 / (1 + np.exp(-self.map(pictures_rgb).mean((1, 2))))

    def map(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N, 8, 8) float32 scores by place; negative where it looks generated."""
        side = REALISM_CONFIG.side
        found = []
        for start in range(0, len(pictures_rgb), _AT_ONCE):
            part = [
                cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA)
                for p in pictures_rgb[start : start + _AT_ONCE]
            ]
            inputs = torch.from_numpy(np.stack(part)).to(self.device).permute(0, 3, 1, 2).float().div(127.5) - 1
            with torch.inference_mode():
                found.append(self._network.score_map(inputs)[:, 0].float().cpu().numpy())
        return np.concatenate(found)

    def marked(self, picture_rgb: np.ndarray) -> np.ndarray:
        """The (S, S, 3) uint8 picture, orange where it looks generated most; each picture has its own scale."""
        side = len(picture_rgb)
        scores = cv2.resize(self.map(picture_rgb[None])[0], (side, side), interpolation=cv2.INTER_CUBIC)
        doubt = np.clip((np.median(scores) - scores) / max(float(np.ptp(scores)) / 2, 1e-3), 0, 1)
        grey = picture_rgb.mean(2, keepdims=True)
        return (grey + 0.8 * doubt[..., None] * (_WARNING - grey)).clip(0, 255).astype(np.uint8)
