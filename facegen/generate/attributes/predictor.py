"""`AttributePredictor`: sliders and gender of single pictures; and a refit of its gender output."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facegen.generate.attributes.network import AttributeNet, load_attributes
from facegen.generate.attributes.task import FEMALE
from facegen.generate.dataset.packed import PackedFaces

DARKEST, BRIGHTEST = 0.7, 1.3
"""Range of the brightness augmentation, as in the dataset preparation."""
_L2 = 1e-4
"""Weight of the L2 penalty on weights scaled by their features' deviation; best on held-back faces."""


class AttributePredictor:
    """The trained attribute network for batches of pictures.

    Raises:
        WeightsError: its weights are missing or were changed.
    """

    def __init__(self) -> None:
        self._network = load_attributes()

    def predict(self, pictures_rgb: np.ndarray) -> np.ndarray:
        """(N, 6) float32: the five sliders, and the probability of female.

        Args:
            pictures_rgb: (N, S, S, 3) uint8 in the generator's frame.
        """
        side = self._network.config.side
        small = np.stack([cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures_rgb])
        inputs = torch.from_numpy(small).permute(0, 3, 1, 2).float().div(127.5) - 1
        with torch.inference_mode():
            outputs = self._network(inputs.contiguous(memory_format=torch.channels_last)).float().numpy().copy()
        outputs[:, FEMALE] = 1 / (1 + np.exp(-outputs[:, FEMALE]))
        return outputs


def refit_gender(network: AttributeNet, pack: PackedFaces, seed: int = 0) -> None:
    """Fits the gender output of the last layer by logistic regression on the training photographs.

    A training ends underconfident; this calibrates it. The other outputs stay.

    Args:
        network: trained; changed in place.
        pack: with the groups female and male.
        seed: of the brightness augmentation.
    """
    assert isinstance(network.head, nn.Sequential)
    last = network.head[-1]
    assert isinstance(last, nn.Linear)
    labels = np.array([{"female": 1.0, "male": 0.0}.get(group, np.nan) for group in pack.groups])
    indices = np.flatnonzero(np.isfinite(labels) & ~pack.is_held_out())
    random, batches = np.random.default_rng(seed), []
    for part in np.array_split(indices, max(1, len(indices) // 64)):
        pictures = np.asarray(pack.pictures[part, 0])
        factors = random.uniform(DARKEST, BRIGHTEST, (len(part), 1, 1, 1))
        kinds = (pictures, pictures[:, :, ::-1], np.clip(pictures * factors, 0, 255).astype(np.uint8))
        batches.append(torch.stack([_features(network, kind) for kind in kinds], 1))
    features = torch.cat(batches).double()
    target = torch.from_numpy(labels[indices])[:, None].expand(features.shape[:2])
    weights = last.weight[FEMALE].detach().double().clone().requires_grad_()
    bias = last.bias[FEMALE].detach().double().clone().requires_grad_()
    deviation = features.flatten(0, 1).std(0) + 1e-3
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(features @ weights + bias, target)
        loss = loss + _L2 * (weights * deviation).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        last.weight[FEMALE], last.bias[FEMALE] = weights.float(), bias.float()


@torch.no_grad()
def _features(network: AttributeNet, pictures_rgb: np.ndarray) -> torch.Tensor:
    """(N, C) inputs of the last layer for (N, S, S, 3) uint8 pictures of the network's side."""
    inputs = torch.from_numpy(np.ascontiguousarray(pictures_rgb)).permute(0, 3, 1, 2).float().div(127.5) - 1
    assert isinstance(network.head, nn.Sequential)
    h = network.features(inputs.contiguous(memory_format=torch.channels_last))[-1]
    return network.head[:-1](h).float()
