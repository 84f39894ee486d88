"""Photographs of a dataset brought into the canonical frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen import media
from facegen.errors import NoFaceError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate.frame import frame_largest, parse_framed
from facegen.generate.packed import PackedFaces
from facegen.generate.variants import Measured, flow_to_canonical, warped

SIDE = 256
"""Side of canonical photographs, pixels."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CanonicalPhotograph:
    """A photograph drawn with the mean shape, looking ahead, at 256 pixels."""

    rgb: np.ndarray
    """(256, 256, 3) float32 levels, in its own colours."""
    classes: np.ndarray
    """(256, 256, 19) float32 of the parser."""


def canonical_photographs(
    pack: PackedFaces, places: Sequence[int], folder: Path, analyser: FaceAnalyser
) -> Iterator[CanonicalPhotograph]:
    """Faces of a dataset from the folder of photographs that it was made of; those without a usable face are left out."""
    for place in places:
        name = pack.names[place]
        try:
            framed = frame_largest(media.read_picture(folder / name), analyser, name)
        except NoFaceError:
            continue
        classes = parse_framed(analyser, [framed.picture_rgb], [framed.face])[0].astype(np.float32)
        measured = Measured.of(framed.picture_rgb, framed.face, classes[..., HAIR], classes[..., BACKGROUND], SIDE)
        flow = flow_to_canonical(measured, pack.mean_shape)
        parts = [warped(framed.picture_rgb.astype(np.float32), flow)]
        for first in range(0, classes.shape[2], 3):
            part = classes[..., first : first + 3]
            padded = np.dstack([part, np.zeros((SIDE, SIDE, 3 - part.shape[2]), np.float32)])
            parts.append(warped(padded, flow)[..., : part.shape[2]])
        stacked = np.dstack(parts)
        yield CanonicalPhotograph(
            rgb=stacked[..., :3].clip(0, 255),
            classes=stacked[..., 3:].clip(0, 1),
        )
