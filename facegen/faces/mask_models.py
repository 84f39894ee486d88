"""Mask models of the Hub: occluders (XSeg) and face parsers (BiSeNet, SegFormer), a record each, and the one code path that runs them.

Facts of FaceFusion 3.8 (face_masker), which publishes the files of all but the SegFormer, whose classes are those of its repository's
configuration; none of them was run here with its real weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from facegen.errors import InputError, WeightsError
from facegen.hub import MAIN, Hub, WeightFile, fetch
from facegen.hub.facefusion import MIT, Terms, facefusion_file
from facegen.hub.fetch import require

if TYPE_CHECKING:
    import numpy as np

FACE_LABELS = (1, 2, 3, 4, 5, 10, 11, 12, 13)
"""Classes of CelebAMask-HQ over which a new face is drawn: skin, brows, eyes, nose, mouth and lips, not glasses."""
_SEGFORMER_LABELS = (1, 2, 4, 5, 6, 7, 10, 11, 12)
"""The same in the order of the SegFormer: skin, nose, eyes, brows, mouth and lips; 3 is glasses."""
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLUR = 5.0
"""Standard deviation in pixels of the model's size by which a mask is softened; it shrinks by as much."""


@dataclass(frozen=True, kw_only=True)
class MaskModel:
    """One model, with one input.

    An `occluder` goes from (1, size, size, 3) BGR in 0..1 to the visible face, (1, size, size, 1) in 0..1; a `parser` from
    (1, 3, size, size) RGB, normalised by ImageNet's mean and deviation, to the scores of 19 classes, (1, 19, cells, cells).
    """

    weight: WeightFile
    """Its file; the mask has the same name."""
    kind: Literal["occluder", "parser"]
    """What it predicts."""
    template: str
    """How its crop is aligned, see `faces.align.TEMPLATES`."""
    size: int
    """Side of the crop, pixels."""
    labels: tuple[int, ...] = FACE_LABELS
    """A parser's classes over which a new face is drawn."""

    @property
    def name(self) -> str:
        """What `SwapOptions.masks` calls it."""
        return self.weight.name


_GPL = Terms(
    "GPL-3.0",
    "DeepFaceLab's terms, as FaceFusion states them: free for any use, but what contains the file is GPL, too.",
    "https://spdx.org/licenses/GPL-3.0-only.html",
)
_OCCLUDERS = {
    "xseg_1": ("3.1.0", 70324286, "c4d1498b8a03b5fe2a3a5d2ef2a0402ab03bd51edaf5b2d8d5fb764702a97dd3"),
    "xseg_2": ("3.1.0", 70324286, "cd9a0879eaf43841d765472cf1f8c330dbf9dcb03da0eace93e95f3bcc399042"),
    "xseg_3": ("3.2.0", 70327709, "48ccd7e8541e159a5a754ec9e62df2f12065f7df8f9af842c1750342c6533559"),
}
_PARSING = "tells skin, hair, eyes and lips apart, in 512 pixels"
MASK_MODELS: tuple[MaskModel, ...] = (
    *(
        MaskModel(
            weight=facefusion_file(
                release,
                f"{stem}.onnx",
                _GPL,
                purpose="sees what covers a face",
                sha256=sha256,
                size=size,
                sets=("best",) if stem == "xseg_3" else (),
            ),
            kind="occluder",
            template="dfl-whole-face",
            size=256,
        )
        for stem, (release, size, sha256) in _OCCLUDERS.items()
    ),
    MaskModel(
        weight=facefusion_file("3.1.0", "bisenet_resnet_18.onnx", MIT, name="bisenet-18", purpose=_PARSING),
        kind="parser",
        template="ffhq-512",
        size=512,
    ),
    MaskModel(
        weight=facefusion_file(
            "3.0.0",
            "bisenet_resnet_34.onnx",
            MIT,
            name="bisenet-34",
            purpose=_PARSING,
            sha256="4a0b8c958a3c938913bd06a8365dbb3c8761afba6ecbf0d14b3b1f77eb230c96",
            size=93632546,
            sets=("best-permissive", "best"),
        ),
        kind="parser",
        template="ffhq-512",
        size=512,
    ),
    MaskModel(
        weight=WeightFile(
            name="segformer-face-parsing",
            source=Hub("jonathandinu/face-parsing", MAIN),
            filename="onnx/model.onnx",
            sha256=None,
            size=None,
            licence="MIT, unconfirmed",
            card="https://huggingface.co/jonathandinu/face-parsing",
            purpose=_PARSING,
            jobs=("swap",),
            terms="Listings name MIT; its own page could not be read, and CelebAMask-HQ, its data, is for non-commercial research.",
        ),
        kind="parser",
        template="ffhq-512",
        size=512,
        labels=_SEGFORMER_LABELS,
    ),
)
WEIGHTS: tuple[WeightFile, ...] = tuple(model.weight for model in MASK_MODELS)


