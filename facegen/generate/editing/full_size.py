"""An edited photograph at its own size: what the sliders change goes back into the untouched picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import Face, FaceAnalyser, align
from facegen.faces.mesh import FACE_OVAL
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.faces.parse.parser import SIZE as PARSE_SIZE
from facegen.generate.frame import repaint
from facegen.generate.frame.alignment import SIZE

_ZOOMS = (0.35, 0.6, 1.0)
"""Scales of the parser's crop, the wide ones first: a narrow one knows its part better."""
_WORK_PX = 1024
"""Longest side at which hair and background are recoloured; what changes is then enlarged for a larger picture."""
_GRAB_PX = 384
"""Longest side at which the outline of the person outside the parser's crop is found by colour."""
_GRAB_STEPS = 3
_CORE, _BODY = (0.3, 1.2), (1.6, 4.4)
"""Width, in widths of the face, of what is surely and of what is probably the body: below the chin, and from two faces lower."""
_REACH = 1 / 50
"""How far from the outline the colours of a whole picture tell hair from what is behind it, as a part of its height."""
_ISLAND = 0.7
"""Opacity of the background below which a spot of it would be seen."""
_SURE = 0.05
"""Probability by which the parser is taken at its word."""
_BORDER = 0.14
"""Part of the frame's side over which what changes inside fades out towards its border."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameEdit:
    """What an edit does in the generator's frame, 256 pixels."""

    offsets: np.ndarray
    """(256, 256, 2) float32: where a pixel comes from, as a step in pixels of the frame; 0 where nothing moved."""
    change: np.ndarray
    """(256, 256, 3) float32 RGB: what is added to the photograph, of low frequency."""
    drawn: np.ndarray
    """(256, 256, 3) float32 RGB in [0, 1]: what is seen where the photograph shows nothing."""
    alpha: np.ndarray
    """(256, 256, 1) float32 0..1: opacity of the photograph over the drawing."""


