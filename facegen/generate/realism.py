"""`Realism`: how much a face looks like a photograph, and where it does not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from facegen.device import choose_device
from facegen.generate.attribute_net import load_attribute_net
from facegen.generate.realism_task import REALISM_CONFIG

_AT_ONCE = 16


class Realism:
    """The trained classifier of photographs against generated faces.

    Args:
        path: what `facegen train realism` exported; none is bundled.
        device: as `device.choose_device` takes it.

    Raises:
        WeightsError: the file holds another model.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        self.device = choose_device(device)
        self._network = load_attribute_net(str(path), REALISM_CONFIG).to(self.device)

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
