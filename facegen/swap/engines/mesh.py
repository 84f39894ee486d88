"""The embedded swap engine: the source face worn by the target through the dense mesh.

The source's skin is unwrapped once into a texture from which its own light has been taken (`texture.py`). For each
frame the texture is drawn through the target's points in perspective, the target's light is put on it, the target's own
eyes and mouth interior look through, and what stands in front of the face stays in front. Nothing is remembered between
frames: the points were smoothed over the whole clip before and light is solved on them, so a result depends on its
frame alone and frames can be rendered in any order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from facegen.faces import Face, blend, light, mesh
from facegen.faces.mesh import Array
from facegen.media import Patch
from facegen.swap.engines.eyes import recoloured
from facegen.swap.engines.occlusion import Mask, Occlusion, calm
from facegen.swap.engines.shape import shaped
from facegen.swap.engines.texture import TEXTURE_SIZE, Identity, Texture, make_identity, make_texture, view_of
from facegen.swap.engines.warp import enlarged, followed, openings, taken
from facegen.swap.options import SwapOptions

WORK_SIZE = 512
"""Faces larger than this many pixels are rendered at this size and enlarged."""
PALE = 0.7
"""How closely the colours within a face follow how colourful the target's skin is."""
MARGIN = 0.08
"""Room around the face, as a share of its size."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """The neighbourhood of one face in one frame, at the size it is rendered in.

    Attributes:
        origin_xy: its corner in the frame.
        frame_size_hw: its size in the frame.
        image_rgb: (h, w, 3) uint8.
        points: (478, 3) of the target, in its pixels.
        scale: its pixels per pixel of the frame.
        mask: how far it is uncovered; nothing when that is not known.
    """

    origin_xy: tuple[int, int]
    frame_size_hw: tuple[int, int]
    image_rgb: np.ndarray
    points: Array
    scale: float
    mask: Mask | None

    def visible(self, share: np.ndarray | None) -> Array | None:
        """(h, w) how far each pixel of the view is uncovered face, 0..1, from the share in the mask's crop."""
        if share is None or self.mask is None:
            return None
        # view pixel -> frame pixel -> crop pixel, between pixel centres
        to_crop = self.mask.matrix[:, :2] / self.scale
        corner = np.array(self.origin_xy) + 0.5 / self.scale - 0.5
        inverse = np.column_stack([to_crop, self.mask.matrix[:, :2] @ corner + self.mask.matrix[:, 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = cv2.warpAffine(
            share,
            inverse.astype(np.float32),
            self.image_rgb.shape[1::-1],
            flags=flags,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return found.astype(np.float32) / 255


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Cues:
    """What is measured on a frame and settled over its neighbours.

    Attributes:
        gain: (468, 3) log RGB that puts the target's light on the texture.
        colourful: how much of the texture's colour the target's shows, see `_colourful`.
        excess: how many times sharper the texture is than the target.
        grain: standard deviation of the target's noise, 0..255.
        uncovered: (S, S) uint8 share of the mask; nothing when it is not known, or is that of the frame before.
    """

    gain: Array
    colourful: float
    excess: float
    grain: float
    uncovered: np.ndarray | None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class MeshDraft:
    """One face of one frame before its light is settled.

    Attributes:
        view: the target.
        shape: (478, 3) where the new face's points go, in the view's pixels.
        albedo: (h, w, 3) log albedo of the source, drawn in place.
        depth: (h, w) pixels, how deep inside the mesh each pixel lies.
        irises: the source's, see `iris_colours`.
        cues: see there.
    """

    view: View
    shape: Array
    albedo: Array
    depth: Array
    irises: tuple[Array | None, Array | None]
    cues: Cues


class MeshEngine:
    """Swaps by drawing the source's de-lit texture through the target's mesh."""

    name = "mesh"
    look_around = 3

    def __init__(self) -> None:
        self._occlusion = Occlusion()

    def prepare(self, pictures: Sequence[tuple[np.ndarray, Face]]) -> Identity:
        """See `Engine.prepare`."""
        textures = []
        for image_rgb, face in pictures:
            mask = self._occlusion.mask(image_rgb, face, is_worn=False)
            view = _view(image_rgb, face, mask, TEXTURE_SIZE)
            visible = view.visible(mask.share) if mask is not None else None
            if visible is not None:
                # hair ends in a soft shadow, which is no skin either: look upwards for it
                reach = round(float(np.ptp(view.points[:, 0])) * 0.03) + 1
                visible = cv2.erode(visible, np.ones((reach, 1), np.uint8), anchor=(0, reach - 1))
            textures.append(make_texture(view.image_rgb, view.points, visible, view_of(face)))
        return make_identity(textures, [face for _, face in pictures])

    def draft(
        self,
        image_rgb: np.ndarray,
        face: Face,
        identity: Identity,
        options: SwapOptions,
        before: MeshDraft | None = None,
    ) -> MeshDraft:
        """See `Engine.draft`."""
        mask = None
        if options.occlusion:
            earlier = before.view.mask if before is not None else None
            mask = self._occlusion.mask(image_rgb, face, is_worn=True, before=earlier)
        view = _view(image_rgb, face, mask, WORK_SIZE)
        texture = _chosen(identity, face)
        shape = shaped(view.points, face, identity.rest, options.face_shape)
        albedo, covered = _drawn(shape[: mesh.VERTEX_COUNT], texture, view.image_rgb.shape[:2])
        depth = blend.depth_of(covered)
        looked_at = depth > 1 + 0.05 * float(np.ptp(shape[:, 0]))
        target_luma = view.image_rgb[..., 1].astype(np.float32)
        gain, colourful = _light_of(view, texture, options)
        cues = Cues(
            gain=gain,
            colourful=colourful,
            excess=blend.sharpness(cv2.extractChannel(albedo, 1), looked_at)
            / max(blend.sharpness(light.to_log(target_luma), looked_at), 1e-3),
            grain=blend.grain_of(target_luma, looked_at),
            uncovered=mask.share if mask is not None and mask.is_own else None,
        )
        return MeshDraft(view=view, shape=shape, albedo=albedo, depth=depth, irises=texture.irises, cues=cues)

    def settle(self, window: Sequence[Cues], centre: int, options: SwapOptions) -> Cues:
        """See `Engine.settle`: a Gaussian mean over the frames around."""
        uncovered = calm([cues.uncovered for cues in window], centre, options.temporal_smoothing)
        if len(window) == 1 or options.temporal_smoothing == 0:
            return dataclasses.replace(window[centre], uncovered=uncovered)
        offsets = np.arange(len(window)) - centre
        weights = np.exp(-np.square(offsets / (3 * options.temporal_smoothing)) / 2).astype(np.float32)
        weights /= weights.sum()
        return Cues(
            gain=np.tensordot(weights, np.stack([cues.gain for cues in window]), 1),
            colourful=float(weights @ [cues.colourful for cues in window]),
            excess=float(weights @ [cues.excess for cues in window]),
            grain=float(weights @ [cues.grain for cues in window]),
            uncovered=uncovered,
        )

    def render(self, draft: MeshDraft, cues: Cues, options: SwapOptions, *, seed: int) -> Patch:
        """See `Engine.render`."""
        view, shape = draft.view, draft.shape[: mesh.VERTEX_COUNT]
        size = view.image_rgb.shape[:2]
        width = float(np.ptp(shape[:, 0]))
        grey = np.full((3, 3), (1 - cues.colourful) / 3, np.float32)
        albedo = cv2.transform(draft.albedo, grey + np.eye(3, dtype=np.float32) * cues.colourful)
        lit = np.clip(light.from_log(albedo + enlarged(cues.gain, shape, size)), 0, 255)
        lit = blend.blurred_to(lit, 1 + (cues.excess - 1) * options.sharpness_match)
        lit += blend.grain(size, cues.grain * options.grain_match, seed)
        there, reach = followed(view.points[: mesh.VERTEX_COUNT], shape, size)
        moved = taken(view.image_rgb, there).astype(np.float32)
        inside = recoloured(moved, draft.shape, draft.irises)
        drawn = lit + (inside - lit) * cv2.merge([openings(shape, size)] * 3)
        wide = blend.ramp(draft.depth, width * (0.05 + 0.25 * options.mask_feather)) * reach
        narrow = blend.ramp(draft.depth, width * (0.02 + 0.1 * options.mask_feather)) * reach
        visible = view.visible(cues.uncovered)
        if visible is not None:
            visible = taken(visible, there)
            wide, narrow = wide * visible, narrow * visible
        result = blend.two_bands(moved, drawn, wide, narrow, width * 0.03)
        return _patch(view, result, np.minimum(reach * 50, 1))


def _view(image_rgb: np.ndarray, face: Face, mask: Mask | None, work_size: int) -> View:
    """The neighbourhood of a face, no larger than `work_size`."""
    points = face.points478
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    margin = float((high - low).max()) * MARGIN + 2
    height, width = image_rgb.shape[:2]
    x0, y0 = (np.clip(np.floor(low - margin), 0, [width - 2, height - 2]).astype(int) // 2 * 2).tolist()
    x1, y1 = np.clip(np.ceil(high + margin), [x0 + 2, y0 + 2], [width, height]).astype(int).tolist()
    scale = min(work_size / max(x1 - x0, y1 - y0), 1.0)
    crop = image_rgb[y0:y1, x0:x1]
    if scale < 1:
        size = (max(round((x1 - x0) * scale), 2), max(round((y1 - y0) * scale), 2))
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return View(
        origin_xy=(x0, y0),
        frame_size_hw=(y1 - y0, x1 - x0),
        image_rgb=crop,
        points=((points - np.array([x0, y0, 0], np.float32)) * np.float32(scale)).astype(np.float32),
        scale=scale,
        mask=mask,
    )


def _chosen(identity: Identity, face: Face) -> Texture:
    """The texture for this moment: the nearest two in pose and expression, blended by how near they are."""
    if len(identity.textures) == 1:
        return identity.textures[0]
    views = np.stack([texture.view for texture in identity.textures])
    distances = np.square(views - view_of(face)).sum(1)
    first, second = np.argsort(distances)[:2]
    share = float(distances[first] / (distances[first] + distances[second] + 1e-6))
    a, b = identity.textures[first], identity.textures[second]
    return Texture(
        albedo_log=tuple(x + (y - x) * share for x, y in zip(a.albedo_log, b.albedo_log, strict=True)),
        vertex_albedo=a.vertex_albedo + (b.vertex_albedo - a.vertex_albedo) * share,
        tone=a.tone + (b.tone - a.tone) * share,
        view=a.view,
        irises=a.irises,
    )


def _light_of(view: View, texture: Texture, options: SwapOptions) -> tuple[Array, float]:
    """(468, 3) log light and tone that the texture needs at each vertex, and how colourful it may be."""
    points = view.points[: mesh.VERTEX_COUNT]
    normals = mesh.normals(points)
    height, width = view.image_rgb.shape[:2]
    is_inside = ((points[:, :2] >= 1) & (points[:, :2] <= [width - 1, height - 1])).all(1)
    weights = light.facing(normals) * is_inside
    visible = view.visible(view.mask.share if view.mask is not None else None)
    if visible is not None:
        weights = weights * mesh.sample(visible[..., None], points)[:, 0]
    colours = light.vertex_colours(view.image_rgb, points, visible)
    gain = light.relight(texture.vertex_albedo, colours, normals, weights)
    colourful = _colourful(np.average(colours, axis=0, weights=weights * light.skin_vertices() + 1e-6), texture.tone)
    if options.colour < 1:
        own_tone = texture.tone - texture.tone.mean()
        mean_gain = gain.mean(0)
        chroma = mean_gain - mean_gain.mean()
        gain = gain + (own_tone - chroma) * (1 - options.colour)
    return gain, 1 + (colourful - 1) * options.colour


def _colourful(target_tone: Array, source_tone: Array) -> float:
    """How far lips, cheeks and shades keep their colour, 0.1..1: in a clip of pale or toned colours skin's are pale, too.

    Args:
        target_tone: (3,) log RGB of the target's skin.
        source_tone: (3,) log RGB of the source's.
    """
    target, source = (float(np.linalg.norm(tone - tone.mean())) for tone in (target_tone, source_tone))
    return float(np.clip((target / (source + 1e-3)) ** PALE, 0.1, 1))


def _drawn(shape: Array, texture: Texture, size_hw: tuple[int, int]) -> tuple[Array, np.ndarray]:
    """(h, w, 3) float32 log albedo of the texture on the target's mesh, and (h, w) bool where the mesh is."""
    texels = TEXTURE_SIZE / max(float(np.ptp(shape[:, 0])), 1)
    level = min(int(np.log2(max(texels, 1)) + 0.3), len(texture.albedo_log) - 1)
    albedo = texture.albedo_log[level]
    places = mesh.topology().uv * np.float32(albedo.shape[0]) - np.float32(0.5)
    where, covered = mesh.rasterise(shape, np.column_stack([places, np.zeros(len(shape))]), size_hw)
    map_x, map_y, _ = cv2.split(where)
    return cv2.remap(albedo, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), covered


def _patch(view: View, result: Array, alpha: Array) -> Patch:
    """Back to the frame's own pixels."""
    if view.frame_size_hw != view.image_rgb.shape[:2]:
        result = cv2.resize(result, view.frame_size_hw[::-1], interpolation=cv2.INTER_CUBIC)
        alpha = cv2.resize(alpha, view.frame_size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return Patch(
        x=view.origin_xy[0], y=view.origin_xy[1], image_rgb=np.clip(result, 0, 255).astype(np.uint8), alpha=alpha
    )
