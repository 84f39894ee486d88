"""Training pairs of the harmonization (a face drawn by the engine, and the picture it should be) and batches of them.

The picture that the texture is taken from is lit, tinted, sharpened and made to shine at random; the frame that it is drawn
on is the same picture in another light, so it is the ground truth. The engine is shown that frame with the slow albedo of
another person's face, since the faces of two people differ in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from facegen import media
from facegen.device import usable_cores
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser, blend, light, mesh
from facegen.faces.mesh import Array
from facegen.jobs.cache import file_fingerprint
from facegen.swap.delighting.lights import lamp_direction
from facegen.swap.engines.mesh import MeshEngine, relight
from facegen.swap.engines.texture import Identity
from facegen.swap.engines.warp import eye_mouth_mask, interpolate_vertices
from facegen.swap.fields.graph import FIELD
from facegen.swap.harmonization.inputs import HarmonizationInput, brightness, fine_detail
from facegen.swap.jobs import HARMONIZATION_PAIRS
from facegen.swap.options import SwapOptions
from facegen.training.task import BatchSpec, SampleNames

OPTIONS = SwapOptions(finish=0)
_CELL = 4
"""Side of the cells in which fine detail is compared, in those of the fields."""
_QUIET = 0.003
"""Added to the energy of fine detail before its logarithm."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HarmonizationPair:
    """One drawn face and the fields that would make the truth of it.

    Attributes:
        inputs: see there.
        target: (FIELD, FIELD, 5) float32: change of log RGB, log factor on fine detail, and how far both count, 0..1.
    """

    inputs: HarmonizationInput
    target: Array


def albedo_variation(image_rgb: np.ndarray, face: Face) -> Array:
    """(468, 3) log RGB: how a person's skin differs from place to place once its shading is taken away."""
    points = face.points478[: mesh.VERTEX_COUNT]
    normals = mesh.normals(points)
    weights = light.facing(normals) * light.skin_vertices()
    colours = light.vertex_colours(image_rgb, points, None)
    residual = colours - light.fit(colours, normals, weights).at(normals)
    return mesh.smooth(residual, weights + 1e-3, 0.8) * np.clip(mesh.topology().to_outline / 1.5, 0, 1)[:, None]


def draw_pairs(
    image_rgb: np.ndarray, face: Face, others: Sequence[Array], engine: MeshEngine, random: np.random.Generator
) -> Iterator[HarmonizationPair]:
    """Draws one changed picture of a face on as many frames as there are other people.

    Args:
        image_rgb: (H, W, 3) uint8 a picture of a face.
        face: the face in it.
        others: `albedo_variation` of other people.
        engine: draws.
        random: the changes.
    """
    points = face.points478[: mesh.VERTEX_COUNT]
    width = float(np.ptp(points[:, 0]))
    size = (image_rgb.shape[0], image_rgb.shape[1])
    normals = interpolate_vertices(mesh.normals(points), points, size, 0.1 * width)
    inside = mesh.polygon_mask(points[list(mesh.FACE_OVAL), :2], size)
    inside = cv2.GaussianBlur(inside, (0, 0), 0.02 * width).astype(np.float32) / 255
    own = albedo_variation(image_rgb, face)
    identity = engine.prepare([(_change(image_rgb, normals, width, random, is_source=True), face)])
    for other in others:
        truth = target = _change(image_rgb, normals, width, random, is_source=False)
        if random.random() < 0.75:
            variation = (other - own) * random.uniform(0.2, 1.2)
            field = interpolate_vertices(variation.astype(np.float32), points, size)
            target = _to_picture(light.to_log(truth) + field * inside[..., None])
        yield _pair(engine, identity, target, truth, face)


