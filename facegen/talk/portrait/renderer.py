"""Draws a portrait in motion: warps the picture along its mesh, keeps eyeballs under the lids, composites the mouth's inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from facegen.faces import mesh
from facegen.media import Tint, measure_tint
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.eyelids import UpperLid
from facegen.talk.portrait.face_rig import INNER_LOWER, INNER_UPPER, LIDS
from facegen.talk.portrait.head_mesh import backward_flow, ring_triangles
from facegen.talk.portrait.model import PortraitModel, mouth_plane_matrix

Array = np.ndarray

PostProcess = Callable[[np.ndarray, Array], None]
"""Changes, in place, a (H, W, 3) uint8 RGB picture; (468, 3) are the vertices of its face, pixels."""

_CELLS = 180
"""Cells along the longer side of the flow over the head."""
_FINE_CELLS = 128
"""The same over the mouth and over an eye."""
_EYES = (mesh.EYE_LEFT, mesh.EYE_RIGHT)
_SHUT = 0.7
"""How far an eye is closed from where on its lids hide the ball."""
_SEAM_SHADE = 0.8
_OPEN = 0.02
"""How far an eye may be closed and is still drawn as it is in the picture."""
_LIP_SEAM_CM = 0.1
"""Width of the shadow between lips that were apart in the picture."""
_LID_EDGES = (0.025, 0.06)
"""How far beyond the vertices of the upper and the lower lid its skin begins in the picture, in widths of the eye."""
_LIP_EDGE_CM = 0.05
"""The same for an inner lip, besides the picture's blur."""
_CORNER_CM = 0.3
"""Room at the corners of the mouth over which its inside fades."""
_BORDER = 0.06
"""Share of the picture over which movements fade to nothing at its borders."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PixelBox:
    """A rectangle of the picture, pixels."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def of_points(cls, points: Array, margin: float, size_hw: tuple[int, int]) -> PixelBox:
        """The box around points (N, 2 or more) with a margin, clipped to a picture, at least 2 pixels a side."""
        low, high = points[:, :2].min(0) - margin, points[:, :2].max(0) + margin
        x0, y0 = np.clip(np.floor(low), 0, [size_hw[1] - 2, size_hw[0] - 2]).astype(int).tolist()
        x1, y1 = np.clip(np.ceil(high), [x0 + 2, y0 + 2], size_hw[::-1]).astype(int).tolist()
        return cls(x0=x0, y0=y0, x1=x1, y1=y1)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width, pixels."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def region(self) -> tuple[slice, slice]:
        """Rows and columns, to index a picture with."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


class MeshRenderer:
    """Draws one portrait in any motion; each picture depends on its motion alone, and several threads may draw.

    Args:
        portrait: the picture with its mesh.
        post_processes: what is done to each drawn picture, one after the other.
    """

    def __init__(self, portrait: PortraitModel, post_processes: Sequence[PostProcess] = ()) -> None:
        self.portrait = portrait
        self._post_processes = post_processes
        head = portrait.head
        self._texture_xy = np.concatenate([head.face, head.rings])[:, :2]
        self._lid_edges = [_lid_edges(head.face[:, :2], side) for side in range(len(LIDS))]
        self._exclude_lip_gap(portrait)
        self._triangles = ring_triangles()
        self.box = PixelBox.of_points(self._texture_xy, 2, portrait.image_rgb.shape[:2])
        self._taper = _taper(self.box, portrait.image_rgb.shape[:2])
        height, width = self.box.size_hw
        self._grid_x = (np.arange(width, dtype=np.float32) + self.box.x0)[None]
        self._grid_y = (np.arange(height, dtype=np.float32) + self.box.y0)[:, None]

    def _exclude_lip_gap(self, portrait: PortraitModel) -> None:
        """Moves texture coordinates of lips that are apart in the picture outwards, so that lips carry nothing of the gap."""
        upper, lower = (self._texture_xy[list(lip)] for lip in (INNER_UPPER, INNER_LOWER))
        if not portrait.rig.closing.any():
            return
        cm = portrait.head.pose.scale * portrait.rig.mouth_scale
        apart = lower - upper
        gap = np.linalg.norm(apart, axis=1, keepdims=True)
        outward = (
            apart / np.maximum(gap, 1e-3) * np.minimum(gap / 2, (_LIP_EDGE_CM + portrait.interior.softness_cm) * cm)
        )
        self._texture_xy[list(INNER_UPPER)] = upper - outward
        self._texture_xy[list(INNER_LOWER)] = lower + outward

    def draw(self, motion: MotionFrame) -> np.ndarray:
        """(H, W, 3) uint8 RGB, the size of the picture: the face as a motion says."""
        portrait = self.portrait
        rig, head = portrait.rig, portrait.head
        offsets = rig.mouth_offsets(motion.mouth) + rig.lid_offsets(motion.lids) + rig.brow_offsets(motion.brows)
        vertices = head.deform(offsets, motion.turn_deg, motion.shift_cm)
        texture_xy = self._texture_coordinates(motion.lids)
        texture = self._texture_picture(motion.lids)
        picture = self._warp(vertices, texture_xy, texture)
        self._draw_eyes(picture, vertices, texture_xy, texture, motion)
        plane = mouth_plane_matrix(head, portrait.mouth_origin, rig.mouth_scale, motion.turn_deg, motion.shift_cm)
        self._draw_mouth(picture, vertices, plane)
        for process in self._post_processes:
            process(picture, vertices[: mesh.VERTEX_COUNT])
        self._keep_tint(picture)
        return picture

    @cached_property
    def _tint(self) -> Tint | None:
        """The one colour of head and surroundings, where the picture is black-and-white or the like."""
        return measure_tint(self.portrait.image_rgb[self.box.region])

    def _keep_tint(self, picture: np.ndarray) -> None:
        """Gives what was drawn, in place, no colour that the picture does not have."""
        if self._tint is not None:
            changed = np.any(picture != self.portrait.image_rgb, axis=2)
            picture[changed] = self._tint.apply(picture[changed])

    def _texture_coordinates(self, closed: Array) -> Array:
        """(468 + R * 36, 2) pixels of the picture that the vertices carry: skin, and nothing of mouth or eyeball.

        A vertex of a lid or lip lies a little beside the edge that the picture shows. Its coordinates move outwards as far
        as that edge disappears: always for lips that are apart in the picture, for lids as far as they are (2,) closed.
        """
        texture_xy = self._texture_xy.copy()
        for side, (outward, amount) in enumerate(zip(self._lid_edges, closed, strict=True)):
            if amount > 0:
                both = [vertex for lid in LIDS[side] for vertex in lid]
                texture_xy[both] += outward * np.float32(amount)
        return texture_xy

    @cached_property
    def _lids(self) -> list[UpperLid]:
        return [UpperLid.of(self.portrait.image_rgb, self.portrait.head.face, side) for side in range(len(LIDS))]

    def _texture_picture(self, closed: Array) -> np.ndarray:
        """The picture that skin is taken from, without lashes over lids as far as these are (2,) closed."""
        texture = self.portrait.image_rgb
        if closed.max() < _OPEN:
            return texture
        texture = texture.copy()
        for lid, amount in zip(self._lids, closed, strict=True):
            if amount >= _OPEN:
                lid.remove_lashes(texture, float(amount))
        return texture

    def _warp(self, vertices: Array, texture_xy: Array, texture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8: the picture warped along the mesh; lips once more on a finer grid."""
        picture = self.portrait.image_rgb.copy()
        flow = self._flow(vertices, texture_xy, self.box, _CELLS, self._triangles) * self._taper
        warped = cv2.remap(
            texture,
            self._grid_x + flow[..., 0],
            self._grid_y + flow[..., 1],
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        picture[self.box.region] = warped
        self._warp_finely(picture, vertices, texture_xy, texture, mesh.LIPS_OUTER, 0.12)
        return picture

    def draw_changes(self, motion: MotionFrame) -> tuple[np.ndarray, np.ndarray, PixelBox]:
        """What differs from the picture: (h, w, 3) uint8 RGB and (h, w) bool in a box, and that box."""
        picture = self.draw(motion)
        region = self.box.region
        drawn = picture[region]
        return drawn, np.any(drawn != self.portrait.image_rgb[region], axis=2), self.box

    def _flow(self, vertices: Array, texture_xy: Array, box: PixelBox, cells: int, triangles: Array) -> Array:
        """(h, w, 2) backward flow in a box: from each drawn pixel to where the picture shows its content."""
        height, width = box.size_hw
        step = max(max(height, width) / cells, 1.0)
        size = (max(round(height / step), 2), max(round(width / step), 2))
        scale_xy = np.array([width / size[1], height / size[0]], np.float32)
        # cells are resized to pixels: the middle of the first cell lies half a cell inside the box
        origin = np.array([box.x0, box.y0], np.float32) + scale_xy / 2
        scaled = vertices.copy()
        scaled[:, 1] = origin[1] + (vertices[:, 1] - origin[1]) * (scale_xy[0] / scale_xy[1])
        back = texture_xy - vertices[:, :2]
        field = backward_flow(scaled, scaled[:, :2] + back, triangles, origin, float(scale_xy[0]), size)
        return cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)

    def _warp_finely(
        self,
        picture: np.ndarray,
        vertices: Array,
        texture_xy: Array,
        texture: np.ndarray,
        outline: Sequence[int],
        margin: float,
    ) -> None:
        """Warps the surroundings of an outline on a finer grid, so that one lip or lid ends where the other begins."""
        around = vertices[list(outline)]
        margin = float(np.ptp(around[:, 0])) * margin + 2
        box = PixelBox.of_points(around, margin, picture.shape[:2])
        x, y = self._fine_map(vertices, texture_xy, box)
        fine = cv2.remap(texture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        _blend(picture, box, fine.astype(np.float32), _feather(box.size_hw, margin))

    def _fine_map(self, vertices: Array, texture_xy: Array, box: PixelBox) -> tuple[Array, Array]:
        """(h, w) x and y of the picture for each pixel of a box, on the finer grid."""
        flow = self._flow(vertices, texture_xy, box, _FINE_CELLS, mesh.topology().triangles)
        height, width = box.size_hw
        x = (np.arange(width, dtype=np.float32) + box.x0)[None] + flow[..., 0]
        y = (np.arange(height, dtype=np.float32) + box.y0)[:, None] + flow[..., 1]
        return x, y

    def _draw_eyes(
        self, picture: np.ndarray, vertices: Array, texture_xy: Array, texture: np.ndarray, motion: MotionFrame
    ) -> None:
        head = self.portrait.head
        is_looking = bool(np.abs(motion.gaze).max() > 1e-3)
        for side, lids in enumerate(_EYES):
            closed = float(np.clip(motion.lids[side], 0, 1))
            if closed < _OPEN and not is_looking:
                continue
            if closed >= _OPEN:
                self._warp_finely(picture, vertices, texture_xy, texture, lids, 0.25)
            outline = vertices[list(lids), :2]
            width = float(np.ptp(head.face[list(lids), 0]))
            box = PixelBox.of_points(outline, 3, picture.shape[:2])
            height_px, width_px = box.size_hw
            # eyeballs move with the skull: to where the lids would be had they not closed
            anchors = head.pose.to_canonical(head.face[list(lids)])
            there = head.project(anchors, motion.turn_deg, motion.shift_cm)[:, :2]
            back = _fit_affine(there, head.face[list(lids), :2])
            x = (np.arange(width_px, dtype=np.float32) + box.x0)[None] + 0.5
            y = (np.arange(height_px, dtype=np.float32) + box.y0)[:, None] + 0.5
            source_x = back[0, 0] * x + back[0, 1] * y + back[0, 2]
            source_y = back[1, 0] * x + back[1, 1] * y + back[1, 2]
            centre = head.face[list(lids), :2].mean(0)
            along = np.square((source_x - centre[0]) / (width * 0.5))
            weight = np.clip(1 - along, 0, 1)
            source_x = source_x - motion.gaze[0] * width * weight - 0.5
            source_y = source_y + motion.gaze[1] * width * weight - 0.5
            ball = cv2.remap(
                self.portrait.image_rgb, source_x, source_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            mask: Array = mesh.polygon_mask(outline - np.array([box.x0, box.y0]), box.size_hw).astype(np.float32) / 255
            mask = cv2.GaussianBlur(mask, (0, 0), max(width * 0.012, 0.5))
            mask = mask * np.float32(min(1, (1 - closed) / (1 - _SHUT)))
            # lids throw a shadow on what they come to cover
            _blend(picture, box, ball.astype(np.float32) * (1 - 0.25 * closed), mask)
            if closed >= _OPEN:
                self._lids[side].draw_lashes(picture, vertices[[lids[0], *LIDS[side][0], lids[8]], :2], closed)

    def _draw_seam(self, picture: np.ndarray, line: Array, width: float, amount: float) -> None:
        """Draws the soft shadow in which two lips meet, so that neither steps nor a rest of what they cover show.

        Args:
            picture: changed in place.
            line: (N, 2) pixels along which they meet.
            width: of the shadow, pixels.
            amount: 0..1.
        """
        width = max(width, 1.0)
        box = PixelBox.of_points(line, 3 * width + 2, picture.shape[:2])
        weight: Array = np.zeros(box.size_hw, np.float32)
        points = np.round((line - np.array([box.x0, box.y0])) * 16).astype(np.int32)
        cv2.polylines(weight, [points], False, 1.0, 1, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(weight, (0, 0), width / 2)
        soft = np.clip(soft * (1.4 / max(float(soft.max()), 1e-3)), 0, 1)
        # its colour is that of what lies on both sides
        around, beside = picture[box.region].astype(np.float32), np.square(1 - soft)[..., None] + 1e-3
        near: Array = cv2.GaussianBlur(around * beside, (0, 0), width)
        near /= cv2.GaussianBlur(beside, (0, 0), width)[..., None]
        _blend(picture, box, near * _SEAM_SHADE, soft * amount)

    def _draw_mouth(self, picture: np.ndarray, vertices: Array, plane: Array) -> None:
        portrait = self.portrait
        inner = vertices[list(mesh.LIPS_INNER), :2]
        opening = float((vertices[list(INNER_LOWER), 1] - vertices[list(INNER_UPPER), 1]).max())
        unit = portrait.rig.mouth_scale
        cm = portrait.head.pose.scale * unit
        seam = max(_LIP_SEAM_CM * cm, 1.2)
        if portrait.rig.closing.any() and opening < 1.5 * seam:
            line = (vertices[[78, *INNER_UPPER, 308], :2] + vertices[[78, *INNER_LOWER, 308], :2]) / 2
            self._draw_seam(picture, line, seam, min(1.5 - opening / seam, 1.0))
        if opening < 0.6:
            return
        box = PixelBox.of_points(inner, 3, picture.shape[:2])
        inverse = cv2.invertAffineTransform(plane)
        factor = max(1.0, box.size_hw[1] / 220)
        size = (max(round(box.size_hw[0] / factor), 2), max(round(box.size_hw[1] / factor), 2))
        x = (np.arange(size[1], dtype=np.float32) + 0.5)[None] * (box.size_hw[1] / size[1]) + box.x0
        y = (np.arange(size[0], dtype=np.float32) + 0.5)[:, None] * (box.size_hw[0] / size[0]) + box.y0
        u = (inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]).astype(np.float32)
        v = (inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]).astype(np.float32)
        left, right = vertices[78, :2], vertices[308, :2]
        upper, lower = (
            _lip_border(np.concatenate([left[None], vertices[list(side), :2], right[None]]), inverse, u)
            for side in (INNER_UPPER, INNER_LOWER)
        )
        corners = (np.stack([left, right]) @ inverse[:, :2].T + inverse[:, 2])[:, 0]
        inside = portrait.interior.draw(u, v, upper, lower, float(np.ptp(corners)) / 2)
        # towards the corners the lips touch
        taper = np.clip(np.minimum(u - corners.min(), corners.max() - u) / _CORNER_CM, 0, 1).astype(np.float32)
        blur = portrait.interior.softness_cm * cm / factor
        inside = cv2.GaussianBlur(inside, (0, 0), max(blur, 0.4))
        if size != box.size_hw:
            inside = cv2.resize(inside, box.size_hw[::-1], interpolation=cv2.INTER_CUBIC)
            taper = cv2.resize(taper, box.size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        mask: Array = mesh.polygon_mask(inner - np.array([box.x0, box.y0]), box.size_hw).astype(np.float32) / 255
        feather = max(portrait.head.width_px * 0.004, 0.5)
        mask = cv2.GaussianBlur(mask, (0, 0), feather)
        _blend(picture, box, inside, mask * taper)


def _blend(picture: np.ndarray, box: PixelBox, drawn: Array, weight: Array) -> None:
    region = picture[box.region]
    below = region.astype(np.float32)
    region[:] = np.clip(below + (drawn - below) * weight[..., None] + 0.5, 0, 255).astype(np.uint8)


def _lip_border(points: Array, inverse: Array, u: Array) -> Array:
    """v of a lip's border at each u, from its points in pixels, left to right."""
    line = points @ inverse[:, :2].T + inverse[:, 2]
    order = np.argsort(line[:, 0])
    return np.interp(u, line[order, 0], line[order, 1]).astype(np.float32)


def _fit_affine(source: Array, target: Array) -> Array:
    """(2, 3) affine that takes (N, 2) points to others with least squared error."""
    design = np.column_stack([source, np.ones(len(source))])
    return np.linalg.lstsq(design, target, rcond=None)[0].T.astype(np.float32)


def _feather(size_hw: tuple[int, int], margin: float) -> Array:
    """(h, w) 0 at the borders, rising to 1 over `margin` pixels."""
    height, width = size_hw
    across = np.minimum(np.arange(width), np.arange(width)[::-1])[None]
    along = np.minimum(np.arange(height), np.arange(height)[::-1])[:, None]
    linear = np.clip(np.minimum(across, along) / max(margin, 1), 0, 1).astype(np.float32)
    return linear * linear * (3 - 2 * linear)


def _lid_edges(face: Array, side: int) -> Array:
    """(14, 2) pixels from the vertices of the upper, then the lower lid of one eye out to the skin beyond its edge."""
    upper, lower = (face[list(lid)] for lid in LIDS[side])
    width = float(np.ptp(np.concatenate([upper, lower])[:, 0]))
    apart = lower - upper
    down = apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-3)
    return np.concatenate([-_LID_EDGES[0] * down, _LID_EDGES[1] * down]).astype(np.float32) * width


def _taper(box: PixelBox, size_hw: tuple[int, int]) -> Array:
    """(h, w, 1) weight of the flow: 1, falling to 0 at the borders of the picture."""
    height, width = size_hw
    reach = _BORDER * min(height, width)
    x = np.arange(box.x0, box.x1, dtype=np.float32)
    y = np.arange(box.y0, box.y1, dtype=np.float32)
    across = np.clip(np.minimum(x, width - 1 - x) / reach, 0, 1)[None]
    along = np.clip(np.minimum(y, height - 1 - y) / reach, 0, 1)[:, None]
    linear = across * along
    return (linear * (2 - linear))[..., None]
