"""Training data of the delighting: unwrapped faces in even light, and batches of them in a random one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facegen import media
from facegen.device import usable_cores
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser, light, mesh
from facegen.faces.blend import gaussian_blur
from facegen.faces.mesh import Array
from facegen.jobs.cache import file_fingerprint
from facegen.swap.delighting.atlas import Atlas, plain_skin, unwrap
from facegen.swap.delighting.inputs import LIGHT, DelightingInput, shrink
from facegen.swap.delighting.lights import relight_at_random
from facegen.swap.engines.occlusion import OcclusionDetector
from facegen.swap.fields.graph import FIELD, SIDE
from facegen.swap.jobs import FACE_ATLASES
from facegen.training.task import BatchSpec, SampleNames

_VERSION = 1
_AT_ONCE = 32
"""Pictures whose atlases are kept in one file."""
_LARGEST_SIDE = 640
_WIDEST_YAW_DEG = 35.0
_HELD_BACK_SEED = 7
_BROAD = 8.0
"""Standard deviation of the blur that leaves light and takes away features, pixels of the atlas."""


class DelightingData:
    """Unwrapped faces, 8 bits a channel, lit anew for each batch.

    Batches hold `picture` (B, 3, SIDE, SIDE) and `maps` (B, MAPS, FIELD, FIELD), see `DelightingInput`, and `target`
    (B, 4, FIELD, FIELD): log RGB of the light less its mean on skin, and how reliably each cell was seen; mirrored at random.

    Args:
        atlases: (N, SIDE, SIDE, 7) int8 or uint8 bytes, see `pack_atlas`.
        held_back: indices of those that are only measured on.
        device: where batches go.
    """

    def __init__(self, atlases: np.ndarray, held_back: Sequence[int], device: torch.device) -> None:
        self._atlases, self._held_back, self._device = atlases, list(held_back), device
        self._learned = sorted(set(range(len(atlases))) - set(held_back)) or list(held_back)
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames()

    def __len__(self) -> int:
        return len(self._learned)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Some faces, each in a light of its own."""
        seed = int(torch.randint(2**62, (1,), generator=spec.generator))
        chosen = [self._learned[int(index)] for index in spec.indices]
        return self._stack(chosen, np.random.default_rng(seed), is_mirrored=True)

    def held_back_batch(self, first: int, count: int) -> dict[str, Tensor]:
        """Some of the faces held back, in lights that are always the same."""
        random = np.random.default_rng([_HELD_BACK_SEED, first])
        return self._stack(self._held_back[first : first + count], random, is_mirrored=False)

    @property
    def held_back_count(self) -> int:
        """How many faces are held back."""
        return len(self._held_back)

    def _stack(self, chosen: Sequence[int], random: np.random.Generator, *, is_mirrored: bool) -> dict[str, Tensor]:
        rows = [
            self._draw(self._atlases[index], random, mirror=is_mirrored and random.random() < 0.5) for index in chosen
        ]
        columns = [np.stack(column).transpose(0, 3, 1, 2) for column in zip(*rows, strict=True)]
        names = ("picture", "maps", "target")
        return {
            name: torch.from_numpy(np.ascontiguousarray(column)).to(self._device)
            for name, column in zip(names, columns, strict=True)
        }

    def _draw(self, packed: np.ndarray, random: np.random.Generator, *, mirror: bool) -> tuple[Array, Array, Array]:
        atlas = unpack_atlas(packed[:, ::-1] if mirror else packed)
        normals = atlas.normals * np.array([-1, 1, 1], np.float32) if mirror else atlas.normals
        seen, lit = relight_at_random(atlas.picture_rgb, normals, random)
        inputs = DelightingInput.of(seen, normals, atlas.weight)
        return inputs.picture, inputs.maps, target_field(lit, atlas.weight)


def target_field(lit: Array, weight: Array) -> Array:
    """(FIELD, FIELD, 4): see `DelightingData`.

    Args:
        lit: (SIDE, SIDE, 3) log RGB of the light.
        weight: (SIDE, SIDE) how reliably each texel was seen.
    """
    skin = weight * plain_skin(SIDE) + np.float32(1e-4)
    lit = lit - np.tensordot(skin, lit, 2) / skin.sum()
    seen = shrink(weight, FIELD)[..., None]
    field = shrink(lit * weight[..., None], FIELD) / (seen + np.float32(1e-4))
    return np.concatenate([np.clip(field, -LIGHT, LIGHT), seen], 2).astype(np.float32)