def _pair(
    engine: MeshEngine, identity: Identity, target: np.ndarray, truth: np.ndarray, face: Face
) -> HarmonizationPair:
    """The identity drawn on the target, as the network sees it, beside the truth."""
    prediction = engine.predict(target, face, identity, OPTIONS)
    crop, shape = prediction.crop, prediction.shape[: mesh.VERTEX_COUNT]
    drawn = relight(prediction, prediction.statistics, OPTIONS)
    visible = crop.warp_visibility(prediction.statistics.visibility)
    points = crop.points[: mesh.VERTEX_COUNT]
    inputs = HarmonizationInput.of(drawn, prediction.depth > 0, crop.image_rgb, points, shape, visible)
    (x, y), (height, width) = crop.origin_xy, crop.frame_size_hw
    true_crop = cv2.resize(
        truth[y : y + height, x : x + width], crop.image_rgb.shape[1::-1], interpolation=cv2.INTER_AREA
    )
    weight = blend.feather(prediction.depth, float(np.ptp(points[:, 0])) * 0.02)
    weight = weight * (1 - eye_mouth_mask(shape, crop.image_rgb.shape[:2]))
    if visible is not None:
        weight = weight * visible
    square = inputs.square
    padded = np.zeros(inputs.drawn.shape[:2], np.float32)
    padded[: square.size_hw[0], : square.size_hw[1]] = 1
    true_log = light.to_log(square.shrink(true_crop)) - inputs.tone
    weight = square.shrink(weight) * padded
    return HarmonizationPair(inputs=inputs, target=target_fields(inputs.drawn, true_log, weight, inputs.fine_px))


