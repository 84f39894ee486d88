"""Necks and shoulders for drawn heads, of which the generator's linear top keeps only a haze: a linear model of their own.

Drawn with the mean shape, a photograph's neck begins where every canonical jaw ends, so a body goes with any face. Distances
from its outline and from the border of its clothes are mixed rather than pictures: edges stay sharp.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, CLOTH, HAIR, NECK, NECKLACE, SKIN
from facegen.generate.canonical import SIDE, CanonicalPhotograph, canonical_photographs
from facegen.generate.matte import carried, disc, ramp
from facegen.generate.packed import PackedFaces
from facegen.generate.sliders import NAMES
from facegen.generate.variants import warped

_TOP = 164
"""The first row of 256 that is modelled."""
_SIZE = 64, 23
"""Width and height of the modelled maps."""
_BEGINS = (165, 180)
"""Rows between which bodies begin: behind the face, above its chin."""
_WEIGHTS = np.array([2, 2, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5], np.float32)
"""What a map counts: two distances in units of 20 pixels, then logarithms of the neck's and of the clothes' RGB."""
_DISTANCE, _REACH = 20.0, 2.0
_SHARP = 0.8
"""Width of an edge, pixels."""
_HAIR_BELOW, _GROUND_BELOW, _AHEAD, _CLOSED_LIPS = 0.01, 0.3, 0.1, 0.06
"""Photographs have no more hair on the lower third, and no more ground on the last rows; their head is turned and their
lips are open no further."""
_DOUBT = 0.09
"""Share of a body's rows whose outline may be unsure."""
_PLAIN = 9.0
"""Sigma that leaves of clothes their colour and broad light, pixels: patterns do not mix."""
_LEAST_NECK, _LEAST_CLOTH = 200, 300
"""Pixels from which on colours can be told."""
_DARKEST = 8.0
"""Levels that are added before two colours are compared."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Bodies:
    """A linear model of necks and shoulders in the canonical frame."""

    mean: np.ndarray
    """(D,) float16."""
    axes: np.ndarray
    """(K, D) float16."""
    codes: np.ndarray
    """(N, K) float16 of the data; a new body is mixed from two."""

    def mixed(self, person: int) -> np.ndarray:
        """(K,) float32 the body of a seed."""
        random = np.random.default_rng(person)
        one, two = self.codes[random.integers(len(self.codes), size=2)].astype(np.float32)
        return one + random.uniform(0.3, 0.7) * (two - one)

    def placed(self, code: np.ndarray, flow: np.ndarray, skin_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(256, 256, 3) float32 levels and (256, 256) 0..1 of a body in a picture's frame.

        Args:
            code: (K,).
            flow: (64, 64, 2) from the canonical frame to the picture's.
            skin_rgb: (3,) levels of the face.
        """
        flat = self.mean.astype(np.float32) + code @ self.axes.astype(np.float32)
        maps = flat.reshape(*_SIZE[::-1], len(_WEIGHTS)) / _WEIGHTS
        large = _resized(maps, (SIDE, SIDE - _TOP), cv2.INTER_CUBIC)
        whole = cv2.copyMakeBorder(large[..., :4], _TOP, 0, 0, 0, cv2.BORDER_REPLICATE)
        rest = cv2.copyMakeBorder(large[..., 4:], _TOP, 0, 0, 0, cv2.BORDER_REPLICATE)
        parts = [whole[..., :3], np.dstack([whole[..., 3:], rest[..., :2]]), rest[..., 2:]]
        starts = np.repeat(ramp(np.arange(SIDE, dtype=np.float32), *_BEGINS)[:, None], SIDE, 1)
        parts[2] = np.dstack([parts[2], starts])
        stacked = np.dstack([warped(np.ascontiguousarray(part), flow) for part in parts])
        lies, is_neck = (1 / (1 + np.exp(-stacked[..., n] * _DISTANCE / _SHARP)) for n in (0, 1))
        neck = (skin_rgb + _DARKEST) * np.exp(stacked[..., 2:5]) - _DARKEST
        cloth = np.exp(stacked[..., 5:8]) - _DARKEST
        colours = cloth + is_neck[..., None] * (neck - cloth)
        return colours.clip(0, 255), lies * stacked[..., 8].clip(0, 1)


