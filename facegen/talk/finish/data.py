"""Training pairs of the finishing network (faces as the renderer draws them, and the real ones) and batches of them.

A frame of a clip serves as portrait; it is moved as another frame shows, and that other frame is the ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from facegen import media
from facegen.array_file import read_arrays
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser, align, mesh
from facegen.faces.clip import VERSION as ANALYSIS
from facegen.jobs.cache import file_fingerprint
from facegen.talk.clips import analyse_video
from facegen.talk.finish.inputs import SIDE, FinishInput, MeshShape, square_matrix, to_square
from facegen.talk.jobs import FINISH_PAIRS
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.face_rig import LIDS
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.rig import MOUTH_CM, load_rig, mouth_weights, mouth_width
from facegen.training.augment import to_float
from facegen.training.task import BatchSpec, SampleNames

Array = np.ndarray

WIDEST_YAW_DEG = 28.0
WIDEST_TURN_DEG = 14.0
"""No talk turns a head further."""
_PORTRAITS = 8
_CALM_SHARE = 0.75
"""Share of the portraits whose mouth is nearly closed, as in most pictures."""
_LARGEST_SIDE = 512
_BLINKS, _BLINKING_EVERY = 0.3, 2
"""How far an eye is closed in frames of which more are taken, because there are few, and of how many of them one."""
_OPEN, _SHUT = 0.9, 0.25
"""Room between lids, by that in the portrait, from where on an eye counts as closing, and as closed."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DrawnPair:
    """A drawn face and the (SIDE, SIDE, 3) uint8 RGB ground truth, warped to where it is drawn."""

    inputs: FinishInput
    truth_rgb: np.ndarray


def draw_pairs(path: Path, analyser: FaceAnalyser, every: int, seed: int = 0) -> Iterator[DrawnPair]:
    """Draws every so many frames of a clip, and those in which eyes close, each from another frame.

    Raises:
        InputError: the clip cannot be read.
    """
    analysis = analyse_video(path, analyser)
    faces = {index: analysis.faces(index) for index in range(analysis.frame_count)}
    usable = {i: detected[0] for i, detected in faces.items() if detected and abs(detected[0].yaw_deg) < WIDEST_YAW_DEG}
    if len(usable) < 2 * every:
        return
    random = np.random.default_rng(seed)
    chosen = _choose_frames(usable, random)
    mouth_scale = float(np.median([mouth_width(_canonical(face)) for face in usable.values()])) / MOUTH_CM
    portraits: list[tuple[PortraitModel, Face]] = []
    for frame in media.read_frames(path):
        if frame.index in chosen:
            image, face = _shrink(frame.image_rgb, usable[frame.index])
            portraits.append((PortraitModel.of(image, face, load_rig()), face))
    for frame in media.read_frames(path):
        target = usable.get(frame.index)
        if target is None or (frame.index % every and (frame.index % _BLINKING_EVERY or _blink(target) < _BLINKS)):
            continue
        near = [portrait for portrait, face in portraits if _turn_deg(target, face) < WIDEST_TURN_DEG]
        if near:
            yield _draw_pair(near[int(random.integers(len(near)))], mouth_scale, *_shrink(frame.image_rgb, target))


def _draw_pair(portrait: PortraitModel, mouth_scale: float, image_rgb: np.ndarray, face: Face) -> DrawnPair:
    points = face.points478[: mesh.VERTEX_COUNT]
    drawn_points: list[Array] = []
    renderer = MeshRenderer(portrait, [lambda _, there: drawn_points.append(there)])
    drawn = renderer.draw(fit_motion(portrait, face, mouth_scale))
    inputs = FinishInput.of(drawn, drawn_points[0], MeshShape.of(portrait.head.face))
    return DrawnPair(inputs=inputs, truth_rgb=_warp_truth(image_rgb, points, to_square(drawn_points[0], inputs.matrix)))