def target_fields(drawn: Array, truth: Array, weight: Array, fine_px: float) -> Array:
    """(FIELD, FIELD, 5): see `HarmonizationPair.target`.

    Args:
        drawn: (SIDE, SIDE, 3) log RGB.
        truth: the same size.
        weight: (SIDE, SIDE) 0..1 where the drawing shows.
        fine_px: standard deviation of the blur above fine detail.
    """
    seen = _mean(weight, FIELD)
    change = _mean((truth - drawn) * weight[..., None], FIELD) / (seen[..., None] + 1e-4)
    energies = [
        _mean(np.abs(fine_detail(brightness(picture), fine_px)) * weight, FIELD // _CELL) for picture in (truth, drawn)
    ]
    counted = _mean(weight, FIELD // _CELL) + 1e-4
    true_energy, drawn_energy = (np.log(energy / counted + _QUIET) for energy in energies)
    factor = cv2.resize(true_energy - drawn_energy, (FIELD, FIELD), interpolation=cv2.INTER_NEAREST)
    return np.concatenate([change, factor[..., None], seen[..., None]], 2)


def _mean(values: Array, side: int) -> Array:
    return cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA)


def _change(
    image_rgb: np.ndarray, normals: Array, face_width: float, random: np.random.Generator, *, is_source: bool
) -> np.ndarray:
    """A picture of the same face in another light, tone, focus and exposure: (H, W, 3) uint8.

    Args:
        image_rgb: (H, W, 3) uint8.
        normals: (H, W, 3) of the face, image frame, extended beyond it.
        face_width: pixels.
        random: the changes.
        is_source: changed as far as pictures of people are; else as frames of clips are, which stay the ground truth.
    """

    def draw_chance(source_chance: float, frame_chance: float) -> bool:
        return bool(random.random() < (source_chance if is_source else frame_chance))

    log_rgb = light.to_log(image_rgb)
    luma = brightness(log_rgb)
    middle = blend.gaussian_blur(luma, face_width * float(random.uniform(0.04, 0.09)))
    fine = luma - cv2.GaussianBlur(luma, (0, 0), face_width * float(random.uniform(0.01, 0.025)))
    change = np.zeros_like(luma)
    if draw_chance(0.5, 0.2):
        change += (luma - middle) * (np.exp(random.uniform(-0.4, 0.7) * (1 if is_source else 0.3)) - 1)
    if draw_chance(0.7, 0.7):
        change += fine * (np.exp(random.uniform(-0.9, 1.3 if is_source else 0.2)) - 1)
    field = cv2.merge([change] * 3)
    for chance in (0.8, 0.3):
        if draw_chance(chance, chance):
            strength = random.uniform(0, 0.7 if is_source else 0.55)
            colour = (strength * (1 + random.normal(0, 0.15, 3))).astype(np.float32)
            field += (normals @ lamp_direction(random))[..., None] * colour
    if draw_chance(0.35, 0.15):
        facing = normals @ lamp_direction(random) - np.float32(random.uniform(-0.2, 0.5))
        shadow = 1 / (1 + np.exp(np.clip(facing / np.float32(random.uniform(0.05, 0.3)), -30, 30)))
        field -= shadow[..., None] * np.float32(random.uniform(0.1, 0.8 if is_source else 0.5))
    if draw_chance(0.5, 0):
        small = random.standard_normal((48, 48)).astype(np.float32)
        noise = cv2.resize(small, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)
        noise = blend.gaussian_blur(noise, face_width * float(random.uniform(0.015, 0.07)))
        field += (noise / (noise.std() + 1e-6))[..., None] * np.float32(random.uniform(0.03, 0.2))
    picture = light.from_log(log_rgb + field)
    if draw_chance(0.6, 0.25):
        half = np.array([random.normal(0, 0.35), random.normal(-0.25, 0.3), -1], np.float32)
        lobe = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1) ** np.float32(np.exp(random.uniform(1.5, 4.3)))
        bumps = np.exp(np.clip(fine * random.uniform(0, 6), -1, 1))
        picture += (lobe * bumps)[..., None] * np.float32(random.uniform(10, 110 if is_source else 50))
    skin = float(np.median(picture[normals[..., 2] < -0.6])) if (normals[..., 2] < -0.6).any() else 128.0
    exposure = random.normal(0, 0.25)
    # frames of clips are exposed for the face
    exposure = float(np.clip(exposure, np.log(45 / max(skin, 1)), np.log(190 / max(skin, 1))))
    picture = picture * np.exp(random.normal(0, 0.06, 3) + exposure).astype(np.float32)
    if draw_chance(0.4, 0.4):
        power = np.exp(random.uniform(-0.45, 0.45) * (1 if is_source else 0.6))
        picture = 255 * (np.clip(picture, 0, None) / 255) ** np.float32(power)
    if draw_chance(0.25, 0.4):
        picture = cv2.GaussianBlur(picture, (0, 0), face_width * float(random.uniform(0.002, 0.009)))
    if draw_chance(0.3, 0.4):
        picture = picture + random.normal(0, random.uniform(0.5, 4), picture.shape).astype(np.float32)
    # light that a camera cannot hold is compressed before it clips
    picture = np.where(picture > 225, 225 + 30 * np.tanh((picture - 225) / 60), picture)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _to_picture(log_rgb: Array) -> np.ndarray:
    return np.clip(light.from_log(log_rgb) + 0.5, 0, 255).astype(np.uint8)


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
        self.names = SampleNames()

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


def load_pairs(pictures: Sequence[Path], per_picture: int) -> Iterator[tuple[Sequence[Path], dict[str, Tensor]]]:
    """Packed pairs of pictures, from the cache where they were drawn before.

    Yields:
        Some of the pictures and their pairs; those among which fewer than two faces can be used are left out.
    """
    from safetensors.torch import load_file

    draw = partial(_load_shard, per_picture=per_picture, analyser=FaceAnalyser(), engine=MeshEngine())
    with ThreadPoolExecutor(usable_cores()) as pool:
        shards = [pictures[start : start + _AT_ONCE] for start in range(0, len(pictures), _AT_ONCE)]
        for shard, path in zip(shards, pool.map(draw, shards), strict=True):
            pack = load_file(path)
            if "drawn" in pack:
                yield shard, pack


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