class MaskNetwork:
    """Runs a mask model; may be called from several threads at once.

    Args:
        model: its record.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """

    def __init__(self, model: MaskModel) -> None:
        from facegen.inference import OnnxNetwork

        require([model.weight], f"the mask {model.name}", "no mask")
        path = fetch(model.weight)
        self._network, self._model = OnnxNetwork(path, name=model.name, threads=1), model
        (self._input_name, shape), *others = self._network.inputs.items()
        wanted = (model.size, model.size)
        if others or (shape[1:3] if model.kind == "occluder" else shape[2:]) != wanted:
            raise WeightsError(
                f"Expected the model {model.name} with one input of {wanted} pixels in {path}, found {shape}; fetch it again."
            )

    def visibility(self, image_rgb: np.ndarray, points5: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mask of the visible part of a face.

        Args:
            image_rgb: (H, W, 3) uint8.
            points5: (5, 2) `Face.points5`.

        Returns:
            (size, size) float32 in [0, 1], 1 where the face is uncovered, and the (2, 3) matrix from the image to it.
        """
        import cv2
        import numpy as np

        from facegen.faces import align

        model = self._model
        matrix = align.similarity(points5, align.TEMPLATES[model.template], model.size)
        crop = align.warp(image_rgb, matrix, model.size).astype(np.float32) / 255
        if model.kind == "occluder":
            (seen,) = self._network.run({self._input_name: crop[None, ..., ::-1]})
            seen = seen.reshape(model.size, model.size)
        else:
            mean, deviation = np.array(_IMAGENET, np.float32)
            tensor = ((crop - mean) / deviation).transpose(2, 0, 1)[None]
            scores = self._network.run({self._input_name: tensor})[0][0].transpose(1, 2, 0)
            seen = np.isin(cv2.resize(scores, (model.size, model.size)).argmax(2), model.labels)
        soft = cv2.GaussianBlur(np.clip(seen, 0, 1).astype(np.float32), (0, 0), BLUR)
        visible: np.ndarray = (np.clip(soft, 0.5, 1) - 0.5) * 2
        return visible, matrix


@functools.lru_cache(maxsize=64)
def parse_masks(text: str) -> tuple[MaskModel, ...]:
    """The mask models that a text such as «xseg-3, bisenet-34» names.

    Raises:
        InputError: there is no such model.
    """
    models = {model.name: model for model in MASK_MODELS}
    names = dict.fromkeys(filter(None, map(str.strip, text.split(","))))
    for name in names:
        if name not in models:
            raise InputError(f"Expected masks of {', '.join(models)}, found {name!r}; choose some of these.")
    return tuple(models[name] for name in names)


@functools.cache
def load_mask(model: MaskModel) -> MaskNetwork:
    """The network of a mask model, loaded once.

    Raises:
        WeightsError: its file is not on this machine, or holds something else.
    """
    return MaskNetwork(model)
