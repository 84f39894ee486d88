"""The swap engine of one-shot models, which draw a face from one picture of it.

```
predict     crop the target by the model's template, run the model (tile by tile for a larger crop), measure both faces
smooth      average colours, focus, grain and visibility over the track
composite   match colours, focus and grain; warp back into the frame where the face is seen
```

All models share this code; what differs is in their records (`models.py`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import WeightsError
from facegen.faces import Face, align, blend, mesh
from facegen.faces.mask_models import parse_masks
from facegen.hub import fetch
from facegen.hub.fetch import require
from facegen.inference import OnnxNetwork
from facegen.media import Patch
from facegen.swap.engines.occlusion import OcclusionDetector, VisibilityMask, smooth_visibility, temporal_weights
from facegen.swap.oneshot.identity import OneShotIdentity, SourceEncoder
from facegen.swap.oneshot.models import SwapModel
from facegen.swap.options import SwapOptions

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
        self._input_scaling = [(1 / (255 * std), -mean / std) for mean, std in zip(model.mean, model.std, strict=True)]
        normalisation = zip(model.mean, model.std, strict=True) if model.is_output_normalised else ((0.0, 1.0),) * 3
        self._output_scaling = [(255 * std, 255 * mean) for mean, std in normalisation]

    def swap(self, crops_rgb: Sequence[np.ndarray], sources: Sequence[Array]) -> list[Array]:
        """The crops with new faces; in one call where the file leaves the first axis of its inputs free.

        Args:
            crops_rgb: (k size, k size, 3) uint8 aligned crops of one size; k squared runs each for k above 1.
            sources: for each what the network takes as `source`, without the first axis.

        Returns:
            (k size, k size, 3) float32 RGB in 0..255 each.
        """
        times = crops_rgb[0].shape[0] // self._size
        tiles = [tile for crop in crops_rgb for tile in split_tiles(crop, times)]
        targets = np.empty((len(tiles), 3, self._size, self._size), np.float32)
        for target, tile in zip(targets, tiles, strict=True):
            for plane, pixels, (scale, shift) in zip(target, cv2.split(tile), self._input_scaling, strict=True):
                np.multiply(pixels, np.float32(scale), out=plane, dtype=np.float32)
                plane += np.float32(shift)
        embeddings = np.repeat(np.stack(sources), times * times, axis=0)
        pictures = [self._picture(planes) for planes in self._network.run({"target": targets, "source": embeddings})[0]]
        return [
            join_tiles(pictures[first : first + times * times], times)
            for first in range(0, len(pictures), times * times)
        ]

    def _picture(self, planes: Array) -> Array:
        """(size, size, 3) RGB in 0..255 of the network's (3, size, size)."""
        scaled = (
            plane * np.float32(scale) + np.float32(shift)
            for plane, (scale, shift) in zip(planes, self._output_scaling, strict=True)
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


Array = np.ndarray
MEASURED_PX = 64
"""Side at which colours are measured."""
MOST_CONTRAST = 1.25
"""By how much the contrast of a colour may be raised, or lowered."""
BORDER = 0.08
"""Share of the crop over which the new face fades at the crop's own border."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class OneShotStatistics:
    """Frame statistics, smoothed over time before a face is composited.

    Attributes:
        colours: (2, 2, 3) mean and standard deviation of RGB, 0..255, in the target's face and in the new one.
        excess: how many times sharper the new face is than the target.
        grain: standard deviation of the noise that the target has and the new face lacks, 0..255.
        visibility: (S, S) uint8 of the mask; nothing when it is not known.
    """

    colours: Array
    excess: float
    grain: float
    visibility: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class OneShotPrediction:
    """One face of one frame as the model draws it.

    Attributes:
        image_rgb: (H, W, 3) uint8 the frame.
        matrix: (2, 3) from pixels of the frame to those of the crop.
        drawn: (size, size, 3) float32 RGB 0..255 the new face.
        outline: (N, 2) the target's face oval in pixels of the crop.
        mask: visibility of the target; nothing where that is not known.
        statistics: see there.
    """

    image_rgb: np.ndarray
    matrix: Array
    drawn: Array
    outline: Array
    mask: VisibilityMask | None
    statistics: OneShotStatistics


class OneShotEngine:
    """Swaps with a published network.

    Args:
        model: its record.

    Raises:
        WeightsError: one of its files is not on this machine, or holds something else.
    """

    window_radius = 3

    def __init__(self, model: SwapModel) -> None:
        self.name = model.name
        require(model.weights, f"the engine {model.name}", "the engine mesh")
        path = fetch(model.weight)
        self._model = model
        self._network = SwapNetwork(model, path)
        self._encoder = SourceEncoder(model, path)
        self._occlusion = OcclusionDetector()

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> OneShotIdentity:
        """See `Engine.prepare`."""
        return self._encoder.prepare(pictures)

    def predict(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: OneShotIdentity,
        options: SwapOptions,
        previous: OneShotPrediction | None = None,
    ) -> OneShotPrediction:
        """See `Engine.predict`."""
        return self.predict_faces(image_rgb, [(face, identity, previous)], options)[0]

    def predict_faces(
        self,
        image_rgb: np.ndarray,
        faces: Sequence[tuple[Face, OneShotIdentity, OneShotPrediction | None]],
        options: SwapOptions,
    ) -> list[OneShotPrediction]:
        """See `BatchEngine.predict_faces`."""
        if not faces:
            return []
        size = self._model.size * options.pixel_boost
        template = align.TEMPLATES[self._model.template]
        matrices = [align.similarity(face.points5, template, size) for face, _, _ in faces]
        crops = [align.warp(image_rgb, matrix, size) for matrix in matrices]
        sources = [
            self._encoder.balance(identity, image_rgb, face, options.identity_strength) for face, identity, _ in faces
        ]
        predictions = []
        for (face, _, previous), matrix, crop, drawn in zip(
            faces, matrices, crops, self._network.swap(crops, sources), strict=True
        ):
            mask = None
            if options.occlusion:
                previous_mask = previous.mask if previous is not None else None
                models = parse_masks(options.masks)
                mask = self._occlusion.detect(image_rgb, face, is_target=True, previous=previous_mask, models=models)
            outline = align.apply(matrix, face.points478[list(mesh.FACE_OVAL), :2]).astype(np.float32)
            visibility = mask.visibility if mask is not None else None
            predictions.append(
                OneShotPrediction(
                    image_rgb=image_rgb,
                    matrix=matrix,
                    drawn=drawn,
                    outline=outline,
                    mask=mask,
                    statistics=_compare(crop, drawn, outline, visibility),
                )
            )
        return predictions

    def smooth(self, window: Sequence[OneShotStatistics], centre: int, options: SwapOptions) -> OneShotStatistics:
        """See `Engine.smooth`: a Gaussian mean over the frames around."""
        visibility = smooth_visibility([frame.visibility for frame in window], centre, options.temporal_smoothing)
        if len(window) == 1 or options.temporal_smoothing == 0:
            return dataclasses.replace(window[centre], visibility=visibility)
        weights = temporal_weights(len(window), centre, options.temporal_smoothing)
        return OneShotStatistics(
            colours=np.tensordot(weights, np.stack([frame.colours for frame in window]), 1),
            excess=float(weights @ [frame.excess for frame in window]),
            grain=float(weights @ [frame.grain for frame in window]),
            visibility=visibility,
        )

    def composite(
        self, prediction: OneShotPrediction, statistics: OneShotStatistics, options: SwapOptions, *, seed: int
    ) -> Patch:
        """See `Engine.composite`."""
        drawn = _match_colours(prediction.drawn, statistics.colours, options.colour)
        drawn = blend.soften(drawn, 1 + (statistics.excess - 1) * options.sharpness_match)
        low, high = _frame_box(prediction)
        picture, alpha = blend.warp_back(
            drawn, _alpha(prediction, statistics, options), prediction.matrix, low, high, cv2.INTER_CUBIC
        )
        if statistics.grain * options.grain_match > 0.1:
            picture += blend.draw_grain(alpha.shape, statistics.grain * options.grain_match, seed)
        image_rgb = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
        return Patch(x=int(low[0]), y=int(low[1]), image_rgb=image_rgb, alpha=alpha)


def _compare(crop_rgb: np.ndarray, drawn: Array, outline: Array, visibility: np.ndarray | None) -> OneShotStatistics:
    """What the target and the new face differ in, inside the target's outline."""
    inside = mesh.polygon_mask(outline, crop_rgb.shape[:2])
    small = cv2.resize(inside, (MEASURED_PX, MEASURED_PX), interpolation=cv2.INTER_AREA)
    core = (small > 250).view(np.uint8)
    colours = [_measure_colours(picture, core) for picture in (crop_rgb, drawn)]
    where = inside > 250
    target, result = (np.ascontiguousarray(picture[..., 1], np.float32) for picture in (crop_rgb, drawn))
    grains = blend.measure_grain(target, where), blend.measure_grain(result, where)
    return OneShotStatistics(
        colours=np.stack(colours),
        excess=blend.sharpness(result, where) / max(blend.sharpness(target, where), 1e-3),
        grain=max(grains[0] ** 2 - grains[1] ** 2, 0.0) ** 0.5,
        visibility=visibility,
    )


def _measure_colours(picture: np.ndarray, where: np.ndarray) -> Array:
    """(2, 3) float32 mean and standard deviation of RGB in 0..255."""
    small = cv2.resize(picture, where.shape[::-1], interpolation=cv2.INTER_AREA)
    mean, deviation = cv2.meanStdDev(small, mask=where)
    return np.concatenate([mean.T, deviation.T]).astype(np.float32)


def _match_colours(drawn: Array, colours: Array, strength: float) -> Array:
    """The new face with mean and contrast of each colour as in the target (Reinhard 2001, in RGB)."""
    (target_mean, target_deviation), (mean, deviation) = colours
    gain = np.clip(target_deviation / np.maximum(deviation, 1), 1 / MOST_CONTRAST, MOST_CONTRAST)
    change = np.column_stack([np.diag(1 + (gain - 1) * strength), (target_mean - mean * gain) * strength])
    matched: Array = cv2.transform(drawn, change)
    return matched


def _alpha(prediction: OneShotPrediction, statistics: OneShotStatistics, options: SwapOptions) -> Array:
    """(size, size) float32: the smallest of outline, crop and visibility."""
    size = prediction.drawn.shape[0]
    depth = blend.inner_distance(mesh.polygon_mask(prediction.outline, (size, size)) > 127)
    width = float(np.ptp(prediction.outline[:, 0]))
    alpha = blend.feather(depth, width * (0.05 + 0.25 * options.mask_feather))
    edge = np.clip((np.minimum(np.arange(size), np.arange(size)[::-1]) - 0.5) / (BORDER * size), 0, 1)
    alpha = np.minimum(alpha, np.minimum(edge[:, None], edge[None])).astype(np.float32)
    if statistics.visibility is None or prediction.mask is None:
        return alpha
    between = np.vstack([prediction.matrix, [0, 0, 1]]) @ np.vstack([align.invert(prediction.mask.matrix), [0, 0, 1]])
    visible = cv2.warpAffine(
        statistics.visibility, between[:2], (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.minimum(alpha, visible.astype(np.float32) / 255)


def _frame_box(prediction: OneShotPrediction) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (x, y) of the frame, even and within it, that the outline reaches."""
    outline = align.apply(align.invert(prediction.matrix), prediction.outline)
    height, width = prediction.image_rgb.shape[:2]
    low = np.clip(np.floor(outline.min(0)).astype(int) - 2, 0, [width - 2, height - 2]) // 2 * 2
    high = np.clip(np.ceil(outline.max(0)).astype(int) + 2, low + 2, [width, height])
    return low, high
