"""A one-shot model at work: normalise a crop, run the network tile by tile, and back to a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facegen.errors import WeightsError
from facegen.inference import OnnxNetwork
from facegen.swap.oneshot.models import SwapModel

Array = np.ndarray
THREADS = 2
"""CPU cores that one call may use; frames run beside each other."""


class SwapNetwork:
    """The network of a `SwapModel`; may be called from several threads at once.

    Args:
        model: its record.
        path: its file.

    Raises:
        WeightsError: the file holds another network.
    """

    def __init__(self, model: SwapModel, path: Path) -> None:
        self._network = OnnxNetwork(path, name=model.name, threads=THREADS)
        shapes = self._network.inputs
        wanted = [3, model.size, model.size]
        if set(shapes) != {"source", "target"} or list(shapes["target"][1:]) != wanted:
            raise WeightsError(
                f"Expected the model {model.name} with the inputs source and target {wanted} in {path}, found {shapes}; "
                "fetch it again."
            )
        self._size, self._is_output_normalised = model.size, model.is_output_normalised
        self._mean, self._std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (model.mean, model.std))
        # from pixels to what the network takes in one multiplication and one addition
        self._scale, self._shift = 1 / (255 * self._std), -self._mean / self._std

    def swap(self, crop_rgb: np.ndarray, source: Array) -> Array:
        """The crop with the new face.

        Args:
            crop_rgb: (k size, k size, 3) uint8 aligned crop; k squared runs for k above 1.
            source: what the network takes as `source`, without the first axis.

        Returns:
            (k size, k size, 3) float32 RGB in 0..255.
        """
        times = crop_rgb.shape[0] // self._size
        tiles = np.stack(split_tiles(crop_rgb, times)).transpose(0, 3, 1, 2)
        feeds = {
            "target": tiles.astype(np.float32) * self._scale + self._shift,
            "source": np.repeat(source[None], len(tiles), axis=0),
        }
        made = self._network.run(feeds)[0]
        if self._is_output_normalised:
            made = made * self._std + self._mean
        pictures = np.clip(made, 0, 1).transpose(0, 2, 3, 1) * np.float32(255)
        return np.ascontiguousarray(join_tiles(list(pictures), times))


def split_tiles(crop: np.ndarray, times: int) -> list[np.ndarray]:
    """The crop's `times` squared tiles, each a whole face: tile (a, b) has every `times`-th pixel from row a, column b."""
    return [crop[row::times, column::times] for row in range(times) for column in range(times)]


def join_tiles(tiles: list[Array], times: int) -> Array:
    """The crop whose tiles these are: undoes `split_tiles` exactly."""
    if times == 1:
        return tiles[0]
    height, width, channels = tiles[0].shape
    crop = np.empty((height * times, width * times, channels), tiles[0].dtype)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, times)
        crop[row::times, column::times] = tile
    return crop