def parse_person(image_rgb: np.ndarray, face: Face, analyser: FaceAnalyser) -> np.ndarray:
    """(h, w, 2) float32 0..1: where a whole picture shows the hair of a face, and what is behind the person.

    The longest side is that of the picture, at most 1024 pixels. The parser knows heads; of the rest of the body it sees what its
    colours tell.

    Args:
        image_rgb: (H, W, 3) uint8.
        face: whose hair it is.
        analyser: parses.
    """
    height, width = image_rgb.shape[:2]
    scale = min(1.0, _WORK_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    maps = np.zeros((*picture.shape[:2], 2), np.float32)
    maps[..., 1] = 1
    near = np.zeros(picture.shape[:2], np.float32)
    for zoom in _ZOOMS:
        matrix = _zoom(align.parse_matrix(face), zoom)
        crop = cv2.warpAffine(
            image_rgb, matrix, (PARSE_SIZE, PARSE_SIZE), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
        )
        found = analyser.parser.parse(crop[None])[0, [HAIR, BACKGROUND]].transpose(1, 2, 0)
        matrix = matrix.copy()
        matrix[:, :2] /= scale
        linear = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        back = cv2.warpAffine(np.ascontiguousarray(found), matrix, size, flags=linear, borderMode=cv2.BORDER_REPLICATE)
        window = cv2.warpAffine(_window(PARSE_SIZE), matrix, size, flags=linear)
        maps += window[..., None] * (back - maps)
        near = window
    points = face.points478[:, :2] * np.float32(scale)
    maps[..., 1] = _outline(picture, maps[..., 1], near, points)
    maps[..., 0] = np.minimum(maps[..., 0], 1 - maps[..., 1])
    hair, behind = repaint.refine_matte(picture.astype(np.float32) / 255, maps[..., 0], maps[..., 1], _REACH)
    behind = drop_islands(behind, points)
    return np.dstack([np.minimum(hair, 1 - behind), behind]).astype(np.float32)


def drop_islands(background: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(h, w) float32: a background in which no spots are left that do not hang together with the face: leaves, windows, passers-by.

    Args:
        background: (h, w) float32 0..1.
        points: (N, 2) mesh of the face, pixels.
    """
    person = (background < _ISLAND).astype(np.uint8)
    face = _fill(background.shape[::-1], points[list(FACE_OVAL)])
    _, labels = cv2.connectedComponents(person)
    islands = person * ~np.isin(labels, labels[face])
    spots = cv2.dilate(islands, np.ones((5, 5), np.uint8)).astype(np.float32)
    return np.maximum(background, cv2.GaussianBlur(spots, (0, 0), 0.7))


def _outline(picture_rgb: np.ndarray, background: np.ndarray, near: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The background where the parser knows it, elsewhere what GrabCut makes of the colours; a face is never it, nor what is under it.

    Args:
        picture_rgb: (h, w, 3) uint8.
        background: (h, w) float32 0..1, as the parser sees it.
        near: (h, w) float32 0..1: how well it does.
        points: (N, 2) mesh of the face, pixels.
    """
    height, width = background.shape
    small = min(1.0, _GRAB_PX / max(height, width))
    size = max(1, round(width * small)), max(1, round(height * small))
    behind, known = (cv2.resize(values, size, interpolation=cv2.INTER_AREA) for values in (background, near))
    face, core, body, beside = (_fill(size, outline * small) for outline in _body(points))
    labels = np.where((behind > 0.5) & ~((known < 0.5) & body), cv2.GC_PR_BGD, cv2.GC_PR_FGD).astype(np.uint8)
    labels[(known > 0.9) & (behind > 1 - _SURE)] = cv2.GC_BGD
    labels[(known > 0.9) & (behind < _SURE)] = cv2.GC_FGD
    labels[beside & (behind > 0.5)] = cv2.GC_BGD
    labels[face | core] = cv2.GC_FGD
    if (labels % 2).all():
        return background
    shrunk = cv2.resize(picture_rgb, size, interpolation=cv2.INTER_AREA)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(shrunk, labels, (0, 0, 0, 0), *models, _GRAB_STEPS, cv2.GC_INIT_WITH_MASK)
    coloured = (labels % 2 == 0).astype(np.float32)
    coloured = cv2.GaussianBlur(coloured, (0, 0), 0.8)
    wide = cv2.resize(coloured, (width, height), interpolation=cv2.INTER_LINEAR)
    outline = wide + near * (background - wide)
    sure = cv2.GaussianBlur((face | core).astype(np.float32), (0, 0), 1.5)
    return outline * (1 - cv2.resize(sure, (width, height), interpolation=cv2.INTER_LINEAR))


def _body(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Outlines, (N, 2) pixels, of a face, of what is surely and of what is probably the body below it, and of what is beside and above it.

    On a photograph heads have a body; beside them is hair, which the parser sees, or background.
    """
    oval = points[list(FACE_OVAL)]
    top, chin = oval[0], oval[len(oval) // 2]
    down = chin - top
    side = np.array([down[1], -down[0]]) / np.linalg.norm(down) * np.ptp(oval @ [1, 0]) / 2

    def below(neck: float, torso: float) -> np.ndarray:
        steps = ((0.1, -neck), (0.1, neck), (2, torso), (9, torso), (9, -torso), (2, -torso))
        return np.array([chin + lower * down + aside * side for lower, aside in steps], np.float32)

    # as far as any picture reaches
    beside = [chin + lower * down + aside * side for lower, aside in ((0, -30), (0, 30), (-30, 30), (-30, -30))]
    return oval, below(*_CORE), below(*_BODY), np.array(beside, np.float32)


def _fill(size_wh: tuple[int, int], outline: np.ndarray) -> np.ndarray:
    """(h, w) bool: inside an outline of (N, 2) pixels."""
    mask = np.zeros(size_wh[::-1], np.uint8)
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)
    return mask > 0


def compose(image_rgb: np.ndarray, to_frame: np.ndarray, edit: FrameEdit, recoloured: np.ndarray | None) -> np.ndarray:
    """(H, W, 3) uint8: a photograph with an edit; what neither moved nor changed is the photograph, to the bit.

    Args:
        image_rgb: (H, W, 3) uint8.
        to_frame: (2, 3) similarity from its pixels to the frame's.
        edit: in the frame.
        recoloured: (h, w, 3) float32: what other hair and another background add to the picture, of any size.
    """
    height, width = image_rgb.shape[:2]
    picture = image_rgb.astype(np.float32) / 255
    if recoloured is not None:
        picture += cv2.resize(recoloured, (width, height), interpolation=cv2.INTER_CUBIC)
    corners = align.apply(align.invert(to_frame), np.array([[0, 0], [SIZE, 0], [0, SIZE], [SIZE, SIZE]], np.float32))
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, (width, height))
    matrix = to_frame.astype(np.float64).copy()
    matrix[:, 2] += matrix[:, :2] @ (left, top)

    def enlarge(values: np.ndarray) -> np.ndarray:
        cubic = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(
            values, matrix, (right - left, bottom - top), flags=cubic, borderMode=cv2.BORDER_REPLICATE
        )

    window = cv2.warpAffine(
        _window(SIZE), matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    steps = enlarge(edit.offsets) @ np.linalg.inv(matrix[:, :2]).T * window[..., None]
    y, x = np.mgrid[top:bottom, left:right]
    positions = ((np.stack([x, y], 2) + steps).astype(np.float32)).transpose(2, 0, 1)
    moved = cv2.remap(picture, positions[0], positions[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    drawn, change = enlarge(edit.drawn), enlarge(edit.change)
    hidden = (window * (1 - np.clip(enlarge(edit.alpha), 0, 1)))[..., None]
    picture[top:bottom, left:right] = moved + window[..., None] * change + hidden * (drawn - moved - change)
    return np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def _zoom(matrix: np.ndarray, zoom: float) -> np.ndarray:
    """A matrix to the parser's crop, of a wider view around its middle."""
    wider = matrix * np.float32(zoom)
    wider[:, 2] += PARSE_SIZE / 2 * (1 - zoom)
    return wider


def _window(side: int) -> np.ndarray:
    """(side, side) float32: 1 inside, falling to 0 at the border."""
    steps = np.minimum(np.arange(side), np.arange(side)[::-1]) / (_BORDER * side)
    ramp = np.clip(steps, 0, 1).astype(np.float32)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return np.minimum(ramp[:, None], ramp[None])
