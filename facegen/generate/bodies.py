# LEAD to GEN, 08:15: see the end of /work/plan/gen7/LEAD_TO_GEN.md (a linear model of bodies that looks good).
"""Necks and shoulders for drawn heads, of which the linear top keeps only a haze: the mean of the data's photographs.

Drawn with the mean shape, a photograph's neck begins where every canonical jaw ends; so their mean goes with any face. It
says where a neck and plain clothes lie and how light falls on them; the neck's colour is that of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, CLOTH, HAIR, NECK, NECKLACE, SKIN
from facegen.generate.bank import SIDE, CanonicalPhotograph, canonical_photographs, spread_out
from facegen.generate.matte import carried, disc, ramp
from facegen.generate.packed import PackedFaces
from facegen.generate.repaint import luminance
from facegen.generate.sliders import NAMES
from facegen.generate.variants import warped

_BEGINS = (165, 180)
"""Rows between which bodies begin: behind the face, above its chin."""
_HAIR_BELOW, _GROUND_BELOW, _AHEAD, _CLOSED_LIPS = 0.01, 0.3, 0.1, 0.06
"""Photographs have no more hair on the lower third, and no more ground on the last rows; their head is turned and their
lips are open no further."""
_DOUBT = 0.09
"""Share of a body's rows whose outline may be unsure."""
_KEPT = 128
"""Side of the maps that are kept."""
_DARKEST = 8.0
"""Levels that are added before two colours are compared."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Bodies:
    """The mean body, and colours of clothes."""

    maps: np.ndarray
    """(128, 128, 6) float16 in the canonical frame: where it lies, how much of that is neck, the logarithm of the neck's RGB
    over the face's skin, and that of the clothes' brightness over their median."""
    clothes: np.ndarray
    """(K, 3) float32 RGB levels."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of it."""
        return {"body_maps": self.maps, "body_clothes": self.clothes}

    @classmethod
    def of_arrays(cls, found: dict[str, np.ndarray]) -> Bodies:
        """From what `arrays` gave."""
        return cls(maps=found["body_maps"], clothes=found["body_clothes"])

    def placed(self, clothes: int, flow: np.ndarray, skin_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(256, 256, 3) float32 levels and (256, 256) 0..1 of a body in a picture's frame.

        Args:
            clothes: a number of their colour; any number.
            flow: (64, 64, 2) from the canonical frame to the picture's.
            skin_rgb: (3,) levels of the face.
        """
        large = cv2.resize(self.maps.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        stacked = np.dstack(
            [warped(np.ascontiguousarray(large[..., part]), flow) for part in (slice(0, 3), slice(3, 6))]
        )
        is_neck = ramp(stacked[..., 1:2], 0.42, 0.58)
        neck = (skin_rgb + _DARKEST) * np.exp(stacked[..., 2:5]) - _DARKEST
        cloth = self.clothes[clothes % len(self.clothes)] * np.exp(stacked[..., 5:6])
        return (cloth + is_neck * (neck - cloth)).clip(0, 255), stacked[..., 0].clip(0, 1)


def gather_bodies(
    pack: PackedFaces, photographs: Path, analyser: FaceAnalyser, count: int = 100, seed: int = 0
) -> Bodies:
    """The mean of necks and shoulders that no hair hides; held-back faces are left out.

    Args:
        pack: the dataset.
        photographs: the folder that it was made of.
        analyser: finds and parses faces.
        count: how many photographs.
        seed: of the choice.

    Raises:
        InputError: no photograph shows neck and shoulders clearly.
    """
    measured = pack.measured[:, 0]
    side = pack.canonical.shape[1]
    fits = ~pack.held_back() & (np.abs(measured[:, NAMES.index("head")] - 0.5) < _AHEAD)
    places = np.flatnonzero(fits & (measured[:, NAMES.index("mouth")] < _CLOSED_LIPS))
    seen = np.asarray(pack.canonical[places])
    is_bare = seen[:, side * 2 // 3 :, :, 3].mean((1, 2)) < 255 * _HAIR_BELOW
    is_broad = seen[:, -side // 32 :, :, 4].mean((1, 2)) < 255 * _GROUND_BELOW
    places, seen = places[is_bare & is_broad], seen[is_bare & is_broad]
    looks = [
        cv2.resize(np.ascontiguousarray(p[side // 3 :, :, :3]), (8, 6), interpolation=cv2.INTER_AREA) for p in seen
    ]
    table = np.stack(looks).reshape(len(looks), -1).astype(np.float32)
    chosen = places[spread_out(table, min(count, len(table)), seed)]
    total, weights, clothes = np.zeros((SIDE, SIDE, 6)), np.zeros((SIDE, SIDE, 6)), []
    for photograph in canonical_photographs(pack, chosen.tolist(), photographs, analyser):
        if _is_plain(photograph):
            values, weight, colour = _parts(photograph)
            # mirrored too: light falls from anywhere
            total += values * weight + (values * weight)[:, ::-1]
            weights += weight + weight[:, ::-1]
            clothes.append(colour)
    if not clothes:
        raise InputError(f"Expected photographs whose neck and shoulders no hair hides in {photographs}, found none.")
    return Bodies(maps=_mean(total, weights), clothes=np.array(clothes, np.float32))


def _is_plain(photograph: CanonicalPhotograph) -> bool:
    """Whether the parser is sure of its outline."""
    ground = photograph.classes[_BEGINS[1] :, :, BACKGROUND]
    return bool(((ground > 0.1) & (ground < 0.9)).mean() < _DOUBT)


def _parts(photograph: CanonicalPhotograph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(256, 256, 6) what `Bodies.maps` are the mean of, how much each counts where, and the (3,) colour of the clothes."""
    rgb, classes = photograph.rgb, photograph.classes
    cloth = classes[..., CLOTH] > 0.8
    neck = classes[..., [NECK, NECKLACE]].sum(2)
    lies = 1 - classes[..., [BACKGROUND, HAIR]].sum(2)
    skin = np.median(rgb[classes[..., SKIN] > 0.9], 0)
    colour = np.median(rgb[cloth], 0) if cloth.any() else skin
    shade = np.log((luminance(rgb) + _DARKEST) / (float(luminance(colour)) + _DARKEST))
    tint = np.log((rgb + _DARKEST) / (skin + _DARKEST))
    values = np.dstack([lies, neck / np.maximum(neck + classes[..., CLOTH], 0.05), tint, shade])
    body = (neck + classes[..., CLOTH] > 0.5).astype(np.float32)
    inner = [cv2.erode(part.astype(np.float32), disc(5)) for part in (neck > 0.8, cloth)]
    return values, np.dstack([np.ones_like(body), body, *([inner[0]] * 3), inner[1]]), colour


def _mean(total: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(128, 128, 6) float16 weighted means, carried on to where nothing was seen."""
    found = []
    for part in range(total.shape[2]):
        weight = weights[..., part].astype(np.float32)
        values = (total[..., part] / np.maximum(weight, 1e-6)).astype(np.float32)[..., None]
        known = (weight > 0.1 * weight.max()).astype(np.float32)
        found.append(np.where(known[..., None] > 0, values, carried(values * known[..., None], known, 2.0)))
    maps = np.dstack(found)
    maps[..., 0] *= ramp(np.arange(SIDE, dtype=np.float32), *_BEGINS)[:, None]
    return cv2.resize(maps, (_KEPT, _KEPT), interpolation=cv2.INTER_AREA).astype(np.float16)
