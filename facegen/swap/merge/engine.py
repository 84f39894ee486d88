"""The swap engine of models trained for two people, `autoencoder:RUN` and `dfm:FILE`, which need no source.

```
predict     crop the face, run the model, compute the mask, measure colours and position
smooth      average colours and rest shape over the track, measure the movement
composite   match colours, filter, blend: the crop with the new face, warped back into the frame
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from facegen.faces import Face, align, blend, weights
from facegen.faces.landmark import MeshFinder
from facegen.faces.mask_models import parse_masks
from facegen.facesets import crop
from facegen.facesets.crop import warp_black
from facegen.hub import fetch
from facegen.media import Patch
from facegen.swap.merge import blending
from facegen.swap.merge.masks import MaskSource, erode_and_blur
from facegen.swap.merge.mesh_guided import MeshGuide, blend_mesh_guided, detect_guide
from facegen.swap.merge.options import MergeOptions, parse_merge_options
from facegen.swap.merge.predictor import DfmPredictor, Predictor, TorchPredictor
from facegen.swap.options import SwapOptions

Array = np.ndarray
MAX_CROP_PX = 1024
"""Faces are merged in a crop of at most this side."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MergeStatistics:
    """Frame statistics of a merge, smoothed over time before it composites.

    Attributes:
        frame_colours: (2, 3) mean and standard deviation of the frame's colours in the face, L*a*b*.
        face_colours: (2, 3) those of the predicted face.
        centre_xy: (2,) centre of the face in the frame, pixels.
        velocity_xy: (2,) pixels of the frame that it moves per frame; zero until smoothed.
        rest_shape: (468, 3) canonical cm, the predicted person's mesh without expression, where the merge is mesh-guided.
    """

    frame_colours: Array
    face_colours: Array
    centre_xy: Array
    velocity_xy: Array
    rest_shape: Array | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MergePrediction:
    """The model's prediction for one face of one frame.

    Attributes:
        matrix: (2, 3) from pixels of the frame to those of the crop.
        frame_crop: (S, S, 3) float32 RGB in [0, 1], the frame.
        face: (S, S, 3) the predicted face.
        mask: (S, S) where it shows, before it is eroded and blurred.
        frame_hw: size of the frame.
        guide: the meshes, where the merge is mesh-guided.
        statistics: see there.
    """

    matrix: Array
    frame_crop: Array
    face: Array
    mask: Array
    frame_hw: tuple[int, int]
    guide: MeshGuide | None
    statistics: MergeStatistics


