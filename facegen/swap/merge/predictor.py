"""Inference of a model trained for two people: a training of this project, or a `.dfm` file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from facegen.errors import InputError, WeightsError
from facegen.facesets import crop
from facegen.guarded import run_guarded
from facegen.inference import OnnxNetwork

Array = np.ndarray


MOST_SECONDS = 30.0
"""How long a model of others may take for one face."""


@lru_cache(maxsize=64)
def _try_once(path: Path, _changed_ns: int, _size: int) -> None:
    """Open a file of others where it can do no harm, once as long as it stays as it is.

    Raises:
        InputError: it cannot be opened, never ends or needs too much memory.
    """
    run_guarded("facegen.inference.trial:try_network", str(path), what=path.name)


class Predictor(Protocol):
    """Predicts B's face from a crop of A's."""

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""
        ...

    @property
    def face_type(self) -> str:
        """How they are aligned, see `facesets.crop.FACE_TYPES`."""
        ...

    def __call__(self, face_rgb: Array, morph: float) -> tuple[Array, Array, Array]:
        """Runs the model on one crop.

        Args:
            face_rgb: (R, R, 3) float32 RGB in [0, 1].
            morph: how far to go from A to B, 0 to 1 (amp models).

        Returns:
            The new face (R, R, 3), its mask (R, R), and the mask of A's face (R, R), float32 in [0, 1].
        """
        ...


class TorchPredictor:
    """A training of this project: its run folder, or an export of it."""

    def __init__(self, path: Path) -> None:
        from facegen.swap.autoencoder.export import load_model

        self._model, options = load_model(path)
        self.resolution, self.face_type = options.resolution, options.face_type

    def __call__(self, face_rgb: Array, morph: float) -> tuple[Array, Array, Array]:
        """See `Predictor`."""
        import torch

        with torch.inference_mode():
            pictures = torch.from_numpy(face_rgb).permute(2, 0, 1)[None]
            swapped, own = self._model.swap(pictures, morph), self._model.reconstruct_a(pictures)
        return swapped.picture[0].permute(1, 2, 0).numpy(), swapped.mask[0, 0].numpy(), own.mask[0, 0].numpy()


class DfmPredictor:
    """A `.dfm` file, of this project or of DeepFaceLab."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"Expected a .dfm file at {path}, found none; check the path.")
        status = path.stat()
        try:
            _try_once(path, status.st_mtime_ns, status.st_size)
            self._network = OnnxNetwork(path, name=path.name, most_seconds=MOST_SECONDS)
        except WeightsError as error:
            raise InputError(
                f"Expected a .dfm file at {path}, found one that cannot be read; export it again."
            ) from error
        inputs = self._network.inputs
        shape = inputs.get("in_face:0", ())
        if len(shape) != 4 or not isinstance(shape[1], int):
            raise InputError(f"Expected a .dfm with the input in_face:0 in {path}, found {', '.join(inputs)}.")
        self.resolution, self._has_morph = shape[1], "morph_value:0" in inputs
        face_type = self._network.metadata.get("face_type", "")
        self.face_type = face_type if face_type in crop.FACE_TYPES else "whole_face"

    def __call__(self, face_rgb: Array, morph: float) -> tuple[Array, Array, Array]:
        """See `Predictor`."""
        feeds = {"in_face:0": np.ascontiguousarray(face_rgb[None, ..., ::-1], np.float32)}
        if self._has_morph:
            feeds["morph_value:0"] = np.array([morph], np.float32)
        names = ["out_celeb_face:0", "out_celeb_face_mask:0", "out_face_mask:0"]
        face, mask, own_mask = self._network.run(feeds, names)
        return np.ascontiguousarray(face[0, ..., ::-1]), mask[0, ..., 0], own_mask[0, ..., 0]
