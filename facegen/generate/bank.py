"""Banks of picture files in safetensors, and photographs brought into the canonical frame to fill them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.errors import NoFaceError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.faces.parse import BACKGROUND, HAIR
from facegen.generate import geometry
from facegen.generate.frame import frame_largest, parse_framed
from facegen.generate.packed import PackedFaces
from facegen.generate.variants import Measured, canonical, warped

SIDE = 256
"""Side of canonical photographs in banks, pixels."""


def to_file(picture: np.ndarray, quality: int) -> np.ndarray:
    """A WebP file as (N,) uint8 of an (H, W) or (H, W, 3) uint8 RGB picture."""
    ordered = picture[..., ::-1] if picture.ndim == 3 else picture
    return cv2.imencode(".webp", np.ascontiguousarray(ordered), [cv2.IMWRITE_WEBP_QUALITY, quality])[1].ravel()


def from_file(data: np.ndarray, *, is_grey: bool = False) -> np.ndarray:
    """What `to_file` packed: (H, W, 3) uint8 RGB, or (H, W) where it is grey.

    Raises:
        WeightsError: it is no picture file.
    """
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if is_grey else cv2.IMREAD_COLOR)
    if picture is None:
        raise WeightsError("Expected a bank of picture files, found one that cannot be read; install it again.")
    return picture if is_grey else np.ascontiguousarray(picture[..., ::-1])


def joined(files: Sequence[np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Files one after the other, with where each ends, as two arrays to write."""
    return {name: np.concatenate(files), f"{name}_ends": np.cumsum([len(data) for data in files]).astype(np.int64)}


def parted(found: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, ...]:
    """The files that `joined` laid one after the other."""
    return tuple(np.split(found[name], found[f"{name}_ends"][:-1]))


@dataclass(frozen=True, eq=False, kw_only=True)
class CanonicalPhotograph:
    """A photograph drawn with the mean shape, looking ahead, at 256 pixels."""

    repainted: np.ndarray
    """(256, 256, 5) float32 `variants.canonical`: RGB in hair and background of one luminance, hair, background; 0..1."""
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
        rings = geometry.ring_of(pack.mean_shape), geometry.ring_of(measured.shape)
        flow = geometry.flow_between(pack.mean_shape, measured.points, *rings)
        parts = [warped(framed.picture_rgb.astype(np.float32), flow)]
        for first in range(0, classes.shape[2], 3):
            part = classes[..., first : first + 3]
            padded = np.dstack([part, np.zeros((SIDE, SIDE, 3 - part.shape[2]), np.float32)])
            parts.append(warped(padded, flow)[..., : part.shape[2]])
        stacked = np.dstack(parts)
        yield CanonicalPhotograph(
            repainted=canonical(measured, pack.mean_shape),
            rgb=stacked[..., :3].clip(0, 255),
            classes=stacked[..., 3:].clip(0, 1),
        )


def spread_out(looks: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Places of the members of (N, D) that are nearest to the middles of `count` clusters."""
    from sklearn.cluster import MiniBatchKMeans

    middles = MiniBatchKMeans(count, random_state=seed, n_init=1, max_iter=20).fit(looks).cluster_centers_
    return np.unique([np.square(looks - middle).sum(1).argmin() for middle in middles])
