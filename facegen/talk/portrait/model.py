"""A portrait ready to be animated: the picture, the mesh of its head, its face rig and the inside of its mouth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from facegen.faces import Face, mesh
from facegen.talk.portrait.face_rig import FaceRig
from facegen.talk.portrait.head_mesh import HeadMesh
from facegen.talk.portrait.mouth_interior import CELLS_PER_CM, MouthInterior, PictureTeeth
from facegen.talk.rig import LOWER_LIP, UPPER_LIP, MouthRig

Array = np.ndarray

TEETH_DEPTH_CM = 0.9
"""How far behind the lips the teeth are."""
_SMILE_CM = 0.28
"""Lip gap from which a picture shows teeth that can be used."""
_LIP_TO_TEETH_CM = 0.3
"""Greatest distance from the upper lip to its teeth; what begins lower belongs to the lower jaw."""
_LUMA = np.array([0.3, 0.59, 0.11], np.float32)
_CHEEKS = (50, 280, 101, 330, 205, 425)


@dataclass(frozen=True, eq=False, kw_only=True)
class PortraitModel:
    """A portrait ready to be animated.

    Attributes:
        image_rgb: (H, W, 3) uint8 the picture.
        head: mesh and pose of the head.
        rig: offsets of the mesh for mouth, lids and brows.
        interior: what shows between open lips.
        mouth_origin: (3,) canonical position of the middle of the closed lips, at the depth of the teeth.
    """

    image_rgb: np.ndarray
    head: HeadMesh
    rig: FaceRig
    interior: MouthInterior
    mouth_origin: Array

    @classmethod
    def of(cls, image_rgb: np.ndarray, face: Face, mouth_rig: MouthRig) -> PortraitModel:
        """Fits the model to a picture.

        Args:
            image_rgb: (H, W, 3) uint8.
            face: the face that is to speak.
            mouth_rig: basis of mouth movements.
        """
        points = face.points478[: mesh.VERTEX_COUNT]
        head = HeadMesh.of(points)
        canonical = head.pose.to_canonical(points)
        rig = FaceRig.of(canonical, mouth_rig)
        mouth_origin = _locate_mouth(rig)
        teeth = None
        if rig.gap_cm > _SMILE_CM:
            teeth = _extract_teeth(image_rgb, head, mouth_origin, rig.mouth_scale)
        interior = cls.estimate_interior(image_rgb, head, rig.mouth_scale)
        if teeth is not None:
            shown = teeth.image_rgb[teeth.opacity > 0.8]
            white = np.percentile(shown, 60, axis=0) / np.array([1, 0.95, 0.84])
            white = white * min(1.0, 245 / float(white.max()))
            interior = replace(interior, white=np.asarray(white, np.float32), teeth=teeth)
        return cls(image_rgb=image_rgb, head=head, rig=rig, interior=interior, mouth_origin=mouth_origin)

    @staticmethod
    def estimate_interior(image_rgb: np.ndarray, head: HeadMesh, mouth_scale: float) -> MouthInterior:
        """The inside of a mouth that the picture does not show, in the picture's light."""
        white = np.asarray(_estimate_white(image_rgb, head.face), np.float32)
        softness = _estimate_blur(image_rgb, head.face) / (head.pose.scale * mouth_scale)
        return MouthInterior(white=white, teeth=None, softness_cm=softness)

    @classmethod
    def of_frame(cls, image_rgb: np.ndarray, head: HeadMesh, rig: FaceRig, interior: MouthInterior) -> PortraitModel:
        """Of one frame of somebody whose mouth was estimated from others."""
        mouth_origin = _locate_mouth(rig)
        return cls(image_rgb=image_rgb, head=head, rig=rig, interior=interior, mouth_origin=mouth_origin)


def _locate_mouth(rig: FaceRig) -> Array:
    """(3,) `PortraitModel.mouth_origin`."""
    closed = rig.canonical + rig.closing
    middle = (closed[UPPER_LIP] + closed[LOWER_LIP]) / 2
    return np.array([(closed[61, 0] + closed[291, 0]) / 2, middle[1], middle[2] - TEETH_DEPTH_CM], np.float32)


