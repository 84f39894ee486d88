"""What the five sliders measure on a picture: with MediaPipe's mesh and pose, and the parser's hair and background."""

from __future__ import annotations

import math

import numpy as np

from facegen.faces import Face, FaceAnalyser
from facegen.generate.frame import geometry, repaint
from facegen.generate.frame.variants import Measured
from facegen.generate.model.prior import mirrored_shapes
from facegen.generate.sliders import MEASURED, NAMES

_LEAST_HAIR = 0.01
_CENTRE, _REACH = (128.0, 140.0), 230.0


def values_of(lids: float, lips: float, yaw_deg: float, hair: float, background: float) -> np.ndarray:
    """(5,) float32 slider values of measured quantities, luminances in 0..1; may lie a little outside 0..1."""
    quantities = (lids, lips, hair, background, yaw_deg)
    return np.array([MEASURED[n].value(q) for n, q in zip(NAMES, quantities, strict=True)], np.float32)


def light_of(picture: np.ndarray, hair: np.ndarray, background: np.ndarray) -> tuple[float, float]:
    """Mean luminance of hair (NaN where there is hardly any) and background of a float picture in 0..1."""
    light = repaint.luminance(picture)
    of_hair = repaint.mean_inside(light, hair) if hair.mean() > _LEAST_HAIR else math.nan
    return of_hair, repaint.mean_inside(light, background)


def measure_picture(source: Measured) -> np.ndarray:
    """(5,) measured values of a photograph of the dataset."""
    return values_of(
        source.lids, source.lips, source.yaw_deg, *light_of(source.picture, source.hair, source.background)
    )


def measure_with(
    analyser: FaceAnalyser, framed_rgb: np.ndarray, picture: np.ndarray, hair: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """(5,) measured values where the face's place and the maps are known; NaN where no mesh is found.

    Args:
        analyser: its mesh finder is used.
        framed_rgb: (256, 256, 3) uint8 in the generator's frame.
        picture: (S, S, 3) float32 of it, with its maps hair and background.
        hair: (S, S).
        background: (S, S).
    """
    mesh = analyser.mesh_finder.find(framed_rgb, _CENTRE, _REACH)
    if mesh is None:
        return np.full(5, np.nan, np.float32)
    yaw = math.degrees(math.atan2(float(mesh.matrix[0, 2]), float(mesh.matrix[2, 2])))
    lids, lips = geometry.lid_gap(mesh.points478), geometry.lip_gap(mesh.points478)
    return values_of(lids, lips, yaw, *light_of(picture, hair, background))


def measure_faces(analyser: FaceAnalyser, pictures: list[np.ndarray]) -> tuple[np.ndarray, list[Face | None]]:
    """Measured values of any (256, 256, 3) uint8 pictures in the generator's frame, everything found anew.

    Returns:
        (N, 5) float32, NaN where no face is found, and the faces.
    """
    from facegen.faces.parse import BACKGROUND, HAIR
    from facegen.generate.frame.alignment import parse_framed

    values = np.full((len(pictures), 5), np.nan, np.float32)
    faces = [next(iter(analyser.detect(picture, max_faces=1)), None) for picture in pictures]
    for place, (picture, face) in enumerate(zip(pictures, faces, strict=True)):
        if face is None:
            continue
        maps = parse_framed(analyser, [picture], [face])[0].astype(np.float32)
        light = light_of(picture.astype(np.float32) / 255, maps[..., HAIR], maps[..., BACKGROUND])
        points = face.points478
        values[place] = values_of(geometry.lid_gap(points), geometry.lip_gap(points), face.yaw_deg, *light)
    return values, faces


def mirrored_mean(shapes: np.ndarray) -> np.ndarray:
    """(468, 3) float32 mean of (N, 468, 3) shapes and their mirror images."""
    both = np.concatenate([shapes, mirrored_shapes(shapes)])
    return both.mean(0).astype(np.float32)
