# LEAD to GEN, 08:03: read /work/plan/gen7/LEAD_TO_GEN.md before going on: no picture files of ../shared/data may ship; a learnt model instead.
"""Strands for drawn hair, which the deep latents draw as blots: those of the photograph whose hair lies most like it.

A bank keeps hair of photographs in the canonical frame: how much brighter or darker each place is than its neighbourhood.
Drawn hair keeps its place, its colour and its broad light and shade; what is finer is laid over it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from facegen.faces import FaceAnalyser
from facegen.generate.bank import SIDE, canonical_photographs, from_file, joined, parted, spread_out, to_file
from facegen.generate.packed import PackedFaces
from facegen.generate.repaint import luminance
from facegen.generate.sliders import NAMES

_BROAD = 9.0
"""Sigma of the blur that leaves the broad light and shade, pixels of 256."""
_PLACES, _SHADES = 32, 16
"""Sides of the maps by which hair is chosen."""
_TRIED = 12
"""Members whose hair covers the drawn hair best, among which the one of like light and shade is taken."""
_LEVELS = 100.0
"""Levels of a natural logarithm in the files."""
_QUALITY = 82
_LEAST_HAIR, _AHEAD, _BLURRED = 0.08, 0.16, 0.35
"""Members have hair on this share of the picture at least, turn no further beside the middle, and are sharper than this
share of the others."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Strands:
    """Hair of K photographs, and its mirror images: numbers from K on."""

    files: tuple[np.ndarray, ...]
    """Of each a grey picture file of 256 pixels: 128 + 100 times the logarithm of brightness over its neighbourhood."""
    maps: np.ndarray
    """(K, 32, 32) uint8 where hair is."""
    shades: np.ndarray
    """(K, 16, 16) int8 its broad light and shade."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What is written of it."""
        return {**joined(self.files, "strands"), "hair_maps": self.maps, "hair_shades": self.shades}

    @classmethod
    def of_arrays(cls, found: dict[str, np.ndarray]) -> Strands:
        """From what `arrays` gave."""
        return cls(files=parted(found, "strands"), maps=found["hair_maps"], shades=found["hair_shades"])

    @cached_property
    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Maps and shades of the members and of their mirror images, 2 K each, float32."""
        maps, shades = self.maps.astype(np.float32) / 255, self.shades.astype(np.float32)
        return np.concatenate([maps, maps[..., ::-1]]), np.concatenate([shades, shades[..., ::-1]])

    def nearest(self, canonical_rgb: np.ndarray, hair: np.ndarray) -> int:
        """Which member's hair lies most like that of a canonical picture.

        Args:
            canonical_rgb: (S, S, 3) uint8.
            hair: (S, S) 0..1 where hair is.
        """
        place, shade = _looks_of(canonical_rgb, hair)
        maps, shades = self.both
        common = np.minimum(maps, place).sum((1, 2))
        covers = common / max(float(place.sum()), 1e-3) + 0.5 * common / np.maximum(maps.sum((1, 2)), 1e-3)
        best = covers.argsort(kind="stable")[::-1][:_TRIED]
        agreement = (shades[best] * shade).sum((1, 2)) / np.sqrt(np.square(shades[best]).sum((1, 2)) + 1)
        return int(best[(agreement / (agreement.std() + 1e-6) + 20 * covers[best]).argmax()])

    def member(self, number: int) -> np.ndarray:
        """(256, 256, 4) float32 in the canonical frame: three times the logarithm, and where it is known, 0..1."""
        place = number % len(self.files)
        grey = from_file(self.files[place], is_grey=True).astype(np.float32)
        known = cv2.resize(self.maps[place].astype(np.float32) / 255, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        stacked = np.dstack([np.repeat(((grey - 128) / _LEVELS)[..., None], 3, 2), known])
        return stacked if number < len(self.files) else np.ascontiguousarray(stacked[:, ::-1])


def _looks_of(canonical_rgb: np.ndarray, hair: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(32, 32) where hair is, 0..1, and (16, 16) its light and shade, levels around its mean, 0 elsewhere."""
    light = luminance(canonical_rgb.astype(np.float32)) * hair
    places = cv2.resize(hair.astype(np.float32), (_PLACES, _PLACES), interpolation=cv2.INTER_AREA)
    here = cv2.resize(hair.astype(np.float32), (_SHADES, _SHADES), interpolation=cv2.INTER_AREA)
    small = cv2.resize(light, (_SHADES, _SHADES), interpolation=cv2.INTER_AREA)
    mean = small.sum() / max(float(here.sum()), 1e-3)
    return places, np.where(here > 0.1, small - mean * here, 0)


def strands_of(picture_rgb: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(256, 256) uint8 as `Strands.files` hold it, of a (256, 256, 3) float32 picture in [0, 1] and its hair."""
    light = np.log(np.maximum(luminance(picture_rgb), 0.02))
    weight = cv2.GaussianBlur(hair, (0, 0), _BROAD)
    broad = cv2.GaussianBlur(light * hair, (0, 0), _BROAD) / np.maximum(weight, 1e-3)
    return (128 + _LEVELS * hair * (light - broad)).round().clip(0, 255).astype(np.uint8)


def gather_strands(
    pack: PackedFaces, photographs: Path, analyser: FaceAnalyser, count: int = 200, seed: int = 0
) -> Strands:
    """Hair of a dataset's photographs, sharp and lying in as many ways as possible; held-back faces are left out.

    Args:
        pack: the dataset.
        photographs: the folder that it was made of.
        analyser: finds and parses faces.
        count: how many photographs.
        seed: of the choice.
    """
    places = np.flatnonzero(~pack.held_back() & (np.abs(pack.measured[:, 0, NAMES.index("head")] - 0.5) < _AHEAD))
    seen = np.asarray(pack.canonical[places])
    hair = seen[..., 3].astype(np.float32) / 255
    strength = np.array(
        [_strength(luminance(p[..., :3].astype(np.float32)), h) for p, h in zip(seen, hair, strict=True)]
    )
    fits = hair.mean((1, 2)) > _LEAST_HAIR
    fits &= strength > np.quantile(strength[fits], _BLURRED)
    looks = [_looks_of(p[..., :3], h) for p, h in zip(seen[fits], hair[fits], strict=True)]
    table = np.stack([np.concatenate([128 * where.ravel(), 2 * shade.ravel()]) for where, shade in looks])
    chosen = places[fits][spread_out(table.astype(np.float32), min(count, len(table)), seed)]
    files, maps, shades = [], [], []
    for photograph in canonical_photographs(pack, chosen.tolist(), photographs, analyser):
        picture, where = photograph.repainted[..., :3], photograph.repainted[..., 3]
        map_, shade = _looks_of(picture * 255, where)
        maps.append((255 * map_).round().astype(np.uint8))
        shades.append(shade.round().clip(-127, 127).astype(np.int8))
        files.append(to_file(strands_of(picture, where), _QUALITY))
    return Strands(files=tuple(files), maps=np.stack(maps), shades=np.stack(shades))


def _strength(light: np.ndarray, hair: np.ndarray) -> float:
    solid = cv2.erode(hair, np.ones((5, 5), np.uint8))
    fine = light - cv2.GaussianBlur(light, (0, 0), 2)
    return float(np.sqrt((np.square(fine) * solid).sum() / max(float(solid.sum()), 30)))
