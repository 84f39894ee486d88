"""The sliders' values of a picture, measured by MediaPipe's mesh and pose and by the parser's hair and background."""

from __future__ import annotations

import math

import numpy as np

from facegen.faces import Face, FaceAnalyser
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate.frame import geometry, repaint
from facegen.generate.frame.alignment import parse_aligned
from facegen.generate.frame.variants import FaceSample
from facegen.generate.sliders import MEASURED, NAMES

_MIN_HAIR = 0.01
"""Fraction of the picture below which there is no hair to measure."""
_CENTRE, _REACH = (128.0, 140.0), 230.0


def to_slider_values(lids: float, lips: float, yaw_deg: float, hair: float, background: float) -> np.ndarray:
    """(5,) float32 slider values of measured quantities (luminances in 0..1); may lie slightly outside 0..1."""
    quantities = (lids, lips, hair, background, yaw_deg)
    return np.array([MEASURED[n].value(q) for n, q in zip(NAMES, quantities, strict=True)], np.float32)


def mean_luminances(picture: np.ndarray, hair: np.ndarray, background: np.ndarray) -> tuple[float, float]:
    """Mean luminance of hair (NaN where there is hardly any) and background of a float picture in 0..1."""
    luminance = repaint.luminance(picture)
    of_hair = repaint.masked_mean(luminance, hair) if hair.mean() > _MIN_HAIR else math.nan
    return of_hair, repaint.masked_mean(luminance, background)


def measure_picture(source: FaceSample) -> np.ndarray:
    """(5,) measured values of a photograph of the dataset."""
    return to_slider_values(
        source.lids, source.lips, source.yaw_deg, *mean_luminances(source.picture, source.hair, source.background)
    )


def measure_aligned(
    analyser: FaceAnalyser, framed_rgb: np.ndarray, picture: np.ndarray, hair: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """(5,) measured values of an aligned picture with known alpha maps; NaN where no mesh is found.

    Args:
        analyser: provides the mesh finder.
        framed_rgb: (256, 256, 3) uint8 in the generator's frame.
        picture: (S, S, 3) float32 the same picture.
        hair: (S, S) its hair alpha.
        background: (S, S) its background alpha.
    """
    mesh = analyser.mesh_finder.find(framed_rgb, _CENTRE, _REACH)
    if mesh is None:
        return np.full(5, np.nan, np.float32)
    yaw = math.degrees(math.atan2(float(mesh.matrix[0, 2]), float(mesh.matrix[2, 2])))
    lids, lips = geometry.lid_gap(mesh.points478), geometry.lip_gap(mesh.points478)
    return to_slider_values(lids, lips, yaw, *mean_luminances(picture, hair, background))


def measure_faces(analyser: FaceAnalyser, pictures: list[np.ndarray]) -> tuple[np.ndarray, list[Face | None]]:
    """Measured values of (256, 256, 3) uint8 pictures in the generator's frame; detects and parses them.

    Returns:
        (N, 5) float32, NaN where no face is found, and the faces.
    """
    values = np.full((len(pictures), 5), np.nan, np.float32)
    faces = [next(iter(analyser.detect(picture, max_faces=1)), None) for picture in pictures]
    for index, (picture, face) in enumerate(zip(pictures, faces, strict=True)):
        if face is None:
            continue
        maps = parse_aligned(analyser, [picture], [face])[0].astype(np.float32)
        luminances = mean_luminances(picture.astype(np.float32) / 255, maps[..., HAIR], maps[..., BACKGROUND])
        points = face.points478
        values[index] = to_slider_values(geometry.lid_gap(points), geometry.lip_gap(points), face.yaw_deg, *luminances)
    return values, faces