class AutoencoderEngine:
    """Swaps with a model that was trained for two people.

    Args:
        name: as `SwapOptions.engine` has it: «autoencoder:RUN» or «dfm:FILE».
    """

    window_radius = 3

    def __init__(self, name: str) -> None:
        kind, _, path = name.partition(":")
        self.name = name
        self._run = Path(path) if kind == "autoencoder" else None
        self._predictor: Predictor = TorchPredictor(Path(path)) if self._run else DfmPredictor(Path(path))
        self._masks = MaskSource()
        self._last: tuple[tuple[bytes, int], tuple[Array, Array, Array]] | None = None

    @cached_property
    def _mesh_finder(self) -> MeshFinder:
        return MeshFinder(fetch(weights.FACE_LANDMARKER))

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> str:
        """See `Engine.prepare`: the identity is in the model, so nothing is computed."""
        return self.name

    def merge_options(self, options: SwapOptions) -> MergeOptions:
        """The options of the merge, completed by those kept in the run folder."""
        return parse_merge_options(options.merge, self._run)

    def predict(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: str,
        options: SwapOptions,
        previous: MergePrediction | None = None,
    ) -> MergePrediction:
        """See `Engine.predict`."""
        merge, resolution = self.merge_options(options), self._predictor.resolution
        face_type = crop.face_type(self._predictor.face_type)
        input_matrix = crop.crop_matrix(face.points68, face_type, resolution, face.yaw_deg)
        model_input = warp_black(image_rgb, input_matrix, resolution).astype(np.float32) / 255
        prediction, mask_prd, mask_dst = self._predict_crop(model_input, merge.morph)
        scale = float(np.hypot(input_matrix[0, 0], input_matrix[1, 0]))
        side = int(np.clip(round(resolution / scale), resolution, MAX_CROP_PX))
        matrix = crop.crop_matrix(face.points68, face_type, side, face.yaw_deg)
        frame_crop = warp_black(image_rgb, matrix, side).astype(np.float32) / 255
        masks = _resize(mask_prd, side), _resize(mask_dst, side)
        models = parse_masks(options.masks)
        mask = self._masks.compute(merge, masks, image_rgb, face, matrix, side, models)
        picture = np.clip(_resize(prediction, side), 0, 1)
        if merge.restore:
            picture = _restore(picture, align.apply(matrix, face.points5), merge.restore / 100)
        frame_inside = (mask > 0.5).astype(np.float32)
        if merge.face_scale:
            scaling = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 0, 1 + merge.face_scale / 100)
            picture = cv2.warpAffine(picture, scaling, (side, side), borderMode=cv2.BORDER_REPLICATE)
            mask = cv2.warpAffine(mask, scaling, (side, side))
        inside = (mask > 0.5).astype(np.float32)
        if merge.colour not in ("none", "rct") and merge.mode != "raw-predict":
            picture = blending.transfer_colour(picture, frame_crop, inside, frame_inside, merge.colour)
        guide = detect_guide(self._mesh_finder, picture, face, matrix) if merge.mode == "mesh-guided" else None
        statistics = MergeStatistics(
            frame_colours=blending.measure_colours(frame_crop, frame_inside),
            face_colours=blending.measure_colours(picture, inside),
            centre_xy=face.points68[17:].mean(0).astype(np.float32),
            velocity_xy=np.zeros(2, np.float32),
            rest_shape=guide.rest_shape if guide is not None else None,
        )
        return MergePrediction(
            matrix=matrix,
            frame_crop=frame_crop,
            face=picture,
            mask=mask,
            frame_hw=(image_rgb.shape[0], image_rgb.shape[1]),
            guide=guide,
            statistics=statistics,
        )

    def _predict_crop(self, model_input: Array, morph: int) -> tuple[Array, Array, Array]:
        """Runs the model; the last result is kept, for previews that change nothing but the merge."""
        key, last = (model_input.tobytes(), morph), self._last
        if last is None or last[0] != key:
            last = (key, self._predictor(model_input, morph / 100))
            self._last = last
        return last[1]

    def smooth(self, window: Sequence[MergeStatistics], centre: int, options: SwapOptions) -> MergeStatistics:
        """See `Engine.smooth`: a Gaussian mean of colours and shape, and the movement between the neighbours."""
        current = window[centre]
        before, after = max(centre - 1, 0), min(centre + 1, len(window) - 1)
        velocity = (window[after].centre_xy - window[before].centre_xy) / max(after - before, 1)
        if options.temporal_smoothing == 0 or len(window) == 1:
            return dataclasses.replace(current, velocity_xy=velocity)
        kernel = np.exp(-np.square((np.arange(len(window)) - centre) / (3 * options.temporal_smoothing)) / 2)
        kernel = (kernel / kernel.sum()).astype(np.float32)
        shapes = [
            (frame.rest_shape, weight)
            for frame, weight in zip(window, kernel, strict=True)
            if frame.rest_shape is not None
        ]
        return MergeStatistics(
            frame_colours=np.tensordot(kernel, np.stack([frame.frame_colours for frame in window]), 1),
            face_colours=np.tensordot(kernel, np.stack([frame.face_colours for frame in window]), 1),
            centre_xy=current.centre_xy,
            velocity_xy=velocity,
            rest_shape=np.average([shape for shape, _ in shapes], 0, [weight for _, weight in shapes])
            if shapes
            else None,
        )

    def composite(
        self, prediction: MergePrediction, statistics: MergeStatistics, options: SwapOptions, *, seed: int
    ) -> Patch:
        """See `Engine.composite`."""
        merge = self.merge_options(options)
        if merge.mode == "mask":
            return _mask_patch(prediction, erode_and_blur(prediction.mask, merge))
        return _warp_back(prediction, *self.composite_crop(prediction, statistics, options, seed=seed))

    def composite_crop(
        self, prediction: MergePrediction, statistics: MergeStatistics, options: SwapOptions, *, seed: int
    ) -> tuple[Array, Array]:
        """The new face in the crop, before it is warped back into the frame.

        Returns:
            (S, S, 3) float32 RGB in [0, 1], and its alpha, (S, S) float32 in [0, 1].
        """
        merge = self.merge_options(options)
        picture, frame, mask = prediction.face, prediction.frame_crop, erode_and_blur(prediction.mask, merge)
        if merge.mode == "original":
            return frame, np.zeros_like(mask)
        if merge.mode == "raw-predict":
            return picture, (prediction.mask > 0.5).astype(np.float32)
        if merge.colour == "rct":
            picture = blending.match_colours(picture, statistics.face_colours, statistics.frame_colours)
        picture = blending.filter_face(picture, merge, prediction.matrix[:, :2] @ statistics.velocity_xy)
        if merge.mode == "raw-rgb":
            return picture, np.ones_like(mask)
        if merge.denoise:
            frame = blending.denoise(frame, merge.denoise / 500)
        if "hist-match" in merge.mode:
            picture = blending.match_histograms(picture, frame, mask, merge.hist_threshold)
        if merge.mode.startswith("seamless"):
            picture = blending.blend_poisson(picture, frame, mask)
        if merge.mode == "mesh-guided":
            return blend_mesh_guided(picture, frame, mask, prediction.guide, statistics.rest_shape, options, seed)
        return picture, mask


def _restore(picture: Array, points5: Array, strength: float) -> Array:
    """(S, S, 3) float32 in [0, 1]: the predicted face with details from the restorer."""
    from facegen.facesets.enhance import enhance_face

    return enhance_face(np.rint(picture * 255).astype(np.uint8), points5, strength).astype(np.float32) / 255


def _resize(picture: Array, side: int) -> Array:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _warp_back(prediction: MergePrediction, picture: Array, alpha: Array) -> Patch:
    """The crop in the frame's own pixels: the box that it covers there."""
    side = alpha.shape[0]
    corners = crop.outline(prediction.matrix, side)
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0) // 2 * 2
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, prediction.frame_hw[::-1])
    image, alpha = blend.warp_back(picture, alpha, prediction.matrix, low, high)
    rgb = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return Patch(x=int(low[0]), y=int(low[1]), image_rgb=rgb, alpha=alpha)


def _mask_patch(prediction: MergePrediction, mask: Array) -> Patch:
    """The mask in white on black, over the whole frame."""
    height, width = prediction.frame_hw
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    white = cv2.warpAffine(mask, prediction.matrix, (width, height), flags=flags)
    grey = (np.clip(white, 0, 1) * 255).astype(np.uint8)
    return Patch(x=0, y=0, image_rgb=np.repeat(grey[..., None], 3, 2), alpha=np.ones((height, width), np.float32))
