"""A photograph carried along in the canonical frame, so that moved sliders change it and not only a drawing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from facegen.faces.mesh import LIPS_INNER, polygon_mask, rasterise
from facegen.generate import geometry, repaint
from facegen.generate.frame import SIZE
from facegen.generate.sliders import DRAWN, Sliders
from facegen.generate.variants import Measured, flow_to_canonical, warped

if TYPE_CHECKING:
    from facegen.generate.latents import Latents

_REPAINTED = 0.15
"""Steps of a slider from which on the hair has its new colour altogether."""
_OPENED = 0.06
"""How much wider than in the photograph, in eye distances, lips are open whose inside is all drawn."""
_GRAIN = 2.0
"""Sigma of the blur that takes away what two drawings of one face differ in by chance, pixels."""
_UNSEEN = 0.35
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

    @classmethod
    def of(cls, measured: Measured, latents: Latents, sliders: Sliders, mean_shape: np.ndarray) -> Photographs:
        """One photograph at 256 pixels, encoded as these latents and sliders."""
        latents = replace(latents, shapes=mean_shape[None])
        flow = flow_to_canonical(measured, mean_shape)
        maps = warped(np.dstack([measured.picture, measured.hair, measured.background]), flow).clip(0, 1)
        return cls(maps=maps[None], latents=latents, sliders=(sliders,), lips=(measured.lips,))

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
        )

    def lit(self, place: int, asked: Sliders) -> np.ndarray:
        """(256, 256, 3) float32 RGB of 1: one of them, hair and background as the sliders ask."""
        picture, hair, background = self.maps[place, ..., :3], self.maps[place, ..., 3], self.maps[place, ..., 4]
        own = self.sliders[place]
        if asked.background != own.background:
            # at the hair's rim the old ground shines through
            solid = repaint.hair_inside(picture, hair)
            part = min(1.0, abs(asked.background - own.background) / _REPAINTED)
            picture = picture + part * hair[..., None] * (solid - picture)
            picture = repaint.with_background(picture, background, DRAWN["background"].quantity(asked.background))
        if asked.hair != own.hair and hair.mean() > 0.01:
            painted = repaint.with_hair(picture, hair, DRAWN["hair"].quantity(asked.hair))
            picture = picture + min(1.0, abs(asked.hair - own.hair) / _REPAINTED) * (painted - picture)
        return picture

    def moved(
        self, place: int, asked: Sliders, drawn: np.ndarray, ahead: np.ndarray, points: np.ndarray, flow: np.ndarray
    ) -> np.ndarray:
        """(256, 256, 3) float32 RGB of 1: one of them as the sliders ask.

        Args:
            place: which photograph.
            asked: the sliders.
            drawn: (256, 256, 3) float32 of 1 the face drawn as asked.
            ahead: the same as encoded, with the mean shape, looking ahead, in the asked light.
            points: (468, 3) the posed mesh.
            flow: (64, 64, 2) that draws it from the canonical frame.
        """
        carried = warped(np.dstack([self.lit(place, asked), ahead]), flow)
        # what drawing changes beside place and light; the finest part is the network's own grain
        change = cv2.GaussianBlur(drawn - carried[..., 3:], (0, 0), _GRAIN)
        return drawn + self.share * self._known(place, asked, points) * (carried[..., :3] + change - drawn)

    def _known(self, place: int, asked: Sliders, points: np.ndarray) -> np.ndarray:
        """(256, 256, 1) float32 how much a photograph says of a posed face: little of what it does not show."""
        hidden: np.ndarray = np.zeros((SIZE, SIZE), np.float32)
        wider = DRAWN["mouth"].quantity(asked.mouth) - self.lips[place]
        if wider > 0:
            inside = polygon_mask(points[list(LIPS_INNER), :2] + 0.5, (SIZE, SIZE)).astype(np.float32) / 255
            hidden = min(1.0, wider / _OPENED) * inside
        turned = np.clip(geometry.turned_into_view(self.latents.shapes[place], points) / _UNSEEN, 0, 1)
        corners = (points + np.array([0.5, 0.5, 0])).astype(np.float32)
        drawn, covered = rasterise(corners, np.repeat(turned[:, None], 3, 1).astype(np.float32), (SIZE, SIZE))
        hidden = np.maximum(hidden, drawn[..., 0] * covered)
        return 1 - cv2.GaussianBlur(hidden, (0, 0), 1.5)[..., None]


def enlarged(picture_rgb: np.ndarray) -> np.ndarray:
    """(256, 256, 3) float32 of 1 from (S, S, 3) uint8 RGB."""
    return cv2.resize(picture_rgb.astype(np.float32) / 255, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
