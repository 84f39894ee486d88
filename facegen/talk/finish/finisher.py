"""`Finisher`: the trained network at work on drawn faces."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from facegen import hub
from facegen.errors import WeightsError
from facegen.faces import align
from facegen.media.info import file_key
from facegen.talk.finish.network import FinishNet, FinishNetConfig, finished
from facegen.talk.finish.view import Shape, View
from facegen.talk.portrait.detail import add_change
from facegen.talk.portrait.renderer import Touch
from facegen.talk.portrait.sitter import Sitter
from facegen.talk.weights import FINISH
from facegen.training.precision import is_bfloat16_quick

Array = np.ndarray


class Finisher:
    """Moves the shadows of drawn faces and lets light into their mouths; several threads may use it at once.

    Args:
        path: weights of a training.

    Raises:
        WeightsError: the weights are missing, or are another model's.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        network = FinishNet(FinishNetConfig()).eval().requires_grad_(False)
        try:
            network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        except (SafetensorError, RuntimeError) as error:
            raise WeightsError(
                f"Expected the weights of the finishing network in {path}, found another model; install them again."
            ) from error
        self.network = network.to(memory_format=torch.channels_last)
        self._halved = is_bfloat16_quick(torch.device("cpu"))

    @classmethod
    def bundled(cls) -> Finisher:
        """The one that ships with facegen, or the one that took its place; loaded once.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        path = hub.fetch(FINISH)
        return _load(path, file_key(path))

    def change(self, view: View) -> Array:
        """(SIDE, SIDE, 3) float32, 0..255, to be added to the drawn colours of a view."""
        drawn = torch.from_numpy(view.drawn_rgb).permute(2, 0, 1)[None].float() / 255
        maps, light, region, eyes = (
            torch.from_numpy(values)[None]
            for values in (view.maps.transpose(2, 0, 1), view.light[None], view.region[None], view.eyes[None])
        )
        with torch.inference_mode():
            with torch.autocast("cpu", torch.bfloat16, self._halved):
                found = self.network(drawn, maps)
            change = finished(drawn, found, light, region, eyes) - drawn
        return np.ascontiguousarray(change[0].permute(1, 2, 0).numpy() * 255)

    def touch(self, sitter: Sitter) -> Touch:
        """What a `Renderer` of this portrait does to each picture; where nothing has moved nothing changes."""
        pictured = Shape.of(sitter.stage.face)

        def finish(picture_rgb: np.ndarray, points: Array) -> None:
            view = View.of(picture_rgb, points, pictured)
            if view.light.any() or view.region.any() or view.eyes.any():
                add_change(picture_rgb, self.change(view), align.invert(view.matrix))

        return finish


@functools.lru_cache(1)
def _load(path: Path, _weights_key: tuple[str, int, int]) -> Finisher:
    """Other weights under the same path have another key."""
    return Finisher(path)
