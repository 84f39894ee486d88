"""`RealismClassifier`: the probability that a face is a photograph, and where it looks generated."""

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

_BATCH_SIZE = 16
_ORANGE = np.array([255, 90, 0], np.float32)


class RealismClassifier:
    """The trained classifier of photographs versus generated faces.

    Args:
        device: as `device.choose_device` takes it.
        path: exported by `facegen train realism`; None loads the bundled weights.

    Raises:
        WeightsError: the weights are missing, were changed or are another model's.
    """

    def __init__(self, device: str = "auto", path: Path | None = None) -> None:
        self.device = choose_device(device)
        self._network = load_attribute_net(Path(path or hub.fetch(REALISM)), REALISM_CONFIG).to(self.device)

    def score(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N,) float32 probability 0..1 of a photograph, for (N, S, S, 3) uint8 aligned faces."""
        return 1 / (1 + np.exp(-self.score_map(pictures_rgb).mean((1, 2))))

    def score_map(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N, 8, 8) float32 logits of the patches; negative where they look generated."""
        side = REALISM_CONFIG.side
        maps = []
        for start in range(0, len(pictures_rgb), _BATCH_SIZE):
            part = [
                cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA)
                for p in pictures_rgb[start : start + _BATCH_SIZE]
            ]
            inputs = torch.from_numpy(np.stack(part)).to(self.device).permute(0, 3, 1, 2).float().div(127.5) - 1
            with torch.inference_mode():
                maps.append(self._network.score_map(inputs)[:, 0].float().cpu().numpy())
        return np.concatenate(maps)

    def highlight(self, picture_rgb: np.ndarray) -> np.ndarray:
        """The (S, S, 3) uint8 picture in grey, orange where it looks most generated; scaled per picture."""
        side = len(picture_rgb)
        scores = cv2.resize(self.score_map(picture_rgb[None])[0], (side, side), interpolation=cv2.INTER_CUBIC)
        alpha = np.clip((np.median(scores) - scores) / max(float(np.ptp(scores)) / 2, 1e-3), 0, 1)
        grey = picture_rgb.mean(2, keepdims=True)
        return (grey + 0.8 * alpha[..., None] * (_ORANGE - grey)).clip(0, 255).astype(np.uint8)
