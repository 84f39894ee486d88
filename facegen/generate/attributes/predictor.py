"""The choice of training data, and the five input models' outputs for whole folders."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facegen.generate.attributes.network import AttributeNet
from facegen.generate.attributes.task import FEMALE
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.weights import load_attributes

DARKEST, BRIGHTEST = 0.7, 1.3
"""Brightness that pictures are given beside their own, as the dataset line does."""
_PULL = 1e-4
"""Weight of the squared weights, in units of their features' spread: the best on held-back faces."""


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


def refit_choice(network: AttributeNet, pack: PackedFaces, seed: int = 0) -> None:
    """Fits the last layer's answer to female or male anew, by logistic regression on all photographs that train.

    Steps of a training leave it less sure than it is right; the other answers stay as they are.

    Args:
        network: as trained; its choice changes in place.
        pack: with the folders female/ and male/.
        seed: of brightness.
    """
    assert isinstance(network.head, nn.Sequential)
    last = network.head[-1]
    assert isinstance(last, nn.Linear)
    answers = np.array([{"female": 1.0, "male": 0.0}.get(group, np.nan) for group in pack.groups])
    places = np.flatnonzero(np.isfinite(answers) & ~pack.held_back())
    random, found = np.random.default_rng(seed), []
    for part in np.array_split(places, max(1, len(places) // 64)):
        seen = np.asarray(pack.pictures[part, 0])
        factors = random.uniform(DARKEST, BRIGHTEST, (len(part), 1, 1, 1))
        kinds = (seen, seen[:, :, ::-1], np.clip(seen * factors, 0, 255).astype(np.uint8))
        found.append(torch.stack([_features(network, kind) for kind in kinds], 1))
    features = torch.cat(found).double()
    wanted = torch.from_numpy(answers[places])[:, None].expand(features.shape[:2])
    weights = last.weight[FEMALE].detach().double().clone().requires_grad_()
    bias = last.bias[FEMALE].detach().double().clone().requires_grad_()
    spread = features.flatten(0, 1).std(0) + 1e-3
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(features @ weights + bias, wanted)
        loss = loss + _PULL * (weights * spread).square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        last.weight[FEMALE], last.bias[FEMALE] = weights.float(), bias.float()


@torch.no_grad()
def _features(network: AttributeNet, pictures_rgb: np.ndarray) -> torch.Tensor:
    """(N, C) what the last layer sees of (N, S, S, 3) uint8 pictures of the network's side."""
    inputs = torch.from_numpy(np.ascontiguousarray(pictures_rgb)).permute(0, 3, 1, 2).float().div(127.5) - 1
    assert isinstance(network.head, nn.Sequential)
    h = network.features(inputs.contiguous(memory_format=torch.channels_last))[-1]
    return network.head[:-1](h).float()
