"""The built-in swap engine: the source's texture rendered on the target's dense mesh.

The source's skin is unwrapped once into a texture without its shading (`texture.py`). For each frame the texture is
rasterised on the target's mesh and relit with the target's light; the target's own eyes and mouth interior are kept, and
so is what occludes the face. The engine is stateless: the points were smoothed over the whole clip before and light is
solved on them, so a result depends on its frame alone and frames can be rendered in any order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.device import choose_device, may_have_gpu
from facegen.faces import Face, blend, light, mesh
from facegen.faces.mask_models import parse_masks
from facegen.faces.mesh import Array
from facegen.media import Patch
from facegen.swap.delighting.delighter import Delighter
from facegen.swap.engines.eyes import recolour_irises
from facegen.swap.engines.occlusion import OcclusionDetector, VisibilityMask, smooth_visibility, temporal_weights
from facegen.swap.engines.shape import transfer_shape
from facegen.swap.engines.texture import (
    TEXTURE_SIZE,
    FaceTexture,
    Identity,
    build_identity,
    expression_strengths,
    pose_features,
    unshared_folds,
    unwrap_texture,
)
from facegen.swap.engines.warp import eye_mouth_mask, interpolate_vertices, remap, warp_field
from facegen.swap.harmonization.harmonizer import Harmonizer
from facegen.swap.harmonization.inputs import HarmonizationInput, Square, apply_fields
from facegen.swap.options import SwapOptions

if TYPE_CHECKING:
    import torch

WORK_SIZE = 512
"""Faces larger than this many pixels are rendered at this size and upscaled."""
SATURATION_EXPONENT = 0.7
"""How closely the saturation within a face follows that of the target's skin."""
MARGIN = 0.08
"""Room around the face, as a share of its size."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class FaceCrop:
    """The surroundings of one face in one frame, at the size they are rendered in.

    Attributes:
        origin_xy: its corner in the frame.
        frame_size_hw: its size in the frame.
        image_rgb: (h, w, 3) uint8.
        points: (478, 3) of the target, in its pixels.
        scale: its pixels per pixel of the frame.
        mask: visibility of the face; nothing when that is not known.
    """

    origin_xy: tuple[int, int]
    frame_size_hw: tuple[int, int]
    image_rgb: np.ndarray
    points: Array
    scale: float
    mask: VisibilityMask | None

    def warp_visibility(self, visibility: np.ndarray | None) -> Array | None:
        """(h, w) in [0, 1]: visibility warped from the parser's crop, (S, S) uint8, to this one."""
        if visibility is None or self.mask is None:
            return None
        # this crop -> frame -> the parser's crop, between pixel centres
        to_crop = self.mask.matrix[:, :2] / self.scale
        corner = np.array(self.origin_xy) + 0.5 / self.scale - 0.5
        inverse = np.column_stack([to_crop, self.mask.matrix[:, :2] @ corner + self.mask.matrix[:, 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(
            visibility,
            inverse.astype(np.float32),
            self.image_rgb.shape[1::-1],
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return warped.astype(np.float32) / 255


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MeshStatistics:
    """Frame statistics, smoothed over time before the frame is composited.

    Attributes:
        gain: (468, 3) log RGB that relights the texture like the target.
        saturation: factor on the texture's saturation, see `_relative_saturation`.
        excess: how many times sharper the texture is than the target.
        grain: standard deviation of the target's noise, 0..255.
        fields: (FIELD, FIELD, 4) of the finish, see `swap.harmonization`; nothing where it is off.
        visibility: (S, S) uint8 of the mask; nothing when it is not known.
    """

    gain: Array
    saturation: float
    excess: float
    grain: float
    fields: Array | None
    visibility: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MeshPrediction:
    """One face of one frame before it is relit and composited.

    Attributes:
        crop: the target.
        shape: (478, 3) where the new face's points go, in the crop's pixels.
        albedo: (h, w, 3) log albedo of the source, rasterised there.
        depth: (h, w) pixels, distance to the mesh's border.
        irises: the source's, see `iris_colours`.
        statistics: see there.
    """

    crop: FaceCrop
    shape: Array
    albedo: Array
    depth: Array
    irises: tuple[Array | None, Array | None]
    statistics: MeshStatistics


class MeshEngine:
    """Swaps by rendering the source's texture on the target's mesh."""

    name = "mesh"
    window_radius = 3

    def __init__(self, device: torch.device | None = None) -> None:
        """Make an engine.

        Args:
            device: a GPU of torch that does the dense steps of `composite`; None for one that is here and may be used.
        """
        self._occlusion = OcclusionDetector()
        self._delighter: Delighter | None = None
        self._harmonizer: Harmonizer | None = None
        self._device = device or _find_gpu()

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> Identity:
        """See `Engine.prepare`."""
        if self._delighter is None:
            self._delighter = Delighter.load()
        textures = []
        for image_rgb, face in pictures:
            mask = self._occlusion.detect(image_rgb, face, is_target=False)
            crop = _crop_face(image_rgb, face, mask, TEXTURE_SIZE)
            visible = crop.warp_visibility(mask.visibility) if mask is not None else None
            if visible is not None:
                # hair casts a soft shadow below it, which is no skin either
                reach = round(float(np.ptp(crop.points[:, 0])) * 0.03) + 1
                visible = cv2.erode(visible, np.ones((reach, 1), np.uint8), anchor=(0, reach - 1))
            textures.append(unwrap_texture(crop.image_rgb, crop.points, visible, face, self._delighter))
        return build_identity(textures, [face for _, face in pictures])

    def predict(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: Identity,
        options: SwapOptions,
        previous: MeshPrediction | None = None,
    ) -> MeshPrediction:
        """See `Engine.predict`."""
        mask = None
        if options.occlusion:
            previous_mask = previous.crop.mask if previous is not None else None
            models = parse_masks(options.masks)
            mask = self._occlusion.detect(image_rgb, face, is_target=True, previous=previous_mask, models=models)
        crop = _crop_face(image_rgb, face, mask, WORK_SIZE)
        texture = _select_texture(identity, face)
        shape = transfer_shape(crop.points, face, identity.rest_shape, options.face_shape)
        folds = unshared_folds(texture.expressions, expression_strengths(face))
        albedo, covered = _rasterise_texture(shape[: mesh.VERTEX_COUNT], texture, folds, crop.image_rgb.shape[:2])
        depth = blend.inner_distance(covered)
        inner = depth > 1 + 0.05 * float(np.ptp(shape[:, 0]))
        target_luma = crop.image_rgb[..., 1].astype(np.float32)
        gain, saturation = _relight(crop, texture, options)
        statistics = MeshStatistics(
            gain=gain,
            saturation=saturation,
            fields=None,
            excess=blend.sharpness(cv2.extractChannel(albedo, 1), inner)
            / max(blend.sharpness(light.to_log(target_luma), inner), 1e-3),
            grain=blend.measure_grain(target_luma, inner),
            visibility=mask.visibility if mask is not None else None,
        )
        prediction = MeshPrediction(
            crop=crop, shape=shape, albedo=albedo, depth=depth, irises=texture.irises, statistics=statistics
        )
        if options.finish == 0:
            return prediction
        # light changes slowly and is smoothed over time: the later frames of a group take what the first one has
        fields = self._harmonize(prediction, options) if previous is None else previous.statistics.fields
        return dataclasses.replace(prediction, statistics=dataclasses.replace(statistics, fields=fields))

    def _harmonize(self, prediction: MeshPrediction, options: SwapOptions) -> Array:
        """The fields of the finish for a drawing in its frame, scaled by their strength."""
        if self._harmonizer is None:
            self._harmonizer = Harmonizer.load()
        crop, statistics = prediction.crop, prediction.statistics
        inputs = HarmonizationInput.of(
            relight(prediction, statistics, options),
            prediction.depth > 0,
            crop.image_rgb,
            crop.points[: mesh.VERTEX_COUNT],
            prediction.shape[: mesh.VERTEX_COUNT],
            crop.warp_visibility(crop.mask.visibility if crop.mask is not None else None),
        )
        return self._harmonizer.predict(inputs) * np.float32(options.finish)

    def smooth(self, window: Sequence[MeshStatistics], centre: int, options: SwapOptions) -> MeshStatistics:
        """See `Engine.smooth`: a Gaussian mean over the frames around."""
        visibility = smooth_visibility([frame.visibility for frame in window], centre, options.temporal_smoothing)
        if len(window) == 1 or options.temporal_smoothing == 0:
            return dataclasses.replace(window[centre], visibility=visibility)
        weights = temporal_weights(len(window), centre, options.temporal_smoothing)
        return MeshStatistics(
            gain=np.tensordot(weights, np.stack([frame.gain for frame in window]), 1),
            saturation=float(weights @ [frame.saturation for frame in window]),
            excess=float(weights @ [frame.excess for frame in window]),
            grain=float(weights @ [frame.grain for frame in window]),
            fields=None
            if options.finish == 0
            else np.tensordot(weights, np.stack([frame.fields for frame in window if frame.fields is not None]), 1),
            visibility=visibility,
        )

    def composite(
        self, prediction: MeshPrediction, statistics: MeshStatistics, options: SwapOptions, *, seed: int
    ) -> Patch:
        """See `Engine.composite`."""
        crop, shape = prediction.crop, prediction.shape[: mesh.VERTEX_COUNT]
        size = crop.image_rgb.shape[:2]
        width = float(np.ptp(shape[:, 0]))
        field, reach = warp_field(crop.points[: mesh.VERTEX_COUNT], shape, size)
        wide = blend.feather(prediction.depth, width * (0.05 + 0.25 * options.mask_feather)) * reach
        narrow = blend.feather(prediction.depth, width * (0.02 + 0.1 * options.mask_feather)) * reach
        visible = crop.warp_visibility(statistics.visibility)
        if visible is not None:
            visible = remap(visible, field)
            wide, narrow = wide * visible, narrow * visible
        grain = blend.draw_grain(size, statistics.grain * options.grain_match, seed)
        if self._device is not None:
            from facegen.swap.engines import dense

            opacity = wide, narrow
            result = dense.composite_face(prediction, statistics, options, field, opacity, grain, self._device)
            if result is not None:
                return _patch(crop, result, np.minimum(reach * 50, 1))
        drawn = relight(prediction, statistics, options)
        if statistics.fields is not None:
            drawn = apply_fields(drawn, statistics.fields, Square.of(size), width)
        relit = np.clip(light.from_log(drawn), 0, 255)
        relit += grain
        warped = remap(crop.image_rgb, field).astype(np.float32)
        eyes_mouth = recolour_irises(warped, prediction.shape, prediction.irises)
        face = relit + (eyes_mouth - relit) * cv2.merge([eye_mouth_mask(shape, size)] * 3)
        result = blend.blend_bands(warped, face, wide, narrow, width * 0.03)
        return _patch(crop, result, np.minimum(reach * 50, 1))


def _find_gpu() -> torch.device | None:
    """The CUDA device that work goes to; None without one."""
    if not may_have_gpu():
        return None
    device = choose_device()
    return device if device.type == "cuda" else None


def relight(prediction: MeshPrediction, statistics: MeshStatistics, options: SwapOptions) -> Array:
    """(h, w, 3) log RGB: the texture in the target's focus, saturation and light, before the finish."""
    shape = prediction.shape[: mesh.VERTEX_COUNT]
    size = prediction.crop.image_rgb.shape[:2]
    grey = np.full((3, 3), (1 - statistics.saturation) / 3, np.float32)
    albedo = cv2.transform(prediction.albedo, grey + np.eye(3, dtype=np.float32) * statistics.saturation)
    albedo = blend.soften(albedo, 1 + (statistics.excess - 1) * options.sharpness_match)
    return albedo + interpolate_vertices(statistics.gain, shape, size)


def _crop_face(image_rgb: np.ndarray, face: Face, mask: VisibilityMask | None, work_size: int) -> FaceCrop:
    """The surroundings of a face, no larger than `work_size`."""
    points = face.points478
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    margin = float((high - low).max()) * MARGIN + 2
    height, width = image_rgb.shape[:2]
    x0, y0 = (np.clip(np.floor(low - margin), 0, [width - 2, height - 2]).astype(int) // 2 * 2).tolist()
    x1, y1 = np.clip(np.ceil(high + margin), [x0 + 2, y0 + 2], [width, height]).astype(int).tolist()
    scale = min(work_size / max(x1 - x0, y1 - y0), 1.0)
    picture = image_rgb[y0:y1, x0:x1]
    if scale < 1:
        size = (max(round((x1 - x0) * scale), 2), max(round((y1 - y0) * scale), 2))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return FaceCrop(
        origin_xy=(x0, y0),
        frame_size_hw=(y1 - y0, x1 - x0),
        image_rgb=picture,
        points=((points - np.array([x0, y0, 0], np.float32)) * np.float32(scale)).astype(np.float32),
        scale=scale,
        mask=mask,
    )


def _select_texture(identity: Identity, face: Face) -> FaceTexture:
    """The nearest two textures in pose and expression, interpolated by their distances."""
    if len(identity.textures) == 1:
        return identity.textures[0]
    features = np.stack([texture.pose_features for texture in identity.textures])
    distances = np.square(features - pose_features(face)).sum(1)
    first, second = np.argsort(distances)[:2]
    share = float(distances[first] / (distances[first] + distances[second] + 1e-6))
    a, b = identity.textures[first], identity.textures[second]
    return FaceTexture(
        albedo_log=tuple(x + (y - x) * share for x, y in zip(a.albedo_log, b.albedo_log, strict=True)),
        vertex_albedo=a.vertex_albedo + (b.vertex_albedo - a.vertex_albedo) * share,
        tone=a.tone + (b.tone - a.tone) * share,
        pose_features=a.pose_features,
        folds=a.folds + (b.folds - a.folds) * share,
        expressions=a.expressions + (b.expressions - a.expressions) * share,
        irises=a.irises,
    )


def _relight(crop: FaceCrop, texture: FaceTexture, options: SwapOptions) -> tuple[Array, float]:
    """(468, 3) log gain that the texture needs at each vertex, and the factor on its saturation."""
    points = crop.points[: mesh.VERTEX_COUNT]
    normals = mesh.normals(points)
    height, width = crop.image_rgb.shape[:2]
    is_inside = ((points[:, :2] >= 1) & (points[:, :2] <= [width - 1, height - 1])).all(1)
    weights = light.facing(normals) * is_inside
    visible = crop.warp_visibility(crop.mask.visibility if crop.mask is not None else None)
    if visible is not None:
        weights = weights * mesh.sample(visible[..., None], points)[:, 0]
    colours = light.vertex_colours(crop.image_rgb, points, visible)
    gain = light.relight(texture.vertex_albedo, colours, normals, weights)
    target_tone = np.average(colours, axis=0, weights=weights * light.skin_vertices() + 1e-6)
    saturation = _relative_saturation(target_tone, texture.tone)
    if options.colour < 1:
        source_chroma = texture.tone - texture.tone.mean()
        mean_gain = gain.mean(0)
        chroma = mean_gain - mean_gain.mean()
        gain = gain + (source_chroma - chroma) * (1 - options.colour)
    return gain, 1 + (saturation - 1) * options.colour


def _relative_saturation(target_tone: Array, source_tone: Array) -> float:
    """Saturation of the target's skin by that of the source's, 0.1..1: in a desaturated clip lips and cheeks are, too.

    Args:
        target_tone: (3,) log RGB of the target's skin.
        source_tone: (3,) log RGB of the source's.
    """
    target, source = (float(np.linalg.norm(tone - tone.mean())) for tone in (target_tone, source_tone))
    return float(np.clip((target / (source + 1e-3)) ** SATURATION_EXPONENT, 0.1, 1))


def _rasterise_texture(
    shape: Array, texture: FaceTexture, folds: Array, size_hw: tuple[int, int]
) -> tuple[Array, np.ndarray]:
    """(h, w, 3) float32 log albedo of the texture on the target's mesh, and (h, w) bool where the mesh is.

    Args:
        shape: (468, 3) pixels.
        texture: the source's.
        folds: (468,) 0..1 how much of its folds is left out.
        size_hw: of the crop.
    """
    texels = TEXTURE_SIZE / max(float(np.ptp(shape[:, 0])), 1)
    level = min(int(np.log2(max(texels, 1)) + 0.3), len(texture.albedo_log) - 1)
    albedo = texture.albedo_log[level]
    texels_xy = mesh.topology().uv * np.float32(albedo.shape[0]) - np.float32(0.5)
    coordinates, covered = mesh.rasterise(shape, np.column_stack([texels_xy, folds]), size_hw)
    map_x, map_y, share = cv2.split(coordinates)
    drawn = cv2.remap(albedo, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if folds.any():
        scale = texture.folds.shape[0] / albedo.shape[0]
        map_x, map_y = ((places + 0.5) * scale - 0.5 for places in (map_x, map_y))
        relief = cv2.remap(texture.folds, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        drawn = drawn - relief * cv2.merge([share] * 3)
    return drawn, covered


def _patch(crop: FaceCrop, result: Array, alpha: Array) -> Patch:
    """Back to the frame's own pixels."""
    if crop.frame_size_hw != crop.image_rgb.shape[:2]:
        result = cv2.resize(result, crop.frame_size_hw[::-1], interpolation=cv2.INTER_CUBIC)
        alpha = cv2.resize(alpha, crop.frame_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return Patch(
        x=crop.origin_xy[0], y=crop.origin_xy[1], image_rgb=np.clip(result, 0, 255).astype(np.uint8), alpha=alpha
    )
