"""A photograph, or what a retouch made of a drawing, in the canonical frame: moved sliders change it and not the drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.faces.mesh import EYE_LEFT, EYE_RIGHT, LIPS_INNER, polygon_mask, rasterise
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate.frame import geometry, repaint
from facegen.generate.frame.alignment import SIZE
from facegen.generate.frame.variants import CANONICAL, Measured, flow_to_canonical, solid, warped
from facegen.generate.sliders import DRAWN, Sliders

if TYPE_CHECKING:
    from facegen.generate.model.latents import Latents

_REPAINTED = 0.15
"""Steps of a slider from which on the hair has its new colour altogether."""
_ROOTS = 0.7
"""How much less hair is brightened where it is half skin."""
_OPENED = 0.06
"""How much wider than in the photograph, in eye distances, lips are open whose inside is all drawn."""
_GRAIN = 2.0
"""Sigma of the blur that takes away what two drawings of one face differ in by chance, pixels."""
_SHUT = 0.1
"""Lid gap, in widths of the eye, below which closing lids are drawn: carried along, an eye would be squeezed to a line."""
_LID_PX = 9
"""How thick drawn lids are, pixels."""
_UNSEEN = 0.8
"""How far a place has turned towards the camera that is all drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Photographs:
    """B photographs in the canonical frame."""

    maps: np.ndarray
    """(B, 256, 256, 5) float32: RGB as photographed, hair, background, all 0..1."""
    latents: Latents
    """What they are encoded as, with the mean shape."""
    sliders: tuple[Sliders, ...]
    """What the sliders say of them as they are."""
    lips: tuple[float, ...]
    """How far lips are open in them, eye distances."""
    share: float = 1.0
    """How much of them counts: less in a mixture with other faces."""
    is_retouch: bool = False
    """Whether a retouch has made them of drawings."""

    @classmethod
    def of(cls, measured: Measured, latents: Latents, sliders: Sliders, mean_shape: np.ndarray) -> Photographs:
        """One photograph at 256 pixels, encoded as these latents and sliders."""
        latents = replace(latents, shapes=mean_shape[None])
        flow = flow_to_canonical(measured, mean_shape)
        maps = warped(np.dstack([measured.picture, measured.hair, measured.background]), flow).clip(0, 1)
        return cls(maps=_matted(maps[None]), latents=latents, sliders=(sliders,), lips=(measured.lips,))

    @classmethod
    def of_retouch(cls, pictures_rgb: np.ndarray, classes: np.ndarray, latents: Latents) -> Photographs:
        """What a retouch has made of drawings in the canonical frame.

        Args:
            pictures_rgb: (B, 256, 256, 3) uint8.
            classes: (B, 19, 256, 256) probabilities of the parser.
            latents: what was drawn, with the mean shape.
        """
        hair, background = (solid(classes[:, place]) for place in (HAIR, BACKGROUND))
        maps = _matted(np.concatenate([pictures_rgb.astype(np.float32) / 255, np.stack([hair, background], 3)], 3))
        for one in maps:
            one[..., :3] = repaint.out_of_focus(one[..., :3], one[..., 4])
        count = len(latents)
        return cls(maps=maps, latents=latents, sliders=(CANONICAL,) * count, lips=(0.0,) * count, is_retouch=True)

    def kept(self, share: float = 1.0) -> Photographs | None:
        """What of them counts for other latents; a retouch has to be made anew."""
        return None if self.is_retouch else replace(self, share=share * self.share)

    def take(self, places: Sequence[int]) -> Photographs:
        """Some of them."""
        return replace(
            self,
            maps=self.maps[list(places)],
            latents=self.latents.take(places),
            sliders=tuple(self.sliders[place] for place in places),
            lips=tuple(self.lips[place] for place in places),
        )

    @classmethod
    def joined(cls, parts: Sequence[Photographs]) -> Photographs:
        """Several groups as one."""
        return cls(
            maps=np.concatenate([part.maps for part in parts]),
            latents=type(parts[0].latents).joined([part.latents for part in parts]),
            sliders=tuple(one for part in parts for one in part.sliders),
            lips=tuple(one for part in parts for one in part.lips),
            share=min(part.share for part in parts),
            is_retouch=parts[0].is_retouch,
        )

    def lit(self, place: int, asked: Sliders) -> np.ndarray:
        """(256, 256, 3) float32 RGB of 1: one of them, hair and background as the sliders ask."""
        picture, hair, background = self.maps[place, ..., :3], self.maps[place, ..., 3], self.maps[place, ..., 4]
        own = self.sliders[place]
        if asked.background != own.background:
            # along the outline both shine through each other: taken apart and put together anew, no rim of the old one stays
            front, ground = (repaint.carried_on(picture, mask) for mask in (1 - background, background))
            painted = repaint.with_background(
                ground, np.ones_like(background), DRAWN["background"].quantity(asked.background)
            )
            together = front + background[..., None] * (painted - front)
            part = min(1.0, abs(asked.background - own.background) / _REPAINTED)
            picture = picture + part * (together - picture)
        if asked.hair != own.hair and hair.mean() > 0.01:
            # its shadow on the skin along the rim is of its colour, too
            wide = cv2.GaussianBlur(cv2.dilate(hair, np.ones((3, 3), np.uint8)), (0, 0), 1.0)
            wide = np.minimum(wide, 1 - background)
            if asked.hair < own.hair:
                # where skin shines through, roots keep their shade: brightened they would glow
                skin = cv2.GaussianBlur(np.clip(1 - hair - background, 0, 1), (0, 0), 2.0)
                wide = np.clip(wide - _ROOTS * skin, 0, 1)
            painted = repaint.with_hair(picture, wide, DRAWN["hair"].quantity(asked.hair))
            picture = picture + min(1.0, abs(asked.hair - own.hair) / _REPAINTED) * (painted - picture)
        return picture

    def moved(
        self,
        place: int,
        asked: Sliders,
        drawn: np.ndarray,
        before: np.ndarray,
        restored: np.ndarray,
        points: np.ndarray,
        flow: np.ndarray,
    ) -> np.ndarray:
        """(256, 256, 3) float32 RGB of 1: one of them as the sliders ask.

        Args:
            place: which photograph.
            asked: the sliders.
            drawn: (256, 256, 3) float32 of 1 the face drawn as asked.
            before: the same with the latents of the photograph.
            restored: `drawn` with details, for what the photograph does not show.
            points: (468, 3) the posed mesh.
            flow: (S, S, 2) that draws it from the canonical frame.
        """
        carried = warped(self.lit(place, asked), flow)
        # what other latents change; the finest part is the network's own grain
        change = cv2.GaussianBlur(drawn - before, (0, 0), _GRAIN)
        return restored + self.share * self._known(place, asked, points) * (carried + change - restored)

    def _known(self, place: int, asked: Sliders, points: np.ndarray) -> np.ndarray:
        """(256, 256, 1) float32 how much a photograph says of a posed face: little of what it does not show."""
        hidden: np.ndarray = np.zeros((SIZE, SIZE), np.float32)
        wider = DRAWN["mouth"].quantity(asked.mouth) - self.lips[place]
        if wider > 0:
            hidden = min(1.0, wider / _OPENED) * _filled(points[list(LIPS_INNER), :2])
        gap, own = (DRAWN["eyes"].quantity(values.eyes) for values in (asked, self.sliders[place]))
        if gap < min(own, _SHUT):
            lids = [_filled(cv2.convexHull(points[list(eye), :2])[:, 0]) for eye in (EYE_LEFT, EYE_RIGHT)]
            around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_LID_PX, _LID_PX))
            hidden = np.maximum(hidden, min(1.0, 1 - gap / _SHUT) * cv2.dilate(np.maximum(*lids), around))
        turned = np.clip(geometry.turned_into_view(self.latents.shapes[place], points) / _UNSEEN, 0, 1)
        corners = (points + np.array([0.5, 0.5, 0])).astype(np.float32)
        drawn, covered = rasterise(corners, np.repeat(turned[:, None], 3, 1).astype(np.float32), (SIZE, SIZE))
        hidden = np.maximum(hidden, drawn[..., 0] * covered)
        return 1 - cv2.GaussianBlur(hidden, (0, 0), 1.5)[..., None]


def _matted(maps: np.ndarray) -> np.ndarray:
    """(B, 256, 256, 5) maps with the outline of hair strand by strand."""
    found = [np.dstack([one[..., :3], *repaint.matted(one[..., :3], one[..., 3], one[..., 4])]) for one in maps]
    return np.stack(found).astype(np.float32)


def _filled(outline: np.ndarray) -> np.ndarray:
    """(256, 256) float32: 1 inside a polygon of (N, 2) points."""
    return polygon_mask(outline + 0.5, (SIZE, SIZE)).astype(np.float32) / 255


def enlarged(picture_rgb: np.ndarray) -> np.ndarray:
    """(256, 256, 3) float32 of 1 from (S, S, 3) uint8 RGB."""
    return cv2.resize(picture_rgb.astype(np.float32) / 255, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
