"""How near drawn frames come to held-back ones."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from facegen.talk.dfrf.layers import HEAD, unpainted
from facegen.talk.dfrf.paint import Painter


def head_errors(painter: Painter, frames: Iterable[int]) -> np.ndarray:
    """(N,) mean squared error of each frame inside the head (skin, features, hair, ears), colours in [0, 1]."""
    errors = []
    for index in frames:
        drawn, real = painter.held_back(index), painter.scene.folder.picture("com_imgs", index)
        errors.append(head_error(drawn, real, head_mask(painter, index)))
    return np.array(errors)


def head_mask(painter: Painter, index: int) -> np.ndarray:
    """(H, W) bool: the head in one of the video's frames."""
    return np.asarray(unpainted(painter.scene.folder.picture("parsing", index)) == HEAD)


def head_error(drawn: np.ndarray, real: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared error inside a mask of two (H, W, 3) uint8 pictures, colours in [0, 1]."""
    return float(np.square((drawn[mask].astype(np.float32) - real[mask]) / 255).mean()) + 1e-9
