"""Further sliders: directions in the latents along which one measured score changes (InterFaceGAN, arXiv:1907.10786).

Each is the normal of a linear boundary between the faces that score highest and lowest, with what it shares with the
other directions taken out, so that one moves and the others stay. Codes have unit variance: one step is one deviation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facegen.errors import InputError

if TYPE_CHECKING:
    from facegen.generate.dataset.packed import PackedFaces
    from facegen.generate.model.latents import Latents

NAMES = ("smile", "face width", "nose width", "nose length", "skin", "feminine")
MOST = 6.0
"""The largest step either way; beyond lie no faces."""
_EXTREME = 0.2
"""Share of the faces at either end between which the boundary is drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Directions:
    """Unit directions by name: texture (D, K) and shape (D, 1404) parts of a step of one deviation of the score."""

    names: tuple[str, ...]
    texture: np.ndarray
    shape: np.ndarray

    @classmethod
    def load(cls) -> Directions:
        """The bundled ones.

        Raises:
            WeightsError: they are missing.
        """
        from safetensors.numpy import load_file

        from facegen import hub
        from facegen.generate.weights import DIRECTIONS

        found = load_file(hub.fetch(DIRECTIONS))
        return cls(names=NAMES, texture=found["texture"].astype(np.float32), shape=found["shape"].astype(np.float32))

    def save(self, path: Path) -> None:
        """Writes them in half precision."""
        from safetensors.numpy import save_file

        # safetensors writes an array's memory as it lies
        halves = {name: np.ascontiguousarray(getattr(self, name), np.float16) for name in ("texture", "shape")}
        save_file(halves, path)

    def moved(self, latents: Latents, steps: dict[str, float]) -> Latents:
        """The faces moved along some directions; those that were retouched have to be again.

        Raises:
            InputError: there is no direction of that name, or a step leads where there are no faces.
        """
        import torch

        texture, shapes = latents.texture.clone(), latents.shapes.copy()
        for name, step in steps.items():
            if name not in self.names:
                raise InputError(f"Expected a direction of {', '.join(self.names)}, found {name!r}.")
            if not abs(step) <= MOST:
                raise InputError(f"Expected a step between {-MOST:g} and {MOST:g} for {name}, found {step:g}.")
            place = self.names.index(name)
            texture += step * torch.from_numpy(self.texture[place]).to(texture)
            shapes += step * self.shape[place].reshape(468, 3)
        known = latents.photographs
        return replace(latents, texture=texture, shapes=shapes, photographs=known and known.kept())


def scores(pack: PackedFaces) -> np.ndarray:
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


def find_directions(pack: PackedFaces, texture: np.ndarray, shape: np.ndarray, shape_axes: np.ndarray) -> Directions:
    """Directions for a generator's codes.

    Args:
        pack: the dataset.
        texture: (N, K) the faces' texture codes.
        shape: (N, L) their shape codes.
        shape_axes: (L, 1404) what a shape code does.
    """
    from sklearn.svm import LinearSVC

    codes = np.concatenate([texture, shape], 1)
    normals = []
    for values in scores(pack).T:
        known = np.flatnonzero(np.isfinite(values))
        order = known[np.argsort(values[known], kind="stable")]
        count = max(2, round(_EXTREME * len(order)))
        chosen = np.concatenate([order[:count], order[-count:]])
        # so soft a margin that all of the extremes count: a hard one finds codes that tell but cannot be seen
        boundary = LinearSVC(C=1e-5, max_iter=5000).fit(codes[chosen], np.repeat([0, 1], count))
        normals.append(boundary.coef_[0] / np.linalg.norm(boundary.coef_[0]))
    # the dual basis: moving along one leaves the others' scores where they are
    gram = np.array(normals)
    free = np.linalg.pinv(gram).T
    steps = free * np.minimum(1.0, 2.0 / np.linalg.norm(free, axis=1))[:, None]
    split = texture.shape[1]
    return Directions(
        names=NAMES,
        texture=steps[:, :split].astype(np.float32),
        shape=(steps[:, split:] @ shape_axes).astype(np.float32),
    )
