"""Upscaling networks of the Hub: a record each, and the tiled code path that runs them.

Facts of FaceFusion 3.8 (frame_enhancer), which publishes the files; none of them was run here with its real weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facegen.hub import WeightFile, fetch
from facegen.hub.facefusion import APACHE, NON_COMMERCIAL, Terms, facefusion_file
from facegen.hub.fetch import require

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class UpscalerModel:
    """One model: input `input` (1, 3, tile, tile) RGB in 0..1, output `scale` times larger in the same range."""

    weight: WeightFile
    """Its file; the step has the same name."""
    scale: int
    """How many times larger it makes a side."""
    tile: int
    """Side of what it is given at a time, pixels."""
    overlap: int
    """Pixels at each border of a tile whose answer is not used."""

    @property
    def name(self) -> str:
        """What a chain calls it."""
        return self.weight.name


_BSD, _CC_BY, _WTFPL = Terms("BSD-3-Clause"), Terms("CC-BY-4.0"), Terms("WTFPL")
_GPL = Terms(
    "GPL-3.0",
    "Free for any use, but what contains the file is GPL, too.",
    "https://spdx.org/licenses/GPL-3.0-only.html",
)


def _model(
    release: str, stem: str, scale: int, tile: tuple[int, int], terms: Terms, *, is_best: bool = False
) -> UpscalerModel:
    weight = facefusion_file(
        release,
        f"{stem}.onnx",
        terms,
        purpose=f"makes a whole frame {scale} times larger",
        sets=("best-permissive", "best") if is_best else (),
    )
    return UpscalerModel(weight=weight, scale=scale, tile=tile[0], overlap=tile[1])


UPSCALERS: tuple[UpscalerModel, ...] = (
    _model("3.0.0", "real_esrgan_x2", 2, (256, 8), _BSD, is_best=True),
    _model("3.0.0", "real_esrgan_x2_fp16", 2, (256, 8), _BSD),
    _model("3.0.0", "real_esrgan_x4", 4, (256, 8), _BSD),
    _model("3.0.0", "real_esrgan_x4_fp16", 4, (256, 8), _BSD),
    _model("3.0.0", "real_esrgan_x8", 8, (256, 8), _BSD),
    _model("3.0.0", "real_esrgan_x8_fp16", 8, (256, 8), _BSD),
    _model("3.0.0", "real_hatgan_x4", 4, (256, 8), APACHE),
    _model("3.1.0", "swin2_sr_x4", 4, (128, 4), APACHE),
    _model("3.1.0", "real_web_photo_x4", 4, (64, 2), _CC_BY),
    _model("3.0.0", "nomos8k_sc_x4", 4, (128, 4), _CC_BY),
    _model("3.5.0", "face_dat_x4", 4, (128, 4), _CC_BY),
    _model("3.1.0", "realistic_rescaler_x4", 4, (128, 4), _WTFPL),
    _model("3.1.0", "siax_x4", 4, (128, 4), _WTFPL),
    _model("3.0.0", "clear_reality_x4", 4, (128, 4), NON_COMMERCIAL),
    _model("3.1.0", "remacri_x4", 4, (128, 4), NON_COMMERCIAL),
    _model("3.0.0", "span_kendata_x4", 4, (128, 4), NON_COMMERCIAL),
    _model("3.0.0", "ultra_sharp_x4", 4, (128, 4), NON_COMMERCIAL),
    _model("3.3.0", "ultra_sharp_2_x4", 4, (1024, 32), NON_COMMERCIAL),
    _model("3.5.0", "tghq_face_x8", 8, (128, 4), _GPL),
)
WEIGHTS: tuple[WeightFile, ...] = tuple(model.weight for model in UPSCALERS)


class Upscaler:
    """An upscaler at work; may be called from several threads at once.

    Args:
        model: its record.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """

    def __init__(self, model: UpscalerModel) -> None:
        from facegen.inference import OnnxNetwork

        require([model.weight], f"the upscaler {model.name}", "another one")
        self._network, self._model = OnnxNetwork(fetch(model.weight), name=model.name, threads=2), model
        self._network.check_inputs({"input": (3, model.tile, model.tile)})

    def upscale(self, image_rgb: np.ndarray, strength: float) -> np.ndarray:
        """The picture, larger; what the model makes of it is mixed with what bicubic interpolation does.

        Args:
            image_rgb: (H, W, 3) uint8.
            strength: 0..1, the model's share.

        Returns:
            (scale H, scale W, 3) uint8.
        """
        import cv2
        import numpy as np

        model, (height, width) = self._model, image_rgb.shape[:2]
        step = model.tile - 2 * model.overlap
        rows, columns = -(-height // step), -(-width // step)
        around = (
            model.overlap,
            rows * step - height + model.overlap,
            model.overlap,
            columns * step - width + model.overlap,
        )
        padded = cv2.copyMakeBorder(image_rgb, *around, borderType=cv2.BORDER_REPLICATE)
        drawn = np.empty((rows * step * model.scale, columns * step * model.scale, 3), np.uint8)
        inner, side = slice(model.overlap * model.scale, (model.overlap + step) * model.scale), step * model.scale
        for row in range(rows):
            for column in range(columns):
                tile = padded[row * step : row * step + model.tile, column * step : column * step + model.tile]
                made = self._network.run({"input": tile.transpose(2, 0, 1)[None].astype(np.float32) / 255})[0][0]
                shown = np.clip(made[:, inner, inner].transpose(1, 2, 0) * 255 + 0.5, 0, 255)
                drawn[row * side : (row + 1) * side, column * side : (column + 1) * side] = shown
        larger = drawn[: height * model.scale, : width * model.scale]
        if strength == 1:
            return np.ascontiguousarray(larger)
        plain = cv2.resize(image_rgb, larger.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return cv2.addWeighted(larger, strength, plain, 1 - strength, 0)


@functools.cache
def load_upscaler(model: UpscalerModel) -> Upscaler:
    """The upscaler of a record, loaded once.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """
    return Upscaler(model)