def fit_motion(portrait: PortraitModel, face: Face, mouth_scale: float) -> MotionFrame:
    """The motion of a portrait that shows the face of another picture of the same person.

    Args:
        portrait: the portrait.
        face: as detected in the other picture.
        mouth_scale: width of this person's mouth by that of the rig's.
    """
    points = face.points478[: mesh.VERTEX_COUNT]
    pose = mesh.Pose.of(points)
    there, here = pose.to_canonical(points), portrait.rig.canonical
    offsets = (there - here - portrait.rig.closing) / mouth_scale * mouth_weights()[:, None]
    rotation = portrait.head.pose.rotation
    turn = rotation.T @ pose.rotation
    eyes = [_openness(there, side) / max(_openness(here, side), 1e-3) for side in range(len(LIDS))]
    return MotionFrame(
        mouth=load_rig().coefficients(offsets[None])[0] * (mouth_scale / portrait.rig.mouth_scale),
        turn_deg=_euler_deg(turn),
        shift_cm=np.zeros(3, np.float32),
        lids=np.clip((_OPEN - np.array(eyes, np.float32)) / (_OPEN - _SHUT), 0, 1),
        brows=0.0,
        gaze=np.zeros(2, np.float32),
    )


def _blink(face: Face) -> float:
    return max(face.blendshape("eyeBlinkLeft"), face.blendshape("eyeBlinkRight"))


def _openness(canonical: Array, side: int) -> float:
    """Room between the lids of one eye, by its width."""
    upper, lower = (canonical[list(lid)] for lid in LIDS[side])
    return float(np.linalg.norm(upper - lower, axis=1).mean() / np.ptp(canonical[list(LIDS[side][0]), 0]))


def _euler_deg(turn: Array) -> Array:
    """(3,) yaw, pitch and roll, as in `MotionFrame`, of a rotation in the head's axes: Rz(roll) Ry(-yaw) Rx(-pitch)."""
    yaw = np.arcsin(np.clip(turn[2, 0], -1, 1))
    pitch = -np.arctan2(turn[2, 1], turn[2, 2])
    roll = np.arctan2(turn[1, 0], turn[0, 0])
    return np.degrees([yaw, pitch, roll]).astype(np.float32)


