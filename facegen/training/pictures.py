"""Pictures for training: listed in a folder, decoded once, resized to one size, kept in memory or in a memory-mapped file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor

from facegen.errors import InputError, ResourceError
from facegen.media.pillow import open_image

LARGEST_SHARE = 0.5
"""Share of the free memory that pictures may take."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")


def find_pictures(folder: Path) -> list[Path]:
    """Picture files below a folder, by their suffix, in sorted order.

    Skips hidden folders and the masks of facesets.

    Raises:
        InputError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"Expected a folder of pictures at {folder}, found no folder there; check the path.")
    pictures = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and _is_sample(p, folder))
    if not pictures:
        raise InputError(f"Expected pictures in {folder}, found none; choose another data folder.")
    return pictures


def _is_sample(path: Path, folder: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    is_mask = path.parent.name == "masks" and (path.parent.parent / "metadata.jsonl").exists()
    return not is_hidden and not is_mask and path.is_file()


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureStore:
    """(N, 3, S, S) uint8 RGB pictures, with their paths and the names of files that could not be read."""

    pictures: Tensor
    paths: tuple[Path, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Tensor) -> Tensor:
        """(B, 3, S, S) uint8: the pictures of these indices."""
        return self.pictures[indices]

    @classmethod
    def read(cls, folder: Path, size: int) -> PictureStore:
        """Reads every picture below a folder: its centre square, resized to `size`.

        Raises:
            InputError: no readable picture is there.
            ResourceError: they fit neither into memory nor onto the disk.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        candidates = find_pictures(folder)
        stack = _allocate(len(candidates), size)
        paths: list[Path] = []
        skipped: list[str] = []
        for path in candidates:
            try:
                with open_image(path) as image:
                    # JPEG decodes straight to about the size needed, several times quicker
                    image.draft("RGB", (2 * size, 2 * size))
                    square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
            except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
                skipped.append(path.name)
                continue
            stack[len(paths)] = np.asarray(square)
            paths.append(path)
        if not paths:
            raise InputError(f"Expected readable pictures in {folder}, found {len(skipped)} that cannot be read.")
        pictures = torch.from_numpy(stack[: len(paths)]).permute(0, 3, 1, 2)
        return cls(pictures=pictures, paths=tuple(paths), skipped=tuple(skipped))


def _allocate(count: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8 in memory; in a memory-mapped temporary file if they exceed half of the free memory."""
    shape = (count, size, size, 3)
    if count * size * size * 3 < psutil.virtual_memory().available * LARGEST_SHARE:
        return np.empty(shape, np.uint8)
    try:
        with tempfile.NamedTemporaryFile(prefix="facegen-pictures-") as file:
            # the file is unlinked at once; its space is freed with the mapping
            os.posix_fallocate(file.fileno(), 0, count * size * size * 3)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise ResourceError(
            f"{count} pictures of {size} pixels fit neither into memory nor onto the disk; train on fewer or smaller "
            "ones."
        ) from error
