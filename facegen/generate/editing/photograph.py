"""Photographs, and retouched drawings, edited by the sliders in the canonical frame instead of being drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from facegen.faces import FaceAnalyser, align
from facegen.faces.mesh import EYE_LEFT, EYE_RIGHT, LIPS_INNER, polygon_mask, rasterise
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate.editing.full_size import FrameEdit, compose, parse_person
from facegen.generate.editing.lids import close_lids
from facegen.generate.frame import geometry, repaint
from facegen.generate.frame.alignment import SIZE, AlignedFace, align_face, find_largest_face, parse_aligned
from facegen.generate.frame.variants import (
    CANONICAL,
    FaceSample,
    canonical,
    class_alpha,
    flow_from_canonical,
    flow_to_canonical,
    warp_image,
)
from facegen.generate.model.generator import FaceGenerator
from facegen.generate.model.latents import CanonicalPhotos, Latents
from facegen.generate.sliders import DRAWN, Sliders
from facegen.media import measure_tint

_BLEND_STEP = 0.15
"""Distance between two values of a slider from which on the new colour replaces the old one entirely."""
_ROOTS = 0.7
"""How much less hair is brightened where it is half skin."""
_LIPS_OPENED = 0.06
"""Increase of the lip gap, in eye distances, from which on the inside of the mouth is drawn entirely."""
_GRAIN_SIGMA = 2.0
"""Sigma of the blur that removes the noise by which two drawings of one face differ, pixels."""
_LIDS_CLOSED = 0.1
"""Lid gap, in eye widths, below which closing lids are drawn: warped, an eye would collapse to a line."""
_SHUT = 0.001
"""Lid gap, in eye widths, of eyes that are shut already."""
_LID_PX = 9
"""Thickness of drawn lids, pixels."""
_TURN = 0.35
"""How far a head may be turned from how it was photographed, by its slider; beyond it the far cheek smears. Chosen by eye."""
_FAR_SIDE = 0.4
"""How much less of that towards the side that it is turned away from, of which less is seen, by how far it is turned."""
_STEPS = 8
"""Iterations of a fixed point that moves by less than a tenth of a pixel in the last one."""
_DISOCCLUDED = 0.8
"""Disocclusion (`geometry.disocclusion`) from which on a vertex is drawn entirely."""


@dataclass(frozen=True, eq=False, kw_only=True)
class EncodedPhoto:
    """A photograph's face in the generator's terms."""

    latents: Latents
    sliders: Sliders
    """The sliders' values of the photograph as it is."""
    framed: AlignedFace
    image_rgb: np.ndarray
    """(H, W, 3) uint8: the photograph."""
    person: np.ndarray
    """(h, w, 2) float32 0..1: its hair and its background (`full_size.parse_person`)."""

    lightest_hair: float
    """The slider's value from which on to the lighter side its hair no longer looks like hair; an edit goes no further."""

    def limit(self, sliders: Sliders) -> Sliders:
        """The sliders as an edit takes them: hair no lighter than it still looks like hair, a head turned as far as it is seen."""
        hair = max(sliders.hair, min(self.lightest_hair, self.sliders.hair))
        own = self.sliders.head
        less = _FAR_SIDE * abs(own - 0.5)
        least, most = own - _TURN + less * (own > 0.5), own + _TURN - less * (own < 0.5)
        return replace(sliders, hair=hair, head=min(max(sliders.head, round(least, 2)), round(most, 2)))

    def describe_limits(self, sliders: Sliders) -> Iterator[str]:
        """What an edit takes otherwise than asked, a sentence each."""
        taken = self.limit(sliders)
        if taken.hair != sliders.hair:
            yield f"Hair as dark as this looks like hair down to {self.lightest_hair:.2f}; it was drawn so."
        if taken.head != sliders.head:
            yield f"This photograph shows too little of the head to turn it beyond {taken.head:.2f}; it was drawn so."

    def points(self) -> np.ndarray:
        """(478, 2) landmarks of the face, pixels of the photograph."""
        return align.apply(align.invert(self.framed.to_frame), self.framed.face.points478[:, :2])

    def shrink(self, max_side: int) -> EncodedPhoto:
        """The same of a smaller copy of the photograph, where it is longer than `max_side` pixels."""
        height, width = self.image_rgb.shape[:2]
        scale = max_side / max(height, width)
        if scale >= 1:
            return self
        size = max(1, round(width * scale)), max(1, round(height * scale))
        matrix = self.framed.to_frame.copy()
        matrix[:, :2] /= scale
        return replace(
            self,
            framed=replace(self.framed, to_frame=matrix),
            image_rgb=cv2.resize(self.image_rgb, size, interpolation=cv2.INTER_AREA),
            person=cv2.resize(self.person, size, interpolation=cv2.INTER_AREA),
        )