def _warp_truth(image_rgb: np.ndarray, points: Array, targets: Array) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 square of a picture, warped so that its vertices lie at `targets` (468, 3) of the square."""
    matrix = square_matrix(points)
    square = align.warp(image_rgb, matrix, SIDE)
    shifts = (to_square(points, matrix) - targets)[:, :2]
    cells = SIDE // 2
    column, row = np.clip(targets[:, :2] / 2, 0, cells - 1).astype(int).T
    total = np.zeros((cells, cells, 3), np.float32)
    np.add.at(total, (row, column), np.column_stack([shifts, np.ones(len(shifts))]))
    # near vertices decide where there are some, far ones between them
    spread = cv2.GaussianBlur(total, (0, 0), 1.5) + 1e-2 * cv2.GaussianBlur(total, (0, 0), 6)
    spread += 1e-4 * cv2.GaussianBlur(total, (0, 0), 30)
    flow = cv2.resize(spread[..., :2] / (spread[..., 2:] + 1e-9), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return cv2.remap(square, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _turn_deg(target: Face, face: Face) -> float:
    return max(abs(target.yaw_deg - face.yaw_deg), abs(target.pitch_deg - face.pitch_deg))


def _canonical(face: Face) -> Array:
    points = face.points478[: mesh.VERTEX_COUNT]
    return mesh.Pose.of(points).to_canonical(points)


def _choose_frames(usable: dict[int, Face], random: np.random.Generator) -> set[int]:
    """Numbers of the frames that serve as portraits: most with open eyes and a mouth nearly closed."""
    indices = np.array(sorted(usable))
    opened = np.array([usable[index].blendshape("jawOpen") + (_blink(usable[index]) > _BLINKS) for index in indices])
    calm = indices[opened <= np.percentile(opened, 30)]
    count = min(_PORTRAITS, len(indices))
    calm_count = round(count * _CALM_SHARE)
    chosen = set(random.choice(calm, min(calm_count, len(calm)), replace=False).tolist())
    return chosen | set(random.choice(indices, count - calm_count, replace=False).tolist())


def _shrink(image_rgb: np.ndarray, face: Face) -> tuple[np.ndarray, Face]:
    """A frame no larger than is useful, with its face."""
    scale = _LARGEST_SIDE / max(image_rgb.shape[:2])
    if scale >= 1:
        return image_rgb, face
    size = round(image_rgb.shape[1] * scale), round(image_rgb.shape[0] * scale)
    smaller = cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA)
    return smaller, face.replace(points478=(face.points478 * scale).astype(np.float32))


_VERSION = 5
_MIRRORED_MAPS = (0, 3, 6)
"""Maps that change their sign in a mirror."""


class FinishData:
    """Training pairs, kept as bytes.

    Batches hold `drawn` and `truth` (B, 3, S, S) in [0, 1], `maps` (B, MAPS, S / 2, S / 2) in [-1, 1], `light`
    (B, 1, S / 4, S / 4), `region` (B, 1, S, S) and `eyes` (B, 1, S / 2, S / 2) in [0, 1], mirrored and tinted at random.

    Args:
        learned: packed pairs (`pack_pairs`) that are learned from.
        held_back: those that are only measured on.
        device: where batches go.
    """

    def __init__(self, learned: dict[str, np.ndarray], held_back: dict[str, np.ndarray], device: torch.device) -> None:
        self.learned = {name: torch.from_numpy(values) for name, values in learned.items()}
        self.held_back = {name: torch.from_numpy(values) for name, values in held_back.items()}
        self.device = device
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames()

    def __len__(self) -> int:
        return len(self.learned["drawn"])

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """The drawn pairs."""
        batch = self._floats(self.learned, spec.indices)
        count, random = len(spec.indices), spec.generator
        mirrored = torch.rand(count, generator=random) < 0.5
        for name, values in batch.items():
            values[mirrored] = values[mirrored].flip(3)
            if name == "maps":
                is_mirrored_map = torch.zeros(values.shape[1], dtype=torch.bool)
                is_mirrored_map[list(_MIRRORED_MAPS)] = True
                values[mirrored[:, None] & is_mirrored_map] *= -1
        # portraits come in every light and paint, clips in few
        tint = torch.randn(count, 3, 1, 1, generator=random) * 0.08
        gain = torch.exp(tint + torch.randn(count, 1, 1, 1, generator=random) * 0.2)
        power = torch.exp(torch.randn(count, 1, 1, 1, generator=random) * 0.15)
        for name in ("drawn", "truth"):
            batch[name] = (batch[name].clamp(0, 1) ** power.to(self.device) * gain.to(self.device)).clamp(max=1)
        return batch

    def held_back_batch(self, chosen: Sequence[int] | slice) -> dict[str, Tensor]:
        """A batch of pairs held back, neither mirrored nor tinted."""
        return self._floats(self.held_back, torch.arange(len(self.held_back["drawn"]))[chosen])

    def _floats(self, pack: dict[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
        batch = {name: values[indices].to(self.device) for name, values in pack.items()}
        maps = batch.pop("maps").float().div(127)
        return {"maps": maps} | {name: to_float(values) for name, values in batch.items()}


def pack_pairs(pairs: list[DrawnPair]) -> dict[str, np.ndarray]:
    """Pairs as bytes: (N, C, H, W) uint8 of 0..1, and int8 of [-1, 1] for `maps`."""

    def stack(pictures: list[np.ndarray]) -> np.ndarray:
        return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))

    inputs = [pair.inputs for pair in pairs]
    return {
        "drawn": stack([item.drawn_rgb for item in inputs]),
        "truth": stack([pair.truth_rgb for pair in pairs]),
        "maps": stack([np.round(item.maps * 127).astype(np.int8) for item in inputs]),
        "light": stack([np.round(item.light[..., None] * 255).astype(np.uint8) for item in inputs]),
        "region": stack([np.round(item.region[..., None] * 255).astype(np.uint8) for item in inputs]),
        "eyes": stack([np.round(item.eyes[..., None] * 255).astype(np.uint8) for item in inputs]),
    }


def load_pairs(path: Path, analyser: FaceAnalyser, every: int) -> dict[str, np.ndarray]:
    """Packed pairs of a clip, from the cache where it was measured before; empty where the clip cannot be used."""

    def make(temporary: Path) -> None:
        try:
            pairs = list(draw_pairs(path, analyser, every))
        except InputError:
            pairs = []
        with temporary.open("wb") as file:
            contents: dict[str, Any] = pack_pairs(pairs) if pairs else {}
            np.savez(file, **contents)

    return read_arrays(
        FINISH_PAIRS.get(FINISH_PAIRS.path(file_fingerprint(path), _VERSION, ANALYSIS, every, suffix=".npz"), make)
    )


def join_pairs(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Packed pairs of several clips as one; each has some."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
