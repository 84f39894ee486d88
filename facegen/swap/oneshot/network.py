"""A one-shot model at work: normalise a crop, run the network tile by tile, and back to a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
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
        self._size = model.size
        # plane by plane, from pixels to what the network takes and back: a multiplication and an addition each
        self._taken = [(1 / (255 * std), -mean / std) for mean, std in zip(model.mean, model.std, strict=True)]
        given = zip(model.mean, model.std, strict=True) if model.is_output_normalised else ((0.0, 1.0),) * 3
        self._given = [(255 * std, 255 * mean) for mean, std in given]

    def swap(self, crop_rgb: np.ndarray, source: Array) -> Array:
        """The crop with the new face.

        Args:
            crop_rgb: (k size, k size, 3) uint8 aligned crop; k squared runs for k above 1.
            source: what the network takes as `source`, without the first axis.

        Returns:
            (k size, k size, 3) float32 RGB in 0..255.
        """
        times = crop_rgb.shape[0] // self._size
        tiles = split_tiles(crop_rgb, times)
        targets = np.empty((len(tiles), 3, self._size, self._size), np.float32)
        for target, tile in zip(targets, tiles, strict=True):
            for plane, pixels, (scale, shift) in zip(target, cv2.split(tile), self._taken, strict=True):
                np.multiply(pixels, np.float32(scale), out=plane, dtype=np.float32)
                plane += np.float32(shift)
        made = self._network.run({"target": targets, "source": np.repeat(source[None], len(tiles), axis=0)})[0]
        return join_tiles([self._picture(planes) for planes in made], times)

    def _picture(self, planes: Array) -> Array:
        """(size, size, 3) RGB in 0..255 of the network's (3, size, size)."""
        scaled = (
            plane * np.float32(scale) + np.float32(shift)
            for plane, (scale, shift) in zip(planes, self._given, strict=True)
        )
        picture: Array = cv2.merge([np.clip(plane, 0, 255) for plane in scaled])
        return picture


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
