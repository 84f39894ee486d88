"""`Latents`: what tells one face from another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from facegen.generate.photograph import Photographs
from facegen.generate.surroundings import Around


@dataclass(frozen=True, eq=False, kw_only=True)
class Latents:
    """Everything about B faces that the sliders do not say."""

    texture: Tensor
    """(B, K) codes, of about unit variance over the data."""
    shapes: np.ndarray
    """(B, 468, 3) float32 the people's shapes, pixels of the 256-pixel frame."""
    noises: tuple[Tensor, ...]
    """Of the deep groups, coarse to fine."""
    photographs: Photographs | None = None
    """What they were encoded from."""
    fine: np.ndarray | None = None
    """(B, 128, 128, 3) float32 the same for new faces: detail that the retouch adds (`skin`)."""
    around: Around | None = None
    """Strands and bodies that the retouch gives to new faces."""

    def __len__(self) -> int:
        return len(self.texture)

    def take(self, places: Sequence[int]) -> Latents:
        """Some of the faces, in this order; places may repeat."""
        chosen = list(places)
        return Latents(
            texture=self.texture[chosen],
            shapes=self.shapes[chosen],
            noises=tuple(n[chosen] for n in self.noises),
            photographs=None if self.photographs is None else self.photographs.take(chosen),
            fine=None if self.fine is None else self.fine[chosen],
            around=None if self.around is None else self.around.take(chosen),
        )

    def mixed(self, other: Latents, part: float) -> Latents:
        """Between these faces (0) and others (1), or beyond them."""
        share = min(1.0, max(0.0, part))
        known = self.photographs
        both = self.fine is not None and other.fine is not None
        return Latents(
            texture=torch.lerp(self.texture, other.texture, part),
            shapes=(self.shapes + part * (other.shapes - self.shapes)).astype(np.float32),
            noises=tuple(torch.lerp(a, b, part) for a, b in zip(self.noises, other.noises, strict=True)),
            photographs=known and replace(known, share=(1 - share) * known.share),
            fine=self.fine + share * (other.fine - self.fine) if both else None,  # type: ignore[operator]
            around=self.around.mixed(other.around, share) if self.around and other.around else None,
        )

    @classmethod
    def joined(cls, parts: Sequence[Latents]) -> Latents:
        """Several groups of faces as one."""
        known = [p.photographs for p in parts if p.photographs is not None]
        fine = [p.fine for p in parts if p.fine is not None]
        around = [p.around for p in parts if p.around is not None]
        return cls(
            texture=torch.cat([p.texture for p in parts]),
            shapes=np.concatenate([p.shapes for p in parts]),
            noises=tuple(torch.cat(n) for n in zip(*(p.noises for p in parts), strict=True)),
            photographs=Photographs.joined(known) if len(known) == len(parts) else None,
            fine=np.concatenate(fine) if len(fine) == len(parts) else None,
            around=Around.joined(around) if len(around) == len(parts) else None,
        )
