"""Fine detail for drawn faces: pores, lashes and creases, which the deep latents have learnt to draw too little of.

The data's photographs, drawn with one mean shape, lie so well over each other that the finest part of one fits another of
like colours. A bank keeps that part of some hundred faces: what a blur takes away, inside the face only. It replaces the same
part of a drawn face, in the canonical frame, and moves with lids, lips and head.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen.errors import WeightsError
from facegen.generate.base import TEXTURE, face_share
from facegen.generate.frame import SIZE
from facegen.generate.packed import SIDE, PackedFaces
from facegen.generate.sliders import NAMES, Sliders

BLUR = 2.0
"""Sigma of the blur whose loss is «fine», pixels of a picture of 128."""
_TRIED = 80
"""Faces of like colours among which the one that fits best is taken."""
_SMALL, _ROWS, _COLUMNS = 16, slice(4, 14), slice(4, 12)
_CLOSED_LIPS, _OPEN_LIDS, _AHEAD = 0.06, 0.4, 0.16
"""Sliders of faces for the bank: at most, at least, and at most beside the middle."""
_LIDS_CLOSE = (0.6, 0.3)
"""Sliders over which the fine part fades between lids."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Skin:
    """The fine parts of K faces."""

    fine: np.ndarray
    """(K, h, w) int8 levels of brightness, inside the box."""
    looks: np.ndarray
    """(K, D) uint8 colours of the faces, by which one is chosen."""
    box: tuple[int, int, int, int]
    """Top, left, bottom, right of the fine parts in the canonical picture of 128 pixels."""

    @classmethod
    def read(cls, path: Path) -> Skin:
        """From the file that `write` makes.

        Raises:
            WeightsError: it is another file.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(path)
            top, left, bottom, right = (int(n) for n in found["box"])
            return cls(fine=found["fine"], looks=found["looks"], box=(top, left, bottom, right))
        except (SafetensorError, KeyError) as error:
            raise WeightsError(
                f"Expected the fine parts of faces in {path}, found another file; install them again."
            ) from error

    def write(self, path: Path) -> None:
        """As one safetensors file."""
        from safetensors.numpy import save_file

        # safetensors writes memory as it lies
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ("fine", "looks")}
        save_file({**arrays, "box": np.array(self.box, np.int32)}, path)

    def nearest(self, canonical_rgb: np.ndarray, own: np.ndarray) -> np.ndarray:
        """(B,) which faces fit: of like colours, and with brows, lids and lips where the drawn ones are.

        Args:
            canonical_rgb: (B, 128, 128, 3) uint8 the faces as drawn.
            own: (B, 128, 128) their fine parts.
        """
        top, left, bottom, right = self.box
        gaps = looks_of(canonical_rgb)[:, None].astype(np.float32) - self.looks[None].astype(np.float32)
        alike = np.square(gaps).sum(2).argsort(1, kind="stable")[:, :_TRIED]
        found = []
        for places, part in zip(alike, own[:, top:bottom, left:right], strict=True):
            fine = self.fine[places].astype(np.float32)
            agreement = (fine * part).sum((1, 2)) / np.sqrt(np.square(fine).sum((1, 2)) + 1)
            found.append(places[agreement.argmax()])
        return np.array(found)

    def fine_of(self, canonical_rgb: np.ndarray, share: np.ndarray) -> np.ndarray:
        """What to add to faces in the canonical frame so that their fine part becomes that of the nearest face.

        Args:
            canonical_rgb: (B, 128, 128, 3) uint8 the faces as drawn.
            share: (128, 128, 1) how much of it counts where.

        Returns:
            (B, 128, 128, 3) float32, of 1.
        """
        top, left, bottom, right = self.box
        wanted = np.zeros((len(canonical_rgb), SIDE, SIDE), np.float32)
        own = np.stack([fine_part(picture) for picture in canonical_rgb])
        wanted[:, top:bottom, left:right] = self.fine[self.nearest(canonical_rgb, own)]
        return np.repeat(((wanted - own) / 255)[..., None] * share, 3, 3)


def fine_part(picture_rgb: np.ndarray) -> np.ndarray:
    """(S, S) float32 levels of brightness that a blur takes away."""
    light = picture_rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return light - cv2.GaussianBlur(light, (0, 0), BLUR)


def looks_of(canonical_rgb: np.ndarray) -> np.ndarray:
    """(B, D) uint8: coarse colours of the faces of canonical pictures."""
    small = [cv2.resize(p, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA)[_ROWS, _COLUMNS] for p in canonical_rgb]
    return np.stack(small).reshape(len(small), -1)


def inside(mean_shape: np.ndarray) -> np.ndarray:
    """(128, 128, 1) float32 how much each place of the canonical frame belongs to the face."""
    small = face_share(mean_shape)[: TEXTURE * TEXTURE * 3 : 3].reshape(TEXTURE, TEXTURE)
    return cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., None]


def counted(mean_shape: np.ndarray, sliders: Sequence[Sliders]) -> np.ndarray:
    """(B, 128, 128, 1) float32 how much of the fine part counts: none at lips, and none between lids that close.

    Lips differ too much for those of another face to lie on them; closing lids press together what was drawn of open eyes.
    """
    lids, lips = _openings(mean_shape.tobytes())
    shares = []
    for values in sliders:
        closing = 1 - np.clip((values.eyes - _LIDS_CLOSE[1]) / (_LIDS_CLOSE[0] - _LIDS_CLOSE[1]), 0, 1)
        shares.append((1 - closing * lids) * (1 - lips))
    return np.stack(shares).astype(np.float32)


@functools.cache
def _openings(mean_shape: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(128, 128, 1) where lids meet and where lips are, 0..1, soft."""
    from facegen.faces.mesh import EYE_LEFT, EYE_RIGHT, LIPS_OUTER, polygon_mask

    points = np.frombuffer(mean_shape, np.float32).reshape(468, 3)
    found = []
    for rings, width in (((EYE_LEFT, EYE_RIGHT), 7), ((LIPS_OUTER,), 13)):
        masks = [polygon_mask(points[list(ring), :2], (SIZE, SIZE)) for ring in rings]
        mask = cv2.GaussianBlur(cv2.dilate(np.maximum.reduce(masks), np.ones((width, width), np.uint8)), (0, 0), 2.5)
        found.append(cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255)
    return found[0], found[1]


