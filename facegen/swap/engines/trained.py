"""The engines of models trained for two people: `autoencoder:RUN` and `dfm:FILE`. They know their person B by heart.

```
draft    crop the face, draw it as B, measure colours and place
settle   colours and movement made calm over the track
render   colours, mask, mode: the crop with the new face, put back into the frame
```
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import Face, align, weights
from facegen.faces.landmark import MeshFinder
from facegen.facesets import crop, quality
from facegen.facesets.cut import warp_black
from facegen.hub import fetch
from facegen.media import Patch
from facegen.swap.autoencoder import laying
from facegen.swap.autoencoder.merge import MergeOptions, merge_options
from facegen.swap.engines.guided import Guide, find_guide, guided
from facegen.swap.engines.occlusion import Occlusion
from facegen.swap.engines.painter import OnnxPainter, Painter, TorchPainter
from facegen.swap.options import SwapOptions

if TYPE_CHECKING:
    from facegen.facesets.mask_task import OwnMask

Array = np.ndarray
LARGEST = 1024
"""Faces are merged in a crop of at most this side."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Cues:
    """What is measured on a frame and settled over its neighbours.

    Attributes:
        wanted: (2, 3) mean and deviation of the frame's colours in the face, L*a*b*.
        own: (2, 3) those of the drawn face.
        centre_xy: (2,) where the face is in the frame, pixels.
        velocity_xy: (2,) pixels of the frame that it moves from frame to frame; known once settled.
        rest: (468, 3) shape of the drawn person without expression, where the merge is guided by it.
    """

    wanted: Array
    own: Array
    centre_xy: Array
    velocity_xy: Array
    rest: Array | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TrainedDraft:
    """One face of one frame, drawn as B.

    Attributes:
        matrix: (2, 3) from frame to crop pixels.
        target: (S, S, 3) float32 crop of the frame, 0..1.
        drawn: (S, S, 3) the new face.
        mask: (S, S) where it goes, before it is shaped.
        frame_hw: size of the frame.
        guide: the meshes, where the merge is guided by them.
        cues: see there.
    """

    matrix: Array
    target: Array
    drawn: Array
    mask: Array
    frame_hw: tuple[int, int]
    guide: Guide | None
    cues: Cues


