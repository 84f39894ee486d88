"""`Latents`: everything about faces that the sliders do not set, and the photographs that they were encoded from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from facegen.generate.sliders import Sliders


@dataclass(frozen=True, eq=False, kw_only=True)
class Latents:
    """The latent variables of B faces."""

    texture: Tensor
    """(B, K) codes of the linear prior, of about unit variance over the data."""
    shapes: np.ndarray
    """(B, 468, 3) float32 neutral shapes, pixels of the 256-pixel frame."""
    noises: tuple[Tensor, ...]
    """Standard normal noise of the latent groups, coarse to fine."""
    seeds: tuple[int, ...]
    """Seeds of the retoucher's noise."""
    photographs: CanonicalPhotos | None = None
    """The photographs that they were encoded from, or the retouched drawings."""

    def __len__(self) -> int:
        return len(self.texture)

    def take(self, indices: Sequence[int]) -> Latents:
        """The faces at these indices, in this order; indices may repeat."""
        chosen = list(indices)
        return Latents(
            texture=self.texture[chosen],
            shapes=self.shapes[chosen],
            noises=tuple(n[chosen] for n in self.noises),
            seeds=tuple(self.seeds[index] for index in chosen),
            photographs=None if self.photographs is None else self.photographs.take(chosen),
        )

    def mix(self, other: Latents, weight: float) -> Latents:
        """Linear interpolation to other faces; retouched photographs are dropped.

        Args:
            other: as many faces.
            weight: 0 gives these faces, 1 the others; values outside 0..1 extrapolate.
        """
        share = min(1.0, max(0.0, weight))
        photographs = self.photographs
        return Latents(
            texture=torch.lerp(self.texture, other.texture, weight),
            shapes=(self.shapes + weight * (other.shapes - self.shapes)).astype(np.float32),
            noises=tuple(torch.lerp(a, b, weight) for a, b in zip(self.noises, other.noises, strict=True)),
            seeds=self.seeds if share < 0.5 else other.seeds,
            photographs=photographs and photographs.inherit(1 - share),
        )

    @classmethod
    def concat(cls, parts: Sequence[Latents]) -> Latents:
        """Several batches as one."""
        photographs = [p.photographs for p in parts if p.photographs is not None]
        return cls(
            texture=torch.cat([p.texture for p in parts]),
            shapes=np.concatenate([p.shapes for p in parts]),
            noises=tuple(torch.cat(n) for n in zip(*(p.noises for p in parts), strict=True)),
            seeds=tuple(seed for p in parts for seed in p.seeds),
            photographs=CanonicalPhotos.concat(photographs) if len(photographs) == len(parts) else None,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class CanonicalPhotos:
    """B photographs, or retouched drawings, warped into the canonical frame."""

    maps: np.ndarray
    """(B, 256, 256, 5) float32: RGB, hair alpha, background alpha, all 0..1."""
    latents: Latents
    """The faces as encoded, with the mean shape."""
    sliders: tuple[Sliders, ...]
    """The sliders' values of the photographs as they are."""
    lips: tuple[float, ...]
    """Lip gap of the photographs, eye distances."""
    share: float = 1.0
    """Opacity of the photographs over the drawn face, 0..1: below 1 in a mixture with other faces."""
    is_retouch: bool = False
    """Whether the retoucher made them from drawings."""

    def inherit(self, share: float = 1.0) -> CanonicalPhotos | None:
        """The photographs for changed latents, their opacity multiplied; None for a retouch, which has to be made anew."""
        return None if self.is_retouch else replace(self, share=share * self.share)

    def take(self, indices: Sequence[int]) -> CanonicalPhotos:
        """The photographs at these indices."""
        return replace(
            self,
            maps=self.maps[list(indices)],
            latents=self.latents.take(indices),
            sliders=tuple(self.sliders[index] for index in indices),
            lips=tuple(self.lips[index] for index in indices),
        )

    @classmethod
    def concat(cls, parts: Sequence[CanonicalPhotos]) -> CanonicalPhotos:
        """Several batches as one."""
        return cls(
            maps=np.concatenate([part.maps for part in parts]),
            latents=Latents.concat([part.latents for part in parts]),
            sliders=tuple(one for part in parts for one in part.sliders),
            lips=tuple(one for part in parts for one in part.lips),
            share=min(part.share for part in parts),
            is_retouch=parts[0].is_retouch,
        )
