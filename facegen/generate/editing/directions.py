"""Further sliders: directions in latent space that change one measured score (as in InterFaceGAN, arXiv:1907.10786).

Each is the gradient of a ridge regression of the score on the codes, orthogonalised against the other gradients (dual
basis), so that moving along one keeps the others' scores. Codes have about unit variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen.errors import InputError

if TYPE_CHECKING:
    from facegen.generate.dataset.packed import PackedFaces
    from facegen.generate.model.latents import Latents

NAMES = ("smile", "face width", "nose width", "nose length", "skin", "feminine")
MAX_STEP = 6.0
"""Largest step in either direction; beyond it no face is drawn."""
_RIDGE = 0.1
"""Weight of the gradient's squared length beside the mean squared error."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Directions:
    """Directions by name: texture (D, K) and shape (D, 1404) parts of a step of one deviation of the score."""

    names: tuple[str, ...]
    texture: np.ndarray
    shape: np.ndarray

    @classmethod
    def load(cls) -> Directions:
        """The bundled directions.

        Raises:
            WeightsError: they are missing.
        """
        from safetensors.numpy import load_file

        from facegen import hub
        from facegen.generate.weights import DIRECTIONS

        found = load_file(hub.fetch(DIRECTIONS))
        return cls(names=NAMES, texture=found["texture"].astype(np.float32), shape=found["shape"].astype(np.float32))

    def save(self, path: Path) -> None:
        """Writes `directions.safetensors` in half precision."""
        from safetensors.numpy import save_file

        # safetensors writes an array's memory as it lies
        halves = {name: np.ascontiguousarray(getattr(self, name), np.float16) for name in ("texture", "shape")}
        save_file(halves, path)

    def apply(self, latents: Latents, steps: Mapping[str, float]) -> Latents:
        """Moves faces along directions; retouched photographs are dropped.

        Args:
            latents: the faces.
            steps: step by name of a direction, -6 to 6.

        Raises:
            InputError: there is no direction of that name, or a step is too large.
        """
        import torch

        texture, shapes = latents.texture.clone(), latents.shapes.copy()
        for name, step in steps.items():
            if name not in self.names:
                raise InputError(f"Expected a direction of {', '.join(self.names)}, found {name!r}.")
            if not abs(step) <= MAX_STEP:
                raise InputError(f"Expected a step between {-MAX_STEP:g} and {MAX_STEP:g} for {name}, found {step:g}.")
            index = self.names.index(name)
            texture += step * torch.from_numpy(self.texture[index]).to(texture)
            shapes += step * self.shape[index].reshape(468, 3)
        photographs = latents.photographs
        return replace(latents, texture=texture, shapes=shapes, photographs=photographs and photographs.inherit())


def measure_scores(pack: PackedFaces) -> np.ndarray:
    """(N, 6) the measured score of each direction, in the order of `NAMES`; NaN where unknown."""
    shapes = np.asarray(pack.shapes, np.float32)

    def span(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(shapes[:, a] - shapes[:, b], axis=1)

    eyes = np.linalg.norm(shapes[:, [33, 133]].mean(1) - shapes[:, [362, 263]].mean(1), axis=1)
    lifted = shapes[:, [0, 17], 1].mean(1) - shapes[:, [61, 291], 1].mean(1)
    cheeks = np.asarray(pack.canonical)[:, 72:84, 40:50, :3].astype(np.float32).mean((1, 2)) @ (0.299, 0.587, 0.114)
    feminine = np.array([{"female": 1.0, "male": 0.0}.get(group, np.nan) for group in pack.groups])
    return np.stack(
        [
            lifted / eyes + 0.5 * span(61, 291) / eyes, span(234, 454) / span(10, 152), span(48, 278) / eyes,
            span(168, 2) / eyes, cheeks, feminine,
        ],
        1,
    )  # fmt: skip


def fit_directions(pack: PackedFaces, texture: np.ndarray, shape: np.ndarray, shape_axes: np.ndarray) -> Directions:
    """Fits the directions to a dataset encoded by a generator, without its held-back faces; write them with `Directions.save`.

    Args:
        pack: the dataset.
        texture: (N, K) the faces' texture codes (`VaeNetwork.encode_texture`).
        shape: (N, L) their shape codes (`VaeNetwork.encode_shapes`).
        shape_axes: (L, 1404) the generator's principal axes of shapes.
    """
    codes, is_trained = np.concatenate([texture, shape], 1), ~pack.is_held_out()
    gradients = []
    for values in measure_scores(pack).T:
        known = is_trained & np.isfinite(values)
        rows, target = codes[known] - codes[known].mean(0), values[known] - values[known].mean()
        gradient = np.linalg.solve(rows.T @ rows + _RIDGE * len(rows) * np.eye(rows.shape[1]), rows.T @ target)
        gradients.append(gradient / np.linalg.norm(gradient))
    # dual basis: moving along one direction keeps the others' scores
    dual = np.linalg.pinv(np.array(gradients)).T
    steps = dual * np.minimum(1.0, 2.0 / np.linalg.norm(dual, axis=1))[:, None]
    split = texture.shape[1]
    return Directions(
        names=NAMES,
        texture=steps[:, :split].astype(np.float32),
        shape=(steps[:, split:] @ shape_axes).astype(np.float32),
    )
