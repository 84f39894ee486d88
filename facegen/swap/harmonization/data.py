"""Batches of drawn faces and of the pictures that they should have been."""

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
from facegen.faces import FaceAnalyser
from facegen.faces.mesh import Array
from facegen.jobs.cache import file_fingerprint
from facegen.swap.engines.mesh import MeshEngine
from facegen.swap.harmonization.pairs import HarmonizationPair, albedo_variation, draw_pairs
from facegen.swap.jobs import HARMONIZATION_PAIRS
from facegen.training.task import BatchSpec

_VERSION = 1
_AT_ONCE = 32
"""Pictures whose pairs are kept in one file."""
_LARGEST_SIDE = 640
_WIDEST_YAW_DEG = 40.0
_MIRRORED_MAP = 8
"""The map of the normals' x, which changes its sign in a mirror."""


class HarmonizationData:
    """Training pairs, kept in half precision.

    Batches hold `drawn` (B, 3, SIDE, SIDE) log RGB, `maps` (B, MAPS, FIELD, FIELD) and `target` (B, 5, FIELD, FIELD), see
    `HarmonizationInput` and `HarmonizationPair`, mirrored at random.

    Args:
        learned: packed pairs (`pack_pairs`) that are learned from.
        held_back: those that are only measured on.
        device: where batches go.
    """

    def __init__(
        self, learned: list[dict[str, Tensor]], held_back: list[dict[str, Tensor]], device: torch.device
    ) -> None:
        self.learned, self.held_back = ({n: torch.cat([p[n] for p in s]) for n in s[0]} for s in (learned, held_back))
        self.device = device
        self.skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.learned["drawn"])

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """The pairs of a batch."""
        batch = self._floats(self.learned, spec.indices)
        mirrored = torch.rand(len(spec.indices), generator=spec.generator) < 0.5
        for name, values in batch.items():
            values[mirrored] = values[mirrored].flip(3)
            if name == "maps":
                values[mirrored, _MIRRORED_MAP] *= -1
        return batch

    def held_back_batch(self, chosen: Sequence[int] | slice) -> dict[str, Tensor]:
        """A batch of pairs held back."""
        return self._floats(self.held_back, torch.arange(len(self.held_back["drawn"]))[chosen])

    def _floats(self, pack: dict[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
        return {name: values[indices].to(self.device).float() for name, values in pack.items()}


def load_pairs(pictures: Sequence[Path], per_picture: int) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    """Packed pairs of pictures, from the cache where they were drawn before.

    Yields:
        A file of the cache and what it holds; files of pictures without a usable face are left out.
    """
    from safetensors.torch import load_file

    draw = partial(_load_shard, per_picture=per_picture, analyser=FaceAnalyser(), engine=MeshEngine())
    with ThreadPoolExecutor(usable_cores()) as pool:
        shards = [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)]
        for path in pool.map(draw, shards):
            pack = load_file(path)
            if "drawn" in pack:
                yield path, pack


def _load_shard(pictures: Sequence[Path], *, per_picture: int, analyser: FaceAnalyser, engine: MeshEngine) -> Path:
    keys = [file_fingerprint(path) for path in pictures]

    def make(temporary: Path) -> None:
        from safetensors.torch import save_file

        pairs = list(_draw(pictures, per_picture, analyser, engine, seed=int(keys[0][:8], 16)))
        save_file(pack_pairs(pairs) if pairs else {"empty": torch.zeros(1)}, temporary)

    return HARMONIZATION_PAIRS.get(HARMONIZATION_PAIRS.path(_VERSION, per_picture, *keys, suffix=".safetensors"), make)


def _draw(
    pictures: Sequence[Path], per_picture: int, analyser: FaceAnalyser, engine: MeshEngine, seed: int
) -> Iterator[HarmonizationPair]:
    """The pairs of some pictures; the other person of each is one of them."""
    random = np.random.default_rng(seed)
    usable = []
    for path in pictures:
        try:
            picture = media.read_picture(path)
        except InputError:
            continue
        scale = min(_LARGEST_SIDE / max(picture.shape[:2]), 1)
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        face = max(analyser.detect(picture), key=lambda face: face.size_px, default=None)
        if face is not None and abs(face.yaw_deg) < _WIDEST_YAW_DEG:
            usable.append((picture, face))
    variations: list[Array] = [albedo_variation(*pair) for pair in usable]
    if len(usable) < 2:
        return
    for index, (picture, face) in enumerate(usable):
        others = random.integers(1, len(usable), per_picture)
        chosen = [variations[(index + int(other)) % len(usable)] for other in others]
        yield from draw_pairs(picture, face, chosen, engine, random)


def pack_pairs(pairs: Sequence[HarmonizationPair]) -> dict[str, Tensor]:
    """Pairs as (N, C, H, W) float16."""

    def stack(values: list[Array]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.stack(values).transpose(0, 3, 1, 2)).astype(np.float16))

    return {
        "drawn": stack([pair.inputs.drawn for pair in pairs]),
        "maps": stack([pair.inputs.maps for pair in pairs]),
        "target": stack([pair.target for pair in pairs]),
    }
