"""The choice of training data, and the five input models' outputs for whole folders."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from facegen.generate.weights import load_attributes

FEMALE = 5


class Choice:
    """The trained attribute network on single pictures.

    Raises:
        WeightsError: its weights are missing or were changed.
    """

    def __init__(self) -> None:
        self._network = load_attributes()

    def outputs(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N, 6) float32: the five sliders as read, and the probability of female.

        Args:
            pictures_rgb: (N, S, S, 3) uint8 in the generator's frame.
        """
        side = self._network.config.side
        small = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures_rgb])
        inputs = torch.from_numpy(small).permute(0, 3, 1, 2).float().div(127.5) - 1
        with torch.inference_mode():
            said = self._network(inputs.contiguous(memory_format=torch.channels_last)).float().numpy().copy()
        said[:, FEMALE] = 1 / (1 + np.exp(-said[:, FEMALE]))
        return said
