"""What the restorer learns from: faces that were damaged, and faces as a generator draws them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.training.augment import add_compression, add_noise, to_float, uniform
from facegen.training.pictures import PictureStore
from facegen.training.task import Draw

SIDE = 256
DRAWN_SIDE = 128
"""Side of pictures as a generator draws them."""


class RestorerData:
    """Batches of `damaged` and `pictures`, both (B, 3, crop, crop) in [0, 1], and `is_pair` (B, 1, 1, 1).

    Where `is_pair` is 0, `damaged` is a sample, a face of nobody, and `pictures` some photograph to compare it with.

    Args:
        folder: pictures of aligned faces. Where it has the folders `drawn/` and `originals/`, files of one name in both
            are pairs («reconstruction -> original»), and every third sample of a batch is such a pair; where it has
            `samples/` too, another third is drawn from nobody's codes.
        crop: side of the pieces.
        device: where batches go.
    """

    def __init__(self, folder: Path, crop: int, device: torch.device) -> None:
        self.crop, self.device = crop, device
        pairs = folder / "drawn"
        originals = folder / "originals" if pairs.is_dir() else folder
        store = PictureStore.read(originals, SIDE)
        self.skipped = store.skipped
        held = max(1, len(store) // 12)
        self.held_back, self.pictures = store.pictures[:held], store.pictures[held:]
        self.drawn, self.drawn_held_back, self.samples = None, None, None
        if pairs.is_dir():
            drawn = PictureStore.read(pairs, DRAWN_SIDE)
            if [p.stem for p in drawn.paths] != [p.stem for p in store.paths]:
                raise InputError(f"Expected the same names in {pairs} and {originals}, found others; make them again.")
            self.drawn_held_back, self.drawn = drawn.pictures[:held], drawn.pictures[held:]
        if (folder / "samples").is_dir():
            self.samples = PictureStore.read(folder / "samples", DRAWN_SIDE).pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, draw: Draw) -> dict[str, Tensor]:
        """Random pieces, mirrored at random, damaged."""
        random = draw.generator
        pictures = to_float(self.pictures[draw.indices].to(self.device))
        damaged, is_pair = torch.empty_like(pictures), torch.ones(len(pictures), 1, 1, 1, device=self.device)
        kinds = torch.arange(len(pictures)) % 3
        is_drawn = (kinds == 0) & (self.drawn is not None)
        is_sample = (kinds == 1) & (self.samples is not None)
        is_other = ~is_drawn & ~is_sample
        if self.drawn is not None:
            damaged[is_drawn] = enlarged(self.drawn[draw.indices[is_drawn]].to(self.device))
        if self.samples is not None:
            chosen = torch.randint(len(self.samples), (int(is_sample.sum()),), generator=random)
            damaged[is_sample] = enlarged(self.samples[chosen].to(self.device))
            is_pair[is_sample] = 0
        damaged[is_other] = damage(pictures[is_other], random)
        if bool(torch.rand((), generator=random) < 0.5):
            pictures, damaged = pictures.flip(3), damaged.flip(3)
        top, left = (8 * int(torch.randint((SIDE - self.crop) // 8 + 1, (), generator=random)) for _ in range(2))
        rows, columns = slice(top, top + self.crop), slice(left, left + self.crop)
        pieces = {"pictures": pictures[..., rows, columns], "damaged": damaged[..., rows, columns].contiguous()}
        return pieces | {"is_pair": is_pair}

    def shown(self, count: int) -> tuple[Tensor, Tensor]:
        """Held-back faces (N, 3, 256, 256) and the same damaged: every other one as drawn, where there are pairs."""
        pictures = to_float(self.held_back[:count].to(self.device))
        damaged = damage(pictures, Generator().manual_seed(0))
        if self.drawn_held_back is not None:
            damaged[::2] = enlarged(self.drawn_held_back[:count:2].to(self.device))
        layout = torch.channels_last
        return pictures.contiguous(memory_format=layout), damaged.contiguous(memory_format=layout)


def enlarged(drawn: Tensor) -> Tensor:
    """(B, 3, 256, 256) in [0, 1] of (B, 3, S, S) uint8, as `Restorer` enlarges."""
    return F.interpolate(to_float(drawn), size=SIDE, mode="bicubic", align_corners=False).clamp(0, 1)


def damage(pictures: Tensor, random: Generator) -> Tensor:
    """Faces as they come from small pictures and from generators: shrunk, blurred, noisy, compressed."""
    damaged = torch.empty_like(pictures)
    sides = (48 + 8 * torch.randint(13, (len(pictures),), generator=random)).tolist()
    for place, side in enumerate(sides):
        small = F.interpolate(pictures[place : place + 1], size=side, mode="bilinear", antialias=True)
        if side >= 96 and bool(torch.rand((), generator=random) < 0.5):
            small = blur(small, float(uniform(1, 0.4, 1.3, random)))
        damaged[place] = F.interpolate(small, size=pictures.shape[2], mode="bicubic", align_corners=False)[0]
    damaged = add_noise(damaged.clamp(0, 1), random, share=0.25, largest=0.03)
    return add_compression(damaged, random, share=0.25)


def blur(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 3, H, W)."""
    places = torch.arange(-4, 5, device=pictures.device, dtype=pictures.dtype)
    window = torch.exp(-places.square() / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, 1, 9)
    padded = F.pad(pictures, (4, 4, 4, 4), mode="replicate")
    return F.conv2d(F.conv2d(padded, window, groups=3), window.transpose(2, 3), groups=3)