def unevenness(atlas: Atlas) -> float:
    """How far a face's broad brightness differs from its mirror's and from its mean above it, log; 0 in even light."""
    skin = atlas.weight * plain_skin(SIDE) + np.float32(1e-3)
    brightness = light.to_log(atlas.picture_rgb).mean(2)
    broad = gaussian_blur(brightness * skin, _BROAD) / gaussian_blur(skin, _BROAD)
    both = skin * skin[:, ::-1]
    sides = np.average(np.abs(broad - broad[:, ::-1]), weights=both)
    above = np.maximum(broad - np.average(broad, weights=skin), 0)
    return float(sides + np.sqrt(np.average(above * above, weights=skin)))


def pack_atlas(atlas: Atlas) -> np.ndarray:
    """(SIDE, SIDE, 7) uint8: RGB, weight, and the normals about 128."""
    parts = (atlas.picture_rgb, atlas.weight[..., None] * 255, atlas.normals * 127 + 128)
    return np.concatenate([np.clip(part + np.float32(0.5), 0, 255).astype(np.uint8) for part in parts], 2)


def unpack_atlas(packed: np.ndarray) -> Atlas:
    """What `pack_atlas` packed, up to rounding."""
    normals = (packed[..., 4:].astype(np.float32) - 128) / 127
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + np.float32(1e-3)
    weight = packed[..., 3].astype(np.float32) / 255
    return Atlas(picture_rgb=packed[..., :3], weight=weight, normals=normals, inside=weight > 0)


def load_atlases(pictures: Sequence[Path]) -> Iterator[np.ndarray]:
    """(N, SIDE, SIDE, 7) uint8 of some pictures at a time, from the cache where they were unwrapped before."""
    load = partial(_load_shard, analyser=FaceAnalyser(), occlusion=OcclusionDetector())
    with ThreadPoolExecutor(usable_cores()) as pool:
        shards = [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)]
        for path in pool.map(load, shards):
            yield np.load(path)


def _load_shard(pictures: Sequence[Path], *, analyser: FaceAnalyser, occlusion: OcclusionDetector) -> Path:
    def make(temporary: Path) -> None:
        packed = [
            pack_atlas(atlas) for path in pictures if (atlas := _unwrap_file(path, analyser, occlusion)) is not None
        ]
        with temporary.open("wb") as file:
            np.save(file, np.stack(packed) if packed else np.zeros((0, SIDE, SIDE, 7), np.uint8))

    keys = [file_fingerprint(path) for path in pictures]
    return FACE_ATLASES.get(FACE_ATLASES.path(_VERSION, *keys, suffix=".npy"), make)


def _unwrap_file(path: Path, analyser: FaceAnalyser, occlusion: OcclusionDetector) -> Atlas | None:
    """The atlas of the largest face of a picture, SIDE pixels; None where there is none, or one from the side."""
    try:
        picture = media.read_picture(path)
    except InputError:
        return None
    scale = min(_LARGEST_SIDE / max(picture.shape[:2]), 1)
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face: Face | None = max(analyser.detect(picture), key=lambda face: face.size_px, default=None)
    if face is None or abs(face.yaw_deg) > _WIDEST_YAW_DEG:
        return None
    mask = occlusion.detect(picture, face, is_target=False)
    visible = None
    if mask is not None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        visible = (
            cv2.warpAffine(
                mask.visibility, mask.matrix, picture.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE
            ).astype(np.float32)
            / 255
        )
    large = unwrap(picture, face.points478[: mesh.VERTEX_COUNT], visible, 2 * SIDE)
    shrunk = (shrink(part, SIDE) for part in (large.picture_rgb, large.weight, large.normals))
    picture_rgb, weight, normals = shrunk
    return Atlas(
        picture_rgb=np.clip(picture_rgb + 0.5, 0, 255).astype(np.uint8),
        weight=weight,
        normals=normals,
        inside=weight > 0,
    )
