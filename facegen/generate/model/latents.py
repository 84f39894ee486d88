"""`Latents`: what tells one face from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facegen.generate.editing.photograph import Photographs


@dataclass(frozen=True, eq=False, kw_only=True)
class Latents:
    """Everything about B faces that the sliders do not say."""

    texture: Tensor
    """(B, K) codes, of about unit variance over the data."""
    shapes: np.ndarray
    """(B, 468, 3) float32 the people's shapes, pixels of the 256-pixel frame."""
    noises: tuple[Tensor, ...]
    """Of the deep groups, coarse to fine."""
    seeds: tuple[int, ...]
    """Of what a retouch draws anew."""
    photographs: Photographs | None = None
    """What they were encoded from, or what a retouch has made of them."""

    def __len__(self) -> int:
        return len(self.texture)

    def take(self, places: Sequence[int]) -> Latents:
        """Some of the faces, in this order; places may repeat."""
        chosen = list(places)
        return Latents(
            texture=self.texture[chosen],
            shapes=self.shapes[chosen],
            noises=tuple(n[chosen] for n in self.noises),
            seeds=tuple(self.seeds[place] for place in chosen),
            photographs=None if self.photographs is None else self.photographs.take(chosen),
        )

    def mixed(self, other: Latents, part: float) -> Latents:
        """Between these faces (0) and others (1), or beyond them; a face that was retouched has to be again."""
        share = min(1.0, max(0.0, part))
        known = self.photographs
        return Latents(
            texture=torch.lerp(self.texture, other.texture, part),
            shapes=(self.shapes + part * (other.shapes - self.shapes)).astype(np.float32),
            noises=tuple(torch.lerp(a, b, part) for a, b in zip(self.noises, other.noises, strict=True)),
            seeds=self.seeds if share < 0.5 else other.seeds,
            photographs=known and known.kept(1 - share),
        )

    @classmethod
    def joined(cls, parts: Sequence[Latents]) -> Latents:
        """Several groups of faces as one."""
        known = [p.photographs for p in parts if p.photographs is not None]
        return cls(
            texture=torch.cat([p.texture for p in parts]),
            shapes=np.concatenate([p.shapes for p in parts]),
            noises=tuple(torch.cat(n) for n in zip(*(p.noises for p in parts), strict=True)),
            seeds=tuple(seed for p in parts for seed in p.seeds),
            photographs=Photographs.joined(known) if len(known) == len(parts) else None,
        )