class TrainedEngine:
    """Swaps with a model that was trained for two people.

    Args:
        name: as `SwapOptions.engine` has it: «autoencoder:RUN» or «dfm:FILE».
    """

    look_around = 3

    def __init__(self, name: str) -> None:
        kind, _, place = name.partition(":")
        self.name = name
        self._place = Path(place) if kind == "autoencoder" else None
        self._painter: Painter = TorchPainter(Path(place)) if kind == "autoencoder" else OnnxPainter(Path(place))
        self._own_masks: dict[str, OwnMask] = {}
        self._last: tuple[tuple[bytes, int], tuple[Array, Array, Array]] | None = None

    @cached_property
    def _finder(self) -> MeshFinder:
        return MeshFinder(fetch(weights.FACE_LANDMARKER))

    @cached_property
    def _occlusion(self) -> Occlusion:
        return Occlusion()

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> str:
        """Nothing is needed: the model knows whose face it draws."""
        return self.name

    def merge(self, options: SwapOptions) -> MergeOptions:
        """How the face is laid over the frame."""
        return merge_options(options.merge, self._place)

    def draft(
        self, image_rgb: np.ndarray, face: Face, identity: str, options: SwapOptions, before: TrainedDraft | None = None
    ) -> TrainedDraft:
        """See `Engine.draft`."""
        merge, painter = self.merge(options), self._painter
        kind = crop.face_type(painter.face_type)
        small = crop.crop_matrix(face.points68, kind, painter.resolution, face.yaw_deg)
        seen = warp_black(image_rgb, small, painter.resolution).astype(np.float32) / 255
        drawn, mask_new, mask_old = self._painted(seen, merge.morph)
        scale = float(np.hypot(small[0, 0], small[1, 0]))
        side = int(np.clip(round(painter.resolution / scale), painter.resolution, LARGEST))
        matrix = crop.crop_matrix(face.points68, kind, side, face.yaw_deg)
        target = warp_black(image_rgb, matrix, side).astype(np.float32) / 255
        masks = {"prd": _enlarged(mask_new, side), "dst": _enlarged(mask_old, side)}
        mask = self._mask(merge, masks, face, image_rgb, matrix, side)
        picture = np.clip(_enlarged(drawn, side), 0, 1)
        if merge.restore:
            picture = _restored(picture, align.apply(matrix, face.points5), merge.restore / 100)
        there = (mask > 0.5).astype(np.float32)
        if merge.face_scale:
            about = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 0, 1 + merge.face_scale / 100)
            picture = cv2.warpAffine(picture, about, (side, side), borderMode=cv2.BORDER_REPLICATE)
            mask = cv2.warpAffine(mask, about, (side, side))
        inside = (mask > 0.5).astype(np.float32)
        if merge.colour not in ("none", "rct") and merge.mode != "raw-predict":
            picture = laying.transferred(picture, target, inside, there, merge.colour)
        guide = None
        if merge.mode == "mesh-guided":
            guide = find_guide(self._finder, picture, face, matrix)
        cues = Cues(
            wanted=laying.moments(target, there),
            own=laying.moments(picture, inside),
            centre_xy=face.points68[17:].mean(0).astype(np.float32),
            velocity_xy=np.zeros(2, np.float32),
            rest=guide.rest if guide is not None else None,
        )
        hw = (image_rgb.shape[0], image_rgb.shape[1])
        return TrainedDraft(matrix=matrix, target=target, drawn=picture, mask=mask, frame_hw=hw, guide=guide, cues=cues)

    def _painted(self, seen: Array, morph: int) -> tuple[Array, Array, Array]:
        """What the painter makes of a crop; the last one is kept, for previews that change nothing but the merge."""
        key, last = (seen.tobytes(), morph), self._last
        if last is None or last[0] != key:
            last = (key, self._painter(seen, morph / 100))
            self._last = last
        return last[1]

    def settle(self, window: Sequence[Cues], centre: int, options: SwapOptions) -> Cues:
        """See `Engine.settle`: a Gaussian mean of the colours, and the movement from the frames beside."""
        own = window[centre]
        before, after = max(centre - 1, 0), min(centre + 1, len(window) - 1)
        steps = max(after - before, 1)
        velocity = (window[after].centre_xy - window[before].centre_xy) / steps
        if options.temporal_smoothing == 0 or len(window) == 1:
            return dataclasses.replace(own, velocity_xy=velocity)
        weights = np.exp(-np.square((np.arange(len(window)) - centre) / (3 * options.temporal_smoothing)) / 2)
        weights = (weights / weights.sum()).astype(np.float32)
        known = [(cues.rest, weight) for cues, weight in zip(window, weights, strict=True) if cues.rest is not None]
        return dataclasses.replace(
            own,
            rest=np.average([rest for rest, _ in known], 0, [weight for _, weight in known]) if known else None,
            wanted=np.tensordot(weights, np.stack([cues.wanted for cues in window]), 1),
            own=np.tensordot(weights, np.stack([cues.own for cues in window]), 1),
            velocity_xy=velocity,
        )

    def render(self, draft: TrainedDraft, cues: Cues, options: SwapOptions, *, seed: int) -> Patch:
        """See `Engine.render`."""
        merge = self.merge(options)
        if merge.mode == "mask":
            return _mask_alone(draft, laying.shaped_mask(draft.mask, merge))
        return _patch(draft, *self.laid(draft, cues, options, seed=seed))

    def laid(self, draft: TrainedDraft, cues: Cues, options: SwapOptions, *, seed: int) -> tuple[Array, Array]:
        """The new face as it is laid over the crop.

        Returns:
            (S, S, 3) float32 RGB in 0..1, and how much of it shows, (S, S) float32 in 0..1.
        """
        merge = self.merge(options)
        picture, target, mask = draft.drawn, draft.target, laying.shaped_mask(draft.mask, merge)
        if merge.mode == "original":
            return target, np.zeros_like(mask)
        if merge.mode == "raw-predict":
            return picture, (draft.mask > 0.5).astype(np.float32)
        if merge.colour == "rct":
            picture = laying.with_moments(picture, cues.own, cues.wanted)
        picture = laying.refined(picture, merge, draft.matrix[:, :2] @ cues.velocity_xy)
        if merge.mode == "raw-rgb":
            return picture, np.ones_like(mask)
        if merge.denoise:
            strength = merge.denoise / 500
            soft = cv2.bilateralFilter(target, 0, 0.1 * strength + 1e-3, target.shape[0] / 128)
            target = target + (soft - target) * min(1.0, 4 * strength)
        if "hist-match" in merge.mode:
            picture = laying.histogram_matched(picture, target, mask, merge.hist_threshold)
        if merge.mode.startswith("seamless"):
            picture = laying.poisson(picture, target, mask)
        if merge.mode == "mesh-guided":
            return guided(picture, target, mask, draft.guide, cues.rest, options, seed)
        return picture, mask

    def _mask(
        self, merge: MergeOptions, masks: dict[str, Array], face: Face, image_rgb: Array, matrix: Array, side: int
    ) -> Array:
        """(S, S) float32 in 0..1."""
        if merge.mask == "full":
            mask = np.ones((side, side), np.float32)
        elif merge.mask == "hull":
            mask = _hull(face, matrix, side)
        elif merge.mask == "learned-prd":
            mask = masks["prd"]
        elif merge.mask == "learned-dst":
            mask = masks["dst"]
        elif merge.mask == "learned-prd+dst":
            mask = np.maximum(masks["prd"], masks["dst"])
        elif merge.mask == "learned-prd*dst":
            mask = masks["prd"] * masks["dst"]
        elif merge.mask == "own":
            mask = self._own(merge.own_mask, align.apply(matrix, face.points5), image_rgb, matrix, side)
        else:
            mask = self._parsed(face, image_rgb, matrix, side)
            if merge.mask == "parser*learned":
                mask = mask * masks["prd"] * masks["dst"]
        if merge.mode == "mesh-guided":
            mask = mask * _hull(face, matrix, side)
        return np.clip(mask, 0, 1).astype(np.float32)

    def _parsed(self, face: Face, image_rgb: Array, matrix: Array, side: int) -> Array:
        found = self._occlusion.mask(image_rgb, face, is_worn=True)
        if found is None:
            raise InputError("Expected the face parser's weights for this mask, found none; choose another mask.")
        between = (np.vstack([matrix, [0, 0, 1]]) @ np.vstack([align.invert(found.matrix), [0, 0, 1]]))[:2]
        share = cv2.warpAffine(found.share, between.astype(np.float32), (side, side), flags=cv2.INTER_LINEAR)
        return share.astype(np.float32) / 255

    def _own(self, place: str, points5: Array, image_rgb: Array, matrix: Array, side: int) -> Array:
        if place not in self._own_masks:
            from facegen.facesets.mask_task import OwnMask

            self._own_masks[place] = OwnMask(Path(place))
        found = self._own_masks[place].inside(points5, warp_black(image_rgb, matrix, side))
        return found.astype(np.float32) / 255


