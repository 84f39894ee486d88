"""Training data of the restorer: degraded photographs, reconstructions and samples of a generator."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.training.augment import add_compression, add_noise, to_float, uniform
from facegen.training.held_out import is_held_out
from facegen.training.pictures import PictureStore
from facegen.training.task import BatchSpec, SampleNames

SIDE = 512
"""Side of the faces that are read, pixels; every other batch sees them at half of it."""
DRAWN_SIDE = 128
"""Side of pictures that a generator draws, pixels."""


class RestorerData:
    """Batches of `degraded` and `pictures`, both (B, 3, crop, crop) in [0, 1], and `is_pair` (B, 1, 1, 1).

    Where `is_pair` is 0, `degraded` is a sample of the generator's prior and `pictures` an unrelated photograph, for the
    adversarial loss only.

    Args:
        folder: pictures of aligned faces. Where it has the folders `drawn/` and `originals/`, files of one name in both
            are pairs («reconstruction -> original»), and every third sample of a batch is such a pair; where it has
            `samples/` too, another third are samples of the prior.
        crop: side of the random crops, pixels.
        device: where batches go.
    """

    def __init__(self, folder: Path, crop: int, device: torch.device) -> None:
        self.crop, self.device = crop, device
        pairs = folder / "drawn"
        originals = folder / "originals" if pairs.is_dir() else folder
        store = PictureStore.read(originals, SIDE)
        self.skipped = store.skipped
        # indices, not copies: the pictures may lie in a file that memory does not hold
        is_held = is_held_out(store.paths)
        self.names = SampleNames.split(store.paths, is_held)
        held = torch.from_numpy(is_held)
        self.train_indices, self.held_out_indices = (~held).nonzero()[:, 0], held.nonzero()[:, 0]
        self.pictures, self.drawn, self.samples = store.pictures, None, None
        if pairs.is_dir():
            drawn = PictureStore.read(pairs, DRAWN_SIDE)
            if [p.stem for p in drawn.paths] != [p.stem for p in store.paths]:
                raise InputError(f"Expected the same names in {pairs} and {originals}, found others; make them again.")
            self.drawn = drawn.pictures
        if (folder / "samples").is_dir():
            self.samples = PictureStore.read(folder / "samples", DRAWN_SIDE).pictures

    def __len__(self) -> int:
        return len(self.train_indices)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Random crops, mirrored at random, with their degraded versions."""
        random, indices = spec.generator, self.train_indices[spec.indices]
        # half the batches see faces at half the size
        side = SIDE // int(torch.randint(1, 3, (), generator=random))
        top, left = (8 * int(torch.randint((side - self.crop) // 8 + 1, (), generator=random)) for _ in range(2))

        def crop(pictures: Tensor) -> Tensor:
            return pictures[..., top : top + self.crop, left : left + self.crop]

        pictures = to_float(self.pictures[indices].to(self.device))
        pictures = crop(F.avg_pool2d(pictures, SIDE // side)).contiguous()
        degraded, is_pair = torch.empty_like(pictures), torch.ones(len(pictures), 1, 1, 1, device=self.device)
        kinds = torch.arange(len(pictures)) % 3
        is_drawn = (kinds == 0) & (self.drawn is not None)
        is_sample = (kinds == 1) & (self.samples is not None)
        is_other = ~is_drawn & ~is_sample
        if self.drawn is not None:
            degraded[is_drawn] = crop(upsample(self.drawn[indices[is_drawn]].to(self.device), side))
        if self.samples is not None:
            chosen = torch.randint(len(self.samples), (int(is_sample.sum()),), generator=random)
            degraded[is_sample] = crop(upsample(self.samples[chosen].to(self.device), side))
            is_pair[is_sample] = 0
        degraded[is_other] = degrade(pictures[is_other], random)
        if bool(torch.rand((), generator=random) < 0.5):
            pictures, degraded = pictures.flip(3), degraded.flip(3)
        return {"pictures": pictures, "degraded": degraded, "is_pair": is_pair}

    def preview(self, count: int) -> tuple[Tensor, Tensor]:
        """(N, 3, 512, 512) held-back faces and their degraded versions: every other one a reconstruction, where there are pairs."""
        chosen = self.held_out_indices[:count]
        pictures = to_float(self.pictures[chosen].to(self.device))
        degraded = degrade(pictures, Generator().manual_seed(0))
        if self.drawn is not None:
            degraded[::2] = upsample(self.drawn[chosen[::2]].to(self.device), SIDE)
        layout = torch.channels_last
        return pictures.contiguous(memory_format=layout), degraded.contiguous(memory_format=layout)


def upsample(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, side, side) in [0, 1] of (B, 3, S, S) uint8, bicubic as in `Restorer`."""
    return F.interpolate(to_float(pictures), size=side, mode="bicubic", align_corners=False).clamp(0, 1)


def degrade(pictures: Tensor, random: Generator) -> Tensor:
    """Random degradation: downsampling to 0.19..0.75 of the side, Gaussian blur, upsampling, noise, JPEG compression."""
    degraded = torch.empty_like(pictures)
    shares = (0.19 * (0.75 / 0.19) ** torch.rand(len(pictures), generator=random)).tolist()
    for index, share in enumerate(shares):
        side = round(share * pictures.shape[2])
        small = F.interpolate(pictures[index : index + 1], size=side, mode="bilinear", antialias=True)
        if share >= 0.37 and bool(torch.rand((), generator=random) < 0.6):
            small = blur(small, float(uniform(1, 0.4, 1.3 if share < 0.6 else 2.0, random)))
        degraded[index] = F.interpolate(small, size=pictures.shape[2], mode="bicubic", align_corners=False)[0]
    degraded = add_noise(degraded.clamp(0, 1), random, share=0.25, largest=0.03)
    return add_compression(degraded, random, share=0.25)


def blur(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (B, 3, H, W) with a 9x9 window; sigma in pixels."""
    offsets = torch.arange(-4, 5, device=pictures.device, dtype=pictures.dtype)
    window = torch.exp(-offsets.square() / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, 1, 9)
    padded = F.pad(pictures, (4, 4, 4, 4), mode="replicate")
    return F.conv2d(F.conv2d(padded, window, groups=3), window.transpose(2, 3), groups=3)
