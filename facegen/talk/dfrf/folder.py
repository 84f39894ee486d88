"""The folder that a video is prepared into; names are those of the DFRF reference, so that its users find their way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from facegen import config, media
from facegen.errors import InputError

FEATURES_AT_ONCE = 16
"""Rows of sound features, a 50th of a second apart, that say one frame; as in the reference's aud.npy."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What is done in a folder, and from what; written after every step."""

    FORMAT: ClassVar[int] = 1

    video: str
    """Name of the video."""
    size_bytes: int
    """Size of its file: another video of that name is not taken for it."""
    frame_count: int
    """Frames prepared."""
    frame_rate: float
    """Frames a second."""
    train_frames: int
    """Frames trained on, the first ones; the others are held back."""
    scale: float = 1.0
    """What sides of the video's frames were multiplied by: larger ones than needed cost time alone."""
    done: tuple[str, ...] = ()
    """Names of the finished steps."""


@dataclass(frozen=True)
class PreparedFolder:
    """Paths and arrays of one prepared video."""

    path: Path

    @property
    def steps(self) -> Steps:
        """What is done here.

        Raises:
            InputError: nothing was prepared here.
        """
        if not self.steps_path.exists():
            raise InputError(
                f"Expected a video prepared by «facegen talk train» in {self.path}, found none; check the path."
            )
        return config.load(Steps, self.steps_path)

    @property
    def steps_path(self) -> Path:
        """Where `Steps` is kept."""
        return self.path / "steps.json"

    def picture(self, kind: str, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of `ori_imgs`, `head_imgs`, `torso_imgs`, `com_imgs` or `parsing`."""
        return media.read_picture(self.picture_path(kind, index))

    def picture_path(self, kind: str, index: int) -> Path:
        """Where such a picture is."""
        return self.path / kind / f"{index}.{'png' if kind == 'parsing' else 'jpg'}"

    def write_picture(self, kind: str, index: int, image_rgb: np.ndarray) -> None:
        """Writes such a picture."""
        media.write_picture(self.picture_path(kind, index), image_rgb)

    def background(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB: what is behind the person, `bc.jpg`."""
        return media.read_picture(self.path / "bc.jpg")

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one of the `.npz` files; nothing in them is pickled."""
        with np.load(self.path / name) as file:
            return {key: file[key] for key in file.files}

    def write_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Writes one, whole or not at all."""
        with media.atomic_output(self.path / name) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def sounds(self) -> np.ndarray:
        """(N, FEATURES_AT_ONCE, F) float32 sound features of each frame, `aud.npy`."""
        return np.load(self.path / "aud.npy").astype(np.float32)