def _restored(picture: Array, points5: Array, strength: float) -> Array:
    """(S, S, 3) float32 in 0..1: a drawn face with details brought back."""
    from facegen.facesets.enhance import enhanced

    return enhanced(np.rint(picture * 255).astype(np.uint8), points5, strength).astype(np.float32) / 255


def _hull(face: Face, matrix: Array, side: int) -> Array:
    """(S, S) float32: the outline of the face's own points."""
    from facegen.faces import mesh

    outline = align.apply(matrix, face.points478[list(mesh.FACE_OVAL), :2])
    return quality.hull_mask(outline.astype(np.float32), (side, side)).astype(np.float32) / 255


def _enlarged(picture: Array, side: int) -> Array:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _patch(draft: TrainedDraft, picture: Array, mask: Array) -> Patch:
    """A crop back in the frame's own pixels: the box that the crop covers there."""
    side = mask.shape[0]
    corners = crop.outline(draft.matrix, side)
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0) // 2 * 2
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, draft.frame_hw[::-1])
    width, height = np.maximum(high - low, 1).tolist()
    matrix = draft.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ low
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    image = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(mask.astype(np.float32), matrix, (width, height), flags=flags)
    rgb = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    return Patch(x=int(low[0]), y=int(low[1]), image_rgb=rgb, alpha=np.clip(alpha, 0, 1))


def _mask_alone(draft: TrainedDraft, mask: Array) -> Patch:
    """The whole frame black, and white where the new face goes."""
    height, width = draft.frame_hw
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    white = cv2.warpAffine(mask, draft.matrix, (width, height), flags=flags)
    grey = (np.clip(white, 0, 1) * 255).astype(np.uint8)
    return Patch(x=0, y=0, image_rgb=np.repeat(grey[..., None], 3, 2), alpha=np.ones((height, width), np.float32))
