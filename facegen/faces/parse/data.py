"""The parser's training data: CelebAMask-like folders, held in RAM, augmented in batches."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facegen.errors import InputError
from facegen.faces.parse import BACKGROUND, FLIPPED, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from facegen.faces.parse.occluders import add_occluders
from facegen.training.augment import (
    AffineRange,
    add_compression,
    add_noise,
    affine_grids,
    jitter_colour,
    lower_resolution,
    sample_labels,
    sample_pictures,
    to_float,
)
from facegen.training.task import BatchSpec, SampleNames

HELD_BACK_SHARE = 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledPictures:
    """Pictures with a class for each pixel, uint8, decoded once.

    pictures: (N, 3, S, S) RGB; labels: (N, S, S) class numbers; names: file stems.
    """

    pictures: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: list[int]) -> LabelledPictures:
        """The pictures of these indices."""
        return LabelledPictures(
            pictures=self.pictures[chosen], labels=self.labels[chosen], names=tuple(self.names[i] for i in chosen)
        )


def read_labelled(folder: str | Path, size: int = 256) -> tuple[LabelledPictures, tuple[str, ...]]:
    """Reads `images/*.jpg|png` with their `masks/<stem>.png` (palette or grey, class numbers as values).

    Args:
        folder: holds `images` and `masks`.
        size: side of the square to which they are brought, pixels.

    Returns:
        The pictures, and the names of files that were skipped because they, or their mask, cannot be read.

    Raises:
        InputError: no usable pair is there.
    """
    from PIL import Image, UnidentifiedImageError

    folder = Path(folder)
    pictures, labels, names, skipped = [], [], [], []
    files = sorted((folder / "images").glob("*")) if (folder / "images").is_dir() else []
    for file in files:
        mask_file = folder / "masks" / f"{file.stem}.png"
        try:
            with Image.open(file) as image, Image.open(mask_file) as mask:
                if mask.mode not in ("P", "L"):
                    raise ValueError(f"mask of mode {mask.mode}")
                label = np.asarray(mask.resize((size, size), Image.Resampling.NEAREST))
                if label.max() >= len(FLIPPED):
                    raise ValueError(f"class {label.max()}")
                picture = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
        except (OSError, ValueError, UnidentifiedImageError):
            skipped.append(file.name)
            continue
        pictures.append(picture)
        labels.append(correct_sides(label))
        names.append(file.stem)
    if not names:
        raise InputError(
            f"Expected pictures in {folder / 'images'} with class masks of the same name in {folder / 'masks'}, "
            f"found none that can be used ({len(skipped)} of {len(files)} skipped)."
        )
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    data = LabelledPictures(pictures=stacked, labels=torch.from_numpy(np.stack(labels)), names=tuple(names))
    return data, tuple(skipped)


def correct_sides(labels: np.ndarray) -> np.ndarray:
    """Class map of an upright face with left and right classes on the sides where they belong.

    One in fifteen masks of the local CelebAMask-HQ files belongs to a mirrored picture, with its classes not exchanged; a
    network trained on both kinds cannot tell left from right.

    Args:
        labels: (H, W) class numbers.

    Returns:
        The same, or a copy with left and right classes exchanged.
    """
    columns = [np.nonzero(np.isin(labels, side))[1] for side in ((LEFT_EYE, LEFT_BROW), (RIGHT_EYE, RIGHT_BROW))]
    left, right = columns
    if not len(left) or not len(right) or left.mean() >= right.mean():
        return labels
    return np.asarray(FLIPPED, labels.dtype)[labels]


def split(data: LabelledPictures) -> tuple[LabelledPictures, LabelledPictures]:
    """Splits into training and held-back pictures by the hash of their names: the same on every machine."""
    order = sorted(range(len(data)), key=lambda i: sha256(data.names[i].encode()).hexdigest())
    held = max(1, round(len(data) * HELD_BACK_SHARE))
    return data.take(sorted(order[held:] or order)), data.take(sorted(order[:held]))


class ParserData:
    """Augmented batches: `pictures` (B, 3, s, s) in [0, 1] and `labels` (B, t, t) int64."""

    def __init__(
        self,
        data: LabelledPictures,
        held_back: LabelledPictures,
        *,
        early_size: int,
        final_size: int,
        final_share: float,
        device: torch.device,
        skipped: tuple[str, ...] = (),
    ) -> None:
        self.data, self.held_back, self.skipped = data, held_back, skipped
        self.names = SampleNames(learned=data.names, held_back=held_back.names)
        self.early_size = early_size
        self.final_size = final_size
        self.final_share = final_share
        self.device = device

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """One augmented batch; small with half-size labels early on, full-size at the end (it is quicker so)."""
        is_final = spec.progress >= 1 - self.final_share
        size = self.final_size if is_final else self.early_size
        label_size = size if is_final else size // 2
        random = spec.generator
        pictures = to_float(self.data.pictures[spec.indices].to(self.device))
        labels = self.data.labels[spec.indices].to(self.device)
        labels = _flip_some(pictures, labels, random)
        matrices = AffineRange(rotation_deg=15.0, scale=1.25, shift=0.07).draw(len(pictures), random).to(self.device)
        fill = ("border", "reflection")[int(torch.randint(2, (), generator=random))]
        pictures = sample_pictures(pictures, affine_grids(matrices, size), fill)
        labels = sample_labels(labels, affine_grids(matrices, label_size), fill)
        pictures = mix_backgrounds(pictures, labels, random, share=0.4)
        pictures, labels = add_occluders(pictures, labels, random)
        pictures = jitter_colour(pictures, random)
        pictures = lower_resolution(pictures, random, share=0.4, largest=6.0)
        pictures = add_noise(pictures, random, share=0.4, largest=0.05)
        return {"pictures": add_compression(pictures, random, share=0.4), "labels": labels}


def mix_backgrounds(pictures: Tensor, labels: Tensor, random: torch.Generator, *, share: float) -> Tensor:
    """Puts the next picture's background behind the people of a share of the batch, where both are background.

    Hair and clothes are then seen before many more grounds than were photographed, and each ground stays a real one.

    Args:
        pictures: (B, 3, S, S) RGB in [0, 1].
        labels: (B, T, T) class numbers; T may differ from S.
        random: CPU generator.
        share: of the batch, 0..1.
    """
    chosen = (torch.rand(len(pictures), generator=random) < share).to(pictures.device)
    is_ground = labels == BACKGROUND
    both = (is_ground & is_ground.roll(1, 0) & chosen[:, None, None]).float()[:, None]
    soft = F.interpolate(both, size=pictures.shape[2:], mode="nearest")
    soft = F.avg_pool2d(soft, 3, 1, 1, count_include_pad=False)
    return torch.lerp(pictures, pictures.roll(1, 0), soft)


def _flip_some(pictures: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors about half of the pictures in place; returns the labels with left and right classes exchanged."""
    flipped = (torch.rand(len(pictures), generator=random) < 0.5).to(pictures.device)
    pictures[flipped] = pictures[flipped].flip(3)
    exchange = torch.tensor(FLIPPED, device=labels.device)
    labels = labels.long()
    labels[flipped] = exchange[labels[flipped].flip(2)]
    return labels
