"""The folder that a video is prepared into; files are named as in the DFRF reference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from facegen import config, media
from facegen.array_file import read_array, read_arrays
from facegen.errors import InputError

STEPS = ("sound", "frames", "landmarks", "parsing", "background", "layers", "track", "surface", "cameras")
"""Steps of the preparation in order, numbered from 0 as in the reference's `process_data.py --step`."""


@dataclass(frozen=True, kw_only=True)
class PreparationState:
    """The video of a folder and its finished steps: `steps.json`, written after every step."""

    FORMAT: ClassVar[int] = 1

    video: str
    """Name of the video."""
    size_bytes: int
    """Size of its file, which tells apart videos of one name."""
    frame_count: int
    """Frames prepared."""
    frame_rate: float
    """Frames a second."""
    train_frames: int
    """Training frames, the first ones; the others are held out."""
    scale: float = 1.0
    """Side of a prepared frame over that of the video's: large frames are made smaller."""
    done: tuple[str, ...] = ()
    """Names of the finished steps."""


@dataclass(frozen=True)
class PreparedFolder:
    """Paths, pictures and arrays of one prepared video."""

    path: Path

    @property
    def state(self) -> PreparationState:
        """Reads `steps.json`.

        Raises:
            InputError: nothing was prepared here.
        """
        if not self.state_path.exists():
            raise InputError(
                f"Expected a video prepared by «facegen talk train» in {self.path}, found none; check the path."
            )
        return config.load(PreparationState, self.state_path)

    @property
    def state_path(self) -> Path:
        """Path of `steps.json`."""
        return self.path / "steps.json"

    def read_picture(self, kind: str, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of `ori_imgs`, `head_imgs`, `torso_imgs`, `com_imgs` or `parsing`."""
        return media.read_picture(self.picture_path(kind, index))

    def write_picture(self, kind: str, index: int, image_rgb: np.ndarray) -> None:
        """Writes such a picture."""
        media.write_picture(self.picture_path(kind, index), image_rgb)

    def picture_path(self, kind: str, index: int) -> Path:
        """Path of such a picture."""
        return self.path / kind / f"{index}.{'png' if kind == 'parsing' else 'jpg'}"

    def read_background(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB: what is behind the person, `bc.jpg`."""
        return media.read_picture(self.path / "bc.jpg")

    def read_landmarks(self, index: int) -> np.ndarray:
        """(68, 2) pixels of a frame, `ori_imgs/N.lms`."""
        path = self.path / "ori_imgs" / f"{index}.lms"
        try:
            points = np.loadtxt(path, max_rows=69)
        except (OSError, ValueError) as error:
            raise InputError(f"Expected 68 points in {path}, but {error}; prepare the video again.") from error
        if points.shape != (68, 2):
            raise InputError(f"Expected 68 points in {path}, found shape {points.shape}; prepare the video again.")
        return points

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one of the `.npz` files; nothing in them is pickled."""
        return read_arrays(self.path / name)

    def write_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Writes an `.npz` file, whole or not at all."""
        with media.atomic_output(self.path / name) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def read_audio_features(self) -> np.ndarray:
        """(N, ROWS_PER_FRAME, FEATURE_SIZE) float32 audio features of each frame, `aud.npy`."""
        return read_array(self.path / "aud.npy").astype(np.float32)