def gather(pack: PackedFaces, count: int = 180, seed: int = 0) -> Skin:
    """The bank of a dataset: sharp photographs that look ahead with open eyes and closed lips, of as many looks as possible.

    Held-back faces are left out.
    """
    eyes, mouth, head = (pack.measured[:, 0, NAMES.index(name)] for name in ("eyes", "mouth", "head"))
    fits = (mouth < _CLOSED_LIPS) & (eyes > _OPEN_LIDS) & (np.abs(head - 0.5) < _AHEAD) & ~pack.held_back()
    places = np.flatnonzero(fits)
    share = inside(pack.mean_shape)[..., 0]
    rows, columns = np.flatnonzero(share.max(1) > 0.01), np.flatnonzero(share.max(0) > 0.01)
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    parts = np.stack([fine_part(pack.canonical[place][..., :3]) for place in places])
    strength = np.sqrt((np.square(parts) * share).sum((1, 2)))
    sharp = np.flatnonzero(strength > np.quantile(strength, 0.3))
    places, parts = places[sharp], parts[sharp]
    looks = looks_of(np.stack([pack.canonical[place][..., :3] for place in places]))
    chosen = _spread_out(looks.astype(np.float32), min(count, len(places)), seed)
    fine = parts[chosen, box[0] : box[2], box[1] : box[3]].round().clip(-127, 127).astype(np.int8)
    return Skin(fine=fine, looks=looks[chosen], box=box)


def _spread_out(looks: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Places of the members nearest to the middles of `count` clusters."""
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(count, random_state=seed, n_init=1, max_iter=20).fit(looks).cluster_centers_
    gaps = [np.square(looks - middle).sum(1).argmin() for middle in found]
    return np.unique(gaps)