def encode_photograph(
    generator: FaceGenerator, image_rgb: np.ndarray, analyser: FaceAnalyser, name: str = "the picture"
) -> EncodedPhoto:
    """The largest face of a photograph as latents and sliders.

    Args:
        generator: encodes.
        image_rgb: (H, W, 3) uint8.
        analyser: detects and parses the face.
        name: the picture's name in an error.

    Raises:
        NoFaceError: there is no face.
    """
    face = find_largest_face(image_rgb, analyser, name)
    framed = align_face(image_rgb, face)
    maps = parse_aligned(analyser, [framed.picture_rgb], [framed.face])[0].astype(np.float32)
    small, large = (
        FaceSample.from_face(framed.picture_rgb, framed.face, maps[..., HAIR], maps[..., BACKGROUND], side)
        for side in (128, SIZE)
    )
    pixels = (canonical(small, generator.mean_shape) * 255).round().astype(np.uint8)
    exact = Sliders.from_controls(small.sliders().tolist())
    latents = replace(generator.encode_canonical(pixels[None], exact), shapes=small.shape[None])
    sliders = Sliders(**{name: round(value, 2) for name, value in vars(exact).items()})
    photographs = from_photograph(large, latents, sliders, generator.mean_shape)
    person = parse_person(image_rgb, face, analyser)
    shrunk = cv2.resize(image_rgb, person.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lightest = DRAWN["hair"].value(repaint.lightest_hair(shrunk, person[..., 0]))
    return EncodedPhoto(
        latents=replace(latents, photographs=photographs),
        sliders=sliders,
        framed=framed,
        image_rgb=image_rgb,
        person=person,
        lightest_hair=round(max(lightest, 0.0), 2),
    )


def from_photograph(source: FaceSample, latents: Latents, sliders: Sliders, mean_shape: np.ndarray) -> CanonicalPhotos:
    """One photograph of 256 pixels in the canonical frame, with the latents and sliders that it was encoded as."""
    flow = flow_to_canonical(source, mean_shape)
    maps = warp_image(np.dstack([source.picture, source.hair, source.background]), flow).clip(0, 1)
    return CanonicalPhotos(
        maps=_refine_mattes(maps[None]),
        latents=replace(latents, shapes=mean_shape[None]),
        sliders=(sliders,),
        lips=(source.lips,),
    )


def from_retouch(pictures_rgb: np.ndarray, classes: np.ndarray, latents: Latents) -> CanonicalPhotos:
    """Retouched drawings as photographs, their background blurred as by a lens.

    Args:
        pictures_rgb: (B, 256, 256, 3) uint8 in the canonical frame.
        classes: (B, 19, 256, 256) class probabilities of the parser.
        latents: the faces drawn, with the mean shape.
    """
    hair, background = (class_alpha(classes[:, index]) for index in (HAIR, BACKGROUND))
    maps = _refine_mattes(np.concatenate([pictures_rgb.astype(np.float32) / 255, np.stack([hair, background], 3)], 3))
    for one in maps:
        one[..., :3] = repaint.blur_background(one[..., :3], one[..., 4])
    count = len(latents)
    return CanonicalPhotos(
        maps=maps, latents=latents, sliders=(CANONICAL,) * count, lips=(0.0,) * count, is_retouch=True
    )


def render_photographs(
    generator: FaceGenerator,
    drawn_rgb: np.ndarray,
    restored_rgb: np.ndarray,
    latents: Latents,
    sliders: Sequence[Sliders],
) -> np.ndarray:
    """The photographs of faces, posed and recoloured as the sliders say.

    Args:
        generator: drew the faces.
        drawn_rgb: (B, 128, 128, 3) uint8 faces as drawn.
        restored_rgb: (B, 256, 256, 3) uint8 restored drawings, for what the photographs do not show.
        latents: the faces, with photographs.
        sliders: one for each.

    Returns:
        (B, 256, 256, 3) uint8 RGB.
    """
    photographs = latents.photographs
    assert photographs is not None
    source = photographs.latents
    is_unchanged = torch.equal(latents.texture, source.texture)
    # the same faces with the photographs' latents
    unchanged_rgb = (
        drawn_rgb
        if is_unchanged
        else generator.draw(replace(latents, texture=source.texture, noises=source.noises), sliders)
    )
    composites = []
    for index, values in enumerate(sliders):
        points = generator.pose(latents.shapes[index], values)
        flow = flow_from_canonical(points, latents.shapes[index], generator.mean_shape, SIZE)
        drawn, unchanged, restored = (_resize(p[index]) for p in (drawn_rgb, unchanged_rgb, restored_rgb))
        if not photographs.is_retouch:
            restored = _redden_mouth(restored, points)
        posed = warp_image(recolour(photographs, index, values), flow)
        alpha = photographs.share * _visibility(photographs, index, values, points)
        composites.append(restored + alpha * (posed + _change(drawn, unchanged) - restored))
    return (np.stack(composites).clip(0, 1) * 255).round().astype(np.uint8)


def _redden_mouth(drawn: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A drawing, (256, 256, 3), whose open mouth has as much red as green and blue: teeth of dark faces are drawn blue-green.

    Nothing inside of a mouth is greener or bluer than grey.
    """
    inside = cv2.GaussianBlur(_fill(points[list(LIPS_INNER), :2]), (0, 0), 1.0)
    reddened = drawn.copy()
    reddened[..., 0] += inside * (drawn.max(2) - drawn[..., 0])
    return reddened


def _change(drawn: np.ndarray, unchanged: np.ndarray) -> np.ndarray:
    # low frequencies only: high ones differ by the network's noise
    return cv2.GaussianBlur(drawn - unchanged, (0, 0), _GRAIN_SIGMA)


def render_full_size(
    generator: FaceGenerator,
    restore: Callable[[np.ndarray], np.ndarray],
    encoded: EncodedPhoto,
    latents: Latents,
    sliders: Sliders,
) -> np.ndarray:
    """(H, W, 3) uint8: an edited photograph at its own size, the same to the bit where the sliders change nothing.

    Args:
        generator: draws what the photograph does not show.
        restore: makes (1, 256, 256, 3) of a drawing (1, 128, 128, 3), both uint8.
        encoded: the photograph.
        latents: its face, perhaps changed.
        sliders: of the edit.
    """
    photographs, source, sliders = latents.photographs, encoded.sliders, encoded.limit(sliders)
    assert photographs is not None
    before, after = (replace(latents, texture=one.texture, noises=one.noises) for one in (photographs.latents, latents))
    shapes = encoded.latents.shapes[0], latents.shapes[0]
    picture = encoded.image_rgb
    gap, own_gap = (DRAWN["eyes"].quantity(values.eyes) for values in (sliders, source))
    if gap < own_gap:
        picture = close_lids(picture, encoded.points(), max(gap, 0) / max(own_gap, _SHUT))
        sliders = replace(sliders, eyes=source.eyes)
    points = [generator.pose(shape, values) for shape, values in zip(shapes, (source, sliders), strict=True)]
    flows = [
        flow_from_canonical(pose, shape, generator.mean_shape, SIZE) for pose, shape in zip(points, shapes, strict=True)
    ]
    drawn = generator.draw(after, sliders)
    unchanged = drawn if torch.equal(before.texture, after.texture) else generator.draw(before, sliders)
    hidden = [1 - _visibility(photographs, 0, v, p) for v, p in zip((source, sliders), points, strict=True)]
    edit = FrameEdit(
        offsets=_move(flows[0], flows[1]),
        change=_change(_resize(drawn[0]), _resize(unchanged[0])),
        drawn=_redden_mouth(_resize(restore(drawn)[0]), points[1]),
        alpha=1 - np.maximum(hidden[1] - hidden[0], 0),
    )
    recoloured = None
    if (source.hair, source.background) != (sliders.hair, sliders.background):
        size = encoded.person.shape[1::-1]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        whole = replace(photographs, maps=np.dstack([small, encoded.person])[None])
        recoloured = recolour(whole, 0, sliders) - small
    edited = compose(picture, encoded.framed.to_frame, edit, recoloured)
    tint = measure_tint(encoded.image_rgb)
    if tint is None:
        return edited
    is_changed = (edited != encoded.image_rgb).any(2, keepdims=True)
    return np.where(is_changed, tint.apply(edited), edited)


def _move(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(256, 256, 2): the step from a pixel of an edit to where the photograph shows it, from the flows of both to the canonical frame."""
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    grid = np.dstack([x, y])
    steps = np.zeros_like(grid)
    for _ in range(_STEPS):  # fixed point of before(x + step) + step = after(x)
        x, y = (grid + steps).transpose(2, 0, 1)
        there = cv2.remap(before, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        steps = after - there
    return steps


def keep_tints(pictures_rgb: np.ndarray, photographs: CanonicalPhotos) -> np.ndarray:
    """(B, S, S, 3) uint8: drawings of photographed faces, without colour where a photograph has none."""
    tinted = pictures_rgb.copy()
    for picture, maps in zip(tinted, photographs.maps, strict=True):
        tint = measure_tint(np.rint(maps[..., :3] * 255).astype(np.uint8))
        if tint is not None:
            toned = tint.apply(picture).astype(np.float32)
            picture[:] = np.rint(picture + (toned - picture) * photographs.share)
    return tinted


def recolour(photographs: CanonicalPhotos, index: int, sliders: Sliders) -> np.ndarray:
    """(256, 256, 3) float32 RGB in [0, 1]: one photograph with the hair and background that the sliders ask for."""
    maps, source = photographs.maps[index], photographs.sliders[index]
    picture, hair, background = maps[..., :3], maps[..., 3], maps[..., 4]
    if sliders.background != source.background:
        # mixed pixels of the outline are separated and composited anew, so that no rim of the old background stays
        front, ground = (repaint.inpaint_outside(picture, mask) for mask in (1 - background, background))
        painted = repaint.recolour_background(
            ground, np.ones_like(background), DRAWN["background"].quantity(sliders.background)
        )
        composite = front + background[..., None] * (painted - front)
        part = min(1.0, abs(sliders.background - source.background) / _BLEND_STEP)
        picture = picture + part * (composite - picture)
    if sliders.hair != source.hair and hair.mean() > 0.01:
        # the shadow of hair on the skin along its rim is recoloured with it
        wide = cv2.GaussianBlur(cv2.dilate(hair, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
        wide = np.minimum(wide, 1 - background)
        if sliders.hair < source.hair:
            # roots over skin stay dark: brightened they would glow
            skin = cv2.GaussianBlur(np.clip(1 - hair - background, 0, 1), (0, 0), 2.0)
            wide = np.clip(wide - _ROOTS * skin, 0, 1)
        painted = repaint.recolour_hair(picture, wide, DRAWN["hair"].quantity(sliders.hair))
        picture = picture + min(1.0, abs(sliders.hair - source.hair) / _BLEND_STEP) * (painted - picture)
    return picture


def _closed_lids(source: Sliders, sliders: Sliders, points: np.ndarray) -> np.ndarray:
    """(256, 256) float32 0..1: the closed lids of a posed mesh; nothing where the eyes stay open."""
    gap, source_gap = (DRAWN["eyes"].quantity(values.eyes) for values in (sliders, source))
    if gap >= min(source_gap, _LIDS_CLOSED):
        return np.zeros((SIZE, SIZE), np.float32)
    lids = [_fill(cv2.convexHull(points[list(eye), :2])[:, 0]) for eye in (EYE_LEFT, EYE_RIGHT)]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_LID_PX, _LID_PX))
    return min(1.0, 1 - gap / _LIDS_CLOSED) * cv2.dilate(np.maximum(*lids), kernel)


def _visibility(photographs: CanonicalPhotos, index: int, sliders: Sliders, points: np.ndarray) -> np.ndarray:
    """(256, 256, 1) float32 0..1: where a photograph shows a posed face.

    0 inside a mouth that opens, on lids that close, and on cheeks that turn into view.
    """
    hidden: np.ndarray = np.zeros((SIZE, SIZE), np.float32)
    opened = DRAWN["mouth"].quantity(sliders.mouth) - photographs.lips[index]
    if opened > 0:
        hidden = min(1.0, opened / _LIPS_OPENED) * _fill(points[list(LIPS_INNER), :2])
    hidden = np.maximum(hidden, _closed_lids(photographs.sliders[index], sliders, points))
    turned = np.clip(geometry.disocclusion(photographs.latents.shapes[index], points) / _DISOCCLUDED, 0, 1)
    corners = (points + np.array([0.5, 0.5, 0])).astype(np.float32)
    drawn, covered = rasterise(corners, np.repeat(turned[:, None], 3, 1).astype(np.float32), (SIZE, SIZE))
    hidden = np.maximum(hidden, drawn[..., 0] * covered)
    return 1 - cv2.GaussianBlur(hidden, (0, 0), 1.5)[..., None]


def _refine_mattes(maps: np.ndarray) -> np.ndarray:
    """(B, 256, 256, 5) maps with `repaint.refine_matte` applied to hair and background."""
    refined = [np.dstack([one[..., :3], *repaint.refine_matte(one[..., :3], one[..., 3], one[..., 4])]) for one in maps]
    return np.stack(refined).astype(np.float32)


def _fill(outline: np.ndarray) -> np.ndarray:
    """(256, 256) float32: 1 inside a polygon of (N, 2) points."""
    return polygon_mask(outline + 0.5, (SIZE, SIZE)).astype(np.float32) / 255


def _resize(picture_rgb: np.ndarray) -> np.ndarray:
    """(256, 256, 3) float32 in [0, 1] from (S, S, 3) uint8 RGB."""
    return cv2.resize(picture_rgb.astype(np.float32) / 255, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
