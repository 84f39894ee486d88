"""What hides part of a source's face, as the face parser sees it: said to the user, and refused where no eye is left."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.errors import InputError
from facegen.faces import Face, align, mesh, parse
from facegen.faces.parse.parser import SIZE, FaceParser, parser_available
from facegen.swap.engines.eyes import SIDES
from facegen.swap.engines.occlusion import UNCOVERED
from facegen.swap.sources import Picture

NOTICES = {
    "glasses": "The source wears glasses: what they hide is filled in; a picture without them looks better.",
    "hat": "A hat covers part of the source's face, which is filled in; a picture without it looks better.",
    "hair": "Hair lies across the source's face, which is filled in there; a picture without looks better.",
    "thing": "Something covers part of the source's face, which is filled in; a picture without it looks better.",
    "shadow": "The source is lit hard, with deep shadows, which can show in the result; a picture in even light looks better.",
    "turned": "The source's face is turned away, and its far half is filled in; a picture from the front looks better.",
}
"""What can be found -> what is said of it."""
_SHARES = {
    "glasses": ((parse.GLASSES,), 0.02),
    "hat": ((parse.HAT,), 0.02),
    "hair": ((parse.HAIR,), 0.08),
    "thing": ((parse.BACKGROUND, parse.CLOTH, parse.NECK, parse.NECKLACE), 0.04),
}
"""Classes of the parser, and the share of the middle of a face from which on they are said to cover it."""
_MIDDLE = 0.85
"""How much of the face's outline counts: at its edge there is hair on everybody."""
_AROUND_EYE = 1.5
_HIDDEN = 0.1
"""An eye is hidden that shows less than this share of itself and of the skin around it."""
_DEEP = 1.5
"""Range of light on skin, log from the darkest to the brightest twentieth, that only hard light has."""
_TURNED_DEG = 45.0


@dataclass(frozen=True, kw_only=True)
class Coverings:
    """What hides part of one face."""

    kinds: frozenset[str] = frozenset()
    """Keys of `NOTICES`."""
    hides_eyes: bool = False
    """Whether neither eye is seen."""


def find_coverings(pictures: Iterable[Picture], parser: FaceParser | None) -> list[Coverings]:
    """What hides part of the face in each picture; nothing where there is no parser."""
    return [_find(image_rgb, face, parser) if parser else Coverings() for image_rgb, face in pictures]


def load_parser() -> FaceParser | None:
    """The face parser, if it is there."""
    return FaceParser(threads=1) if parser_available() else None


def describe(found: Sequence[Coverings]) -> tuple[str, ...]:
    """The notices for a person of whom these are all pictures: what hides the face in each of them, as no other makes up for it."""
    common = frozenset.intersection(*(one.kinds for one in found)) if found else frozenset()
    return tuple(words for kind, words in NOTICES.items() if kind in common)


def require_eyes(found: Sequence[Coverings]) -> None:
    """Refuse a source without eyes.

    Raises:
        InputError: they are covered in every picture.
    """
    if found and all(one.hides_eyes for one in found):
        raise InputError(
            "Expected a source whose eyes can be seen, found them covered; choose a picture without dark glasses."
        )


def _find(image_rgb: np.ndarray, face: Face, parser: FaceParser) -> Coverings:
    matrix = align.parse_matrix(face, SIZE)
    crop = align.warp(image_rgb, matrix, SIZE)
    classes = parser.parse(crop[None])[0].argmax(0)
    points = align.apply(matrix, face.points478[:, :2]).astype(np.float32)
    middle = _region(cv2.convexHull(points[: mesh.VERTEX_COUNT])[:, 0], _MIDDLE)
    kinds = {kind for kind, (labels, least) in _SHARES.items() if np.isin(classes[middle], labels).mean() >= least}
    if abs(face.yaw_deg) > _TURNED_DEG:
        kinds.add("turned")
    if _light_range(crop, middle & (classes == parse.SKIN)) > _DEEP:
        kinds.add("shadow")
    eyes = [_region(points[list(lids)], _AROUND_EYE) for lids, _ in SIDES]
    seen = [float(np.isin(classes[eye], UNCOVERED).mean()) for eye in eyes]
    return Coverings(kinds=frozenset(kinds), hides_eyes=max(seen) < _HIDDEN)


def _region(outline: np.ndarray, scale: float) -> np.ndarray:
    """(SIZE, SIZE) bool inside of an outline (N, 2) that is made larger or smaller about its centre."""
    centre = outline.mean(0)
    return mesh.polygon_mask((centre + (outline - centre) * scale).astype(np.float32), (SIZE, SIZE)) > 127


def _light_range(crop_rgb: np.ndarray, skin: np.ndarray) -> float:
    """Range of light, log, over skin."""
    if np.count_nonzero(skin) < SIZE:
        return 0.0
    luma = cv2.GaussianBlur(cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY), (0, 0), SIZE / 64).astype(np.float32)
    darkest, brightest = np.percentile(np.log(luma[skin] + 4), (5, 95))
    return float(brightest - darkest)
