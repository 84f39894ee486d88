"""`Finisher`: relights drawn faces with the trained network."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch

from facegen import hub
from facegen.device import is_bfloat16_fast
from facegen.errors import WeightsError
from facegen.faces import align
from facegen.media.source import file_key
from facegen.talk.finish.inputs import FinishInput, MeshShape
from facegen.talk.finish.network import FinishNet, FinishNetConfig, relight
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import PostProcess
from facegen.talk.portrait.restoration import add_residual
from facegen.talk.weights import FINISH

Array = np.ndarray


class Finisher:
    """Relights drawn faces: shadows that move with them, light in open mouths. Several threads may use it at once.

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
        self._halved = is_bfloat16_fast(torch.device("cpu"))

    @classmethod
    def load(cls) -> Finisher:
        """The bundled network, or the trained one that replaces it; kept in memory between calls.

        Raises:
            WeightsError: its weights are missing or were changed.
        """
        path = hub.fetch(FINISH)
        return _load(path, file_key(path))

    def predict_change(self, inputs: FinishInput) -> Array:
        """(SIDE, SIDE, 3) float32, 0..255, to be added to the drawn square."""
        drawn = torch.from_numpy(inputs.drawn_rgb).permute(2, 0, 1)[None].float() / 255
        maps, light, region, eyes = (
            torch.from_numpy(values)[None]
            for values in (inputs.maps.transpose(2, 0, 1), inputs.light[None], inputs.region[None], inputs.eyes[None])
        )
        with torch.inference_mode():
            with torch.autocast("cpu", torch.bfloat16, self._halved):
                predicted = self.network(drawn, maps)
            change = relight(drawn, predicted, light, region, eyes) - drawn
        return np.ascontiguousarray(change[0].permute(1, 2, 0).numpy() * 255)

    def post_process(self, portrait: PortraitModel) -> PostProcess:
        """A post-process of this portrait's `MeshRenderer`; where nothing has moved nothing changes."""
        shape = MeshShape.of(portrait.head.face)

        def finish(picture_rgb: np.ndarray, points: Array) -> None:
            inputs = FinishInput.of(picture_rgb, points, shape)
            if inputs.light.any() or inputs.region.any() or inputs.eyes.any():
                add_residual(picture_rgb, self.predict_change(inputs), align.invert(inputs.matrix))

        return finish


@functools.lru_cache(1)
def _load(path: Path, _weights_key: tuple[str, int, int]) -> Finisher:
    """Other weights under the same path have another key."""
    return Finisher(path)