def learn_bodies(pack: PackedFaces, photographs: Path, analyser: FaceAnalyser, components: int = 12) -> Bodies:
    """From necks and shoulders that no hair hides and their mirror images; held-back faces are left out.

    Args:
        pack: the dataset.
        photographs: the folder that it was made of.
        analyser: finds and parses faces.
        components: K.

    Raises:
        InputError: fewer than two photographs show neck and shoulders clearly.
    """
    measured = pack.measured[:, 0]
    side = pack.canonical.shape[1]
    fits = ~pack.held_back() & (np.abs(measured[:, NAMES.index("head")] - 0.5) < _AHEAD)
    places = np.flatnonzero(fits & (measured[:, NAMES.index("mouth")] < _CLOSED_LIPS))
    seen = np.asarray(pack.canonical[places])
    is_bare = seen[:, side * 2 // 3 :, :, 3].mean((1, 2)) < 255 * _HAIR_BELOW
    is_broad = seen[:, -side // 32 :, :, 4].mean((1, 2)) < 255 * _GROUND_BELOW
    chosen = places[is_bare & is_broad].tolist()
    found = [_maps(photograph) for photograph in canonical_photographs(pack, chosen, photographs, analyser)]
    rows = [maps for maps in found if maps is not None]
    if len(rows) < 2:
        raise InputError(f"Expected photographs whose neck and shoulders no hair hides in {photographs}, found none.")
    return fitted(np.stack(rows), components)


def fitted(maps: np.ndarray, components: int) -> Bodies:
    """The model of (N, 23, 64, 8) maps and their mirror images."""
    both = np.concatenate([maps, maps[:, :, ::-1]])
    flat = (both * _WEIGHTS).reshape(len(both), -1)
    mean = flat.mean(0)
    left, strengths, axes = np.linalg.svd(flat - mean, full_matrices=False)
    codes = left[:, :components] * strengths[:components]
    return Bodies(
        mean=mean.astype(np.float16), axes=axes[:components].astype(np.float16), codes=codes.astype(np.float16)
    )


def _maps(photograph: CanonicalPhotograph) -> np.ndarray | None:
    """(23, 64, 8) float32 what is modelled of a photograph; None where neck or clothes cannot be told."""
    rgb, classes = photograph.rgb, photograph.classes
    ground = classes[_BEGINS[1] :, :, BACKGROUND]
    neck, cloth = (
        cv2.erode((classes[..., part].sum(2) > 0.8).astype(np.float32), disc(3)) for part in ([NECK, NECKLACE], [CLOTH])
    )
    is_unsure = ((ground > 0.1) & (ground < 0.9)).mean() > _DOUBT
    if is_unsure or neck.sum() < _LEAST_NECK or cloth.sum() < _LEAST_CLOTH:
        return None
    skin = np.median(rgb[classes[..., SKIN] > 0.9], 0)
    inside = 1 - classes[..., [BACKGROUND, HAIR]].sum(2)
    # under the face and beyond the outline the border of the clothes goes on
    bare = (classes[..., [NECK, NECKLACE, SKIN]].sum(2) > classes[..., CLOTH]).astype(np.float32)
    bare = carried(bare[..., None], (inside > 0.5).astype(np.float32), 2.0)[..., 0]
    tint = carried(np.log((rgb + _DARKEST) / (skin + _DARKEST)), neck, 2.0)
    colour = cv2.GaussianBlur(carried(np.log(rgb + _DARKEST), cloth, 2.0), (0, 0), _PLAIN)
    maps = np.dstack([_distance(inside), _distance(bare), tint, colour])[_TOP:].astype(np.float32)
    return _resized(maps, _SIZE, cv2.INTER_AREA)


def _distance(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 distance to the mask's outline in units of 20 pixels, positive inside, 2 at most."""
    inside = (mask > 0.5).astype(np.uint8)
    near, far = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (inside, 1 - inside))
    return np.clip((near - far) / _DISTANCE, -_REACH, _REACH)


def _resized(maps: np.ndarray, size: tuple[int, int], way: int) -> np.ndarray:
    """(H, W, 8) maps of another size; OpenCV takes four channels at once."""
    halves = [
        cv2.resize(np.ascontiguousarray(part), size, interpolation=way) for part in (maps[..., :4], maps[..., 4:])
    ]
    return np.concatenate(halves, 2)
