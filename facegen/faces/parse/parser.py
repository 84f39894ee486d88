"""`FaceParser`: which pixel of a face crop is skin, hair, eye, background and so on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facegen import hub
from facegen.config import from_dict
from facegen.errors import InputError, WeightsError
from facegen.faces.parse.classes import CLASSES
from facegen.faces.parse.weights import PARSER

if TYPE_CHECKING:
    from facegen.faces.parse.network import ParserNet

SIZE = 256
"""Side of the crops, pixels; `align.parse_matrix` gives the matrix from an image to them."""
AT_ONCE = 8


def parser_available() -> bool:
    """Whether the parser's weights are there; they are bundled, so this is False only in a broken install."""
    return hub.is_present(PARSER)


class FaceParser:
    """The embedded parser: a compact U-Net of our own, about 10 ms a crop on two CPU cores.

    Args:
        device: as `device.choose_device` takes it.

    Raises:
        WeightsError: the weights are missing or were changed.
    """

    def __init__(self, device: str = "auto") -> None:
        import torch

        from facegen.device import choose_device
        from facegen.training.precision import is_bfloat16_quick

        self.device = choose_device(device)
        self._network = _load().to(self.device).to(memory_format=torch.channels_last)
        self._dtype = torch.bfloat16 if is_bfloat16_quick(self.device) else torch.float32

    def parse(self, crops_rgb: np.ndarray) -> np.ndarray:
        """Class probabilities of aligned crops.

        Args:
            crops_rgb: (N, 256, 256, 3) uint8 RGB, aligned by `align.parse_matrix`.

        Returns:
            (N, 19, 256, 256) float32, in the order of `CLASSES`, summing to 1 over the classes. Things held before a
            face count as background.
        """
        return self._found(crops_rgb, ())

    def share(self, crops_rgb: np.ndarray, classes: Sequence[int]) -> np.ndarray:
        """How likely each pixel belongs to any of some classes: (N, 256, 256) float32, 0..1; see `shares`."""
        return self.shares(crops_rgb, classes)[:, 0]

    def shares(self, crops_rgb: np.ndarray, *groups: Sequence[int]) -> np.ndarray:
        """How likely each pixel belongs to any class of a group: `parse` summed over them, and quicker.

        Args:
            crops_rgb: as for `parse`.
            groups: numbers of classes, group by group.

        Returns:
            (N, G, 256, 256) float32, 0..1, a picture for each group.
        """
        return self._found(crops_rgb, groups)

    def _found(self, crops_rgb: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
        import torch
        from torch.nn import functional as F

        from facegen.faces.parse.network import to_input, upsample

        if crops_rgb.ndim != 4 or crops_rgb.shape[1:] != (SIZE, SIZE, 3) or crops_rgb.dtype != np.uint8:
            raise ValueError(f"crops must be (N, {SIZE}, {SIZE}, 3) uint8, but got {crops_rgb.shape} {crops_rgb.dtype}")
        found = np.empty((len(crops_rgb), len(groups) or len(CLASSES), SIZE, SIZE), np.float32)
        with torch.inference_mode():
            for start in range(0, len(crops_rgb), AT_ONCE):
                part = torch.from_numpy(np.ascontiguousarray(crops_rgb[start : start + AT_ONCE])).to(self.device)
                pictures = to_input(part.permute(0, 3, 1, 2).float() / 255)
                is_reduced = self._dtype != torch.float32
                with torch.autocast(self.device.type, self._dtype, enabled=is_reduced):
                    logits = self._network(pictures)
                # softmax before the enlargement: a quarter of the exponentials, and borders stay smooth
                probabilities = F.softmax(logits.float(), 1)
                if groups:
                    probabilities = torch.stack([probabilities[:, list(group)].sum(1) for group in groups], 1)
                found[start : start + len(part)] = upsample(probabilities).cpu().numpy()
        return found


def _load() -> ParserNet:
    from safetensors import SafetensorError, safe_open

    from facegen.faces.parse.network import ParserNet, ParserNetConfig, fold

    path = hub.fetch(PARSER)
    try:
        with safe_open(path, "pt") as file:
            about = (file.metadata() or {}).get("network")
            weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no mapping
        network = ParserNet(from_dict(ParserNetConfig, json.loads(about)) if about else ParserNetConfig())
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError, ValueError, InputError) as error:
        raise WeightsError(
            f"Expected the parser's weights in {path}, found another model; install them again, or, if it is your "
            "own, run: facegen weights reset parser"
        ) from error
    return fold(network.eval().requires_grad_(False))