def mouth_plane_matrix(
    head: HeadMesh, mouth_origin: Array, mouth_scale: float, turn_deg: Array, shift_cm: Array
) -> Array:
    """(2, 3) affine from the mouth's plane (u, v) to pixels after a movement of the head."""
    corners = mouth_origin + np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32) * mouth_scale
    corners_px = head.project(corners.astype(np.float32), turn_deg, shift_cm)[:, :2]
    return np.column_stack([corners_px[1] - corners_px[0], corners_px[2] - corners_px[0], corners_px[0]]).astype(
        np.float32
    )


def _extract_teeth(
    image_rgb: np.ndarray, head: HeadMesh, mouth_origin: Array, mouth_scale: float
) -> PictureTeeth | None:
    """The teeth of a smile on the mouth's plane; None where hardly any are seen."""
    still = np.zeros(3, np.float32)
    matrix = mouth_plane_matrix(head, mouth_origin, mouth_scale, still, still)
    corner, size = (-2.4, 1.2), (round(4.8 * CELLS_PER_CM), round(2.6 * CELLS_PER_CM))
    u = corner[0] + np.arange(size[0]) / CELLS_PER_CM
    v = corner[1] - np.arange(size[1])[:, None] / CELLS_PER_CM
    x = (matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2] - 0.5).astype(np.float32)
    y = (matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2] - 0.5).astype(np.float32)
    colours = cv2.remap(image_rgb, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    inner = head.face[list(mesh.LIPS_INNER), :2]
    inverse = cv2.invertAffineTransform(matrix)
    outline = inner @ inverse[:, :2].T + inverse[:, 2]
    cells = np.stack([(outline[:, 0] - corner[0]), (corner[1] - outline[:, 1])], 1) * CELLS_PER_CM + 0.5
    between: Array = mesh.polygon_mask(cells, size[::-1]).astype(np.float32) / 255
    between = cv2.erode(between, np.ones((3, 3), np.uint8), iterations=max(1, CELLS_PER_CM // 24))
    opacity = between * _tooth_opacity(colours, between > 0.5, _estimate_white(image_rgb, head.face))
    opacity = keep_upper_row(cv2.GaussianBlur(opacity, (0, 0), 1.2), between > 0.5)
    if (opacity > 0.8).sum() < CELLS_PER_CM**2 * 0.25:
        return None
    image, extended = _extend_upwards(colours, opacity)
    return PictureTeeth(image_rgb=image, opacity=extended, corner_uv=corner)


def _tooth_opacity(colours: Array, inside: Array, white: Array) -> Array:
    """(h, w) 0..1 opacity of teeth between the lips: what is bright, and no redder than white in this light."""
    luma = colours @ _LUMA
    bright = max(float(np.percentile(luma[inside], 90)) if inside.any() else 0.0, 0.75 * float(white @ _LUMA))
    lit = colours / np.maximum(white, 1)
    redness = (lit[..., 0] - lit[..., 1]) / (lit[..., 0] + 0.01)
    return np.asarray(np.clip((luma / bright - 0.45) / 0.2, 0, 1) * np.clip((0.28 - redness) / 0.12, 0, 1), np.float32)


def keep_upper_row(opacity: Array, inside: Array) -> Array:
    """(h, w) opacity of the upper teeth alone: what begins close below the upper lip, down to the first gap."""
    rows = np.arange(len(opacity))[:, None]
    is_close = rows < np.where(inside.any(0), inside.argmax(0), 0)[None] + _LIP_TO_TEETH_CM * CELLS_PER_CM
    # along the row, so that the lines between teeth are no gaps
    calm = cv2.GaussianBlur(opacity, (0, 0), CELLS_PER_CM / 7, sigmaY=1.0)
    begun: Array = np.maximum.accumulate((calm > 0.4) & is_close, 0)
    ended: Array = np.maximum.accumulate(begun & (calm < 0.25), 0)
    mask = cv2.GaussianBlur((np.any(begun, 0)[None] & ~ended).astype(np.float32), (0, 0), CELLS_PER_CM / 24)
    return np.asarray(opacity * mask, np.float32)


def _extend_upwards(colours: Array, opacity: Array) -> tuple[Array, Array]:
    """Colours and opacity of teeth, continued above where the lip covered them in each column's own colour."""
    narrow = (2 * (CELLS_PER_CM // 8) + 1, 1)
    column = cv2.GaussianBlur((colours * opacity[..., None]).sum(0)[None], narrow, 0)
    column /= cv2.GaussianBlur(opacity.sum(0)[None], narrow, 0)[..., None] + 1e-4
    # at its borders a tooth has taken on the colour of the lip
    solid = np.clip((opacity[..., None] - 0.6) / 0.35, 0, 1)
    filled = colours * solid + column * (1 - solid)
    # rows run downwards: the first opaque one from below opens everything above it, as far as a tooth is high
    extended = np.maximum.accumulate(opacity[::-1], 0)[::-1]
    rows = np.arange(len(opacity), dtype=np.float32)[:, None]
    top = np.where((opacity > 0.5).any(0), (opacity > 0.5).argmax(0), 0)[None]
    above_cm = np.clip((top - rows) / CELLS_PER_CM, 0, None)
    return filled, (extended * np.clip(2.2 - above_cm / 0.5, 0, 1)).astype(np.float32)


def _estimate_white(image_rgb: np.ndarray, points: Array) -> Array:
    """(3,) RGB 0..255 of white in a picture's light, from the whites of the eyes and the brightness of the skin."""
    cheeks = mesh.sample(
        cv2.GaussianBlur(image_rgb, (0, 0), max(np.ptp(points[:, 0]) / 40, 0.8)), points[list(_CHEEKS)]
    )
    skin = cheeks.mean(0)
    brightest = []
    for lids in (mesh.EYE_LEFT, mesh.EYE_RIGHT):
        outline = points[list(lids), :2]
        x0, y0 = np.maximum(np.floor(outline.min(0)).astype(int), 0)
        x1, y1 = np.ceil(outline.max(0)).astype(int) + 1
        crop = image_rgb[y0:y1, x0:x1]
        if min(crop.shape[:2]) < 2:
            continue
        mask = mesh.polygon_mask(outline - np.array([x0, y0]), crop.shape[:2]) > 200
        pixels = crop[mask].astype(np.float32)
        if len(pixels) >= 8:
            sums = pixels.sum(1)
            brightest.append(pixels[(sums >= np.percentile(sums, 70)) & (sums <= np.percentile(sums, 95))].mean(0))
    level = float(skin @ _LUMA)
    sclera = np.mean(brightest, 0) if brightest else np.full(3, level)
    tint = sclera / max(float(sclera @ _LUMA), 1)
    brightness = np.clip(0.45 * float(sclera @ _LUMA) + 0.65 * (level * 0.45 + 125), 40, 240)
    return np.clip((0.5 + 0.5 * tint) * brightness, 0, 245)


def _estimate_blur(image_rgb: np.ndarray, points: Array) -> float:
    """Blur of a picture, in pixels of standard deviation: that of mouth or eyes, whichever is sharper."""
    blurs = []
    for outline in (mesh.LIPS_OUTER, mesh.EYE_LEFT, mesh.EYE_RIGHT):
        corners = points[list(outline), :2]
        x0, y0 = np.maximum(np.floor(corners.min(0)).astype(int), 0)
        x1, y1 = np.ceil(corners.max(0)).astype(int) + 1
        crop = image_rgb[y0:y1, x0:x1].astype(np.float32).mean(2)
        if min(crop.shape) < 8:
            continue
        near, far = cv2.GaussianBlur(crop, (0, 0), 0.8), cv2.GaussianBlur(crop, (0, 0), 3.2)
        fine = float(np.abs(crop - near).mean() / (np.abs(near - far).mean() + 1e-3))
        blurs.append(float(np.clip(2.2 - 4.0 * fine, 0.6, 2.0)))
    return min(blurs, default=0.7)
