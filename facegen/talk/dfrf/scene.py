"""One prepared person as tensors: what stays from frame to frame, and every frame on demand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegen.errors import InputError
from facegen.talk.dfrf.body import BodyMotion, plate
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.head_prior import GRID_HW, HeadPrior, grid_points
from facegen.talk.dfrf.heard import HeardMouth
from facegen.talk.dfrf.hearing import WINDOW
from facegen.talk.dfrf.layers import body_layer, unpainted
from facegen.talk.dfrf.movement import standard_eyes
from facegen.talk.dfrf.prepare import STEPS, track_of
from facegen.training.task import BatchSpec

BOX_STEP = 32
"""Sides of the head's box are multiples of this many pixels."""
_MARGIN_PX = 14
_LIPS_WEIGHT, _EYES_WEIGHT = 4.0, 2.5
_BLINK_WEIGHT = 0.6
_RARE_LIDS, _RARE_TIMES = 1.5, 4
"""Frames with lids closed further than this are drawn so many times as often: a blink is over in a fifth of a second."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Pose:
    """Where the camera is in one drawn frame, and what the eyes do."""

    rotation: np.ndarray
    """(3, 3) world to OpenCV camera."""
    translation: np.ndarray
    """(3,)."""
    eyes: np.ndarray
    """(EYES,) or (UPPER,) of `expression`, in deviations from this person's mean; lids come first."""
    plate: np.ndarray
    """(H, W, 3) uint8 RGB: everything but the head."""


class Scene:
    """A prepared folder, opened.

    Args:
        folder: the folder.
        references: how many reference pictures are used.
        device: where tensors go.
        has_surface: poses and numbers of `surface.npz` are used; otherwise those of `track_params.npz` alone.

    Raises:
        InputError: the folder is not prepared to the end.
    """

    def __init__(self, folder: Path, references: int, device: torch.device, *, has_surface: bool = False) -> None:
        self.folder = PreparedFolder(Path(folder))
        self.steps = self.folder.steps
        needed = [step for step in STEPS if step != "surface" or has_surface]
        missing = [step for step in needed if step not in self.steps.done]
        if missing:
            raise InputError(
                f"Expected a folder prepared to the end in {folder}, found the step {missing[0]!r} missing; run "
                "«facegen talk train» with the same video again."
            )
        self.device = device
        self.arrays = self.folder.arrays("track_params.npz")
        if has_surface:
            self.arrays |= self.folder.arrays("surface.npz")
        self.track = track_of(self.arrays)
        self.prior = HeadPrior(self.arrays["prior_depth"], self.arrays["prior_inside"])
        self.sounds = self.folder.sounds()
        self.eyes = standard_eyes(self.arrays["eyes"], self.steps.train_frames)
        self.mouth = self.arrays["mouth"].astype(np.float32)
        trained = self.steps.train_frames
        self.heard = HeardMouth.fit(self.sound_windows(self.sounds, np.arange(trained)), self.mouth[:trained])
        self._body = BodyMotion(int(self.arrays["body_base"]), self.arrays["body_weights"])
        self._background = self.folder.background()
        base = self._body.base
        layers = unpainted(self.folder.picture("parsing", base))
        self._body_picture = body_layer(self.folder.picture("ori_imgs", base), layers)
        self.frame_hw = (self._background.shape[0], self._background.shape[1])
        self.box_hw, self._anchor, self._offset = self._box()
        self.reference_frames = self._chosen(references)
        self._fixed = self._fixed_tensors()

    def plate(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: a frame without the head, made of the base frame's body."""
        return plate(*self._body_picture, self._background, self._body.shift(self.track, index))

    def pose(self, index: int) -> Pose:
        """How one of the video's frames was taken."""
        return Pose(
            rotation=self.track.rotation[index],
            translation=self.track.translation[index],
            eyes=self.eyes[index],
            plate=self.plate(index),
        )

    def corner(self, pose: Pose) -> tuple[int, int]:
        """x and y of the head's box in a frame; the box is inside the frame."""
        seen = pose.rotation @ self._anchor + pose.translation
        middle = seen[:2] / seen[2] * self.track.focal + self.track.centre
        place = np.round(middle + self._offset).astype(int)
        height, width = self.frame_hw
        return (
            int(np.clip(place[0], 0, width - self.box_hw[1])),
            int(np.clip(place[1], 0, height - self.box_hw[0])),
        )

    def view(self, poses: list[Pose], sounds: np.ndarray) -> dict[str, Tensor]:
        """What a model needs to draw some frames.

        Args:
            poses: B of them.
            sounds: (B, WINDOW, FEATURES_AT_ONCE, WIDTH).
        """
        corners = [self.corner(pose) for pose in poses]
        cameras = np.stack([np.concatenate([pose.rotation, pose.translation[:, None]], 1) for pose in poses])
        plates = np.stack([self.boxed(pose.plate, corner) for pose, corner in zip(poses, corners, strict=True)])
        made = {
            "camera": torch.from_numpy(cameras.astype(np.float32)),
            "corner": torch.tensor(corners, dtype=torch.float32),
            "plate": _to_picture(plates),
            "eyes": torch.from_numpy(np.stack([pose.eyes for pose in poses])),
            "sound": torch.from_numpy(np.ascontiguousarray(sounds)),
            "shape": torch.from_numpy(self.heard(sounds)),
        }
        fixed = {name: value.expand(len(poses), *value.shape[1:]) for name, value in self._fixed.items()}
        return {name: value.to(self.device) for name, value in made.items()} | fixed

    def boxed(self, picture: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """The part of a frame's picture that is in its box."""
        (x, y), (height, width) = corner, self.box_hw
        return picture[y : y + height, x : x + width]

    def sound_windows(self, sounds: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """(B, WINDOW, FEATURES_AT_ONCE, WIDTH) of the frames round each index; ends are repeated."""
        places = np.asarray(indices)[:, None] + np.arange(WINDOW) - WINDOW // 2
        return sounds[np.clip(places, 0, len(sounds) - 1)]

    def _box(self) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
        """Size of the box, the world point that it follows, and the way from there to its corner."""
        base = self._body.base
        points = grid_points(self.prior.depth)[self.prior.inside > 0.15]
        pixels = self.track.project(points, base)
        anchor = self.track.shape.mean(0)
        low = pixels.min(0) - _MARGIN_PX
        size = pixels.max(0) + _MARGIN_PX - low
        limits = np.array(self.frame_hw[::-1]) // BOX_STEP * BOX_STEP
        width, height = np.minimum(np.ceil(size / BOX_STEP) * BOX_STEP, limits).astype(int).tolist()
        middle = (pixels.min(0) + pixels.max(0)) / 2
        offset = middle - np.array([width, height]) / 2 - self.track.project(anchor, base)
        return (height, width), anchor, offset

    def _chosen(self, count: int) -> list[int]:
        """Reference frames of the trained part: the calmest one, then those whose mouth and eyes differ most."""
        frames = np.arange(0, self.steps.train_frames)
        track, base = self.track, self._body.base
        way = np.concatenate(
            [(track.rotation - track.rotation[base]).reshape(-1, 9) * 50, track.translation - track.translation[base]],
            1,
        )[frames]
        near = frames[np.linalg.norm(way, axis=1) <= np.percentile(np.linalg.norm(way, axis=1), 60)]
        looks = np.concatenate([self.mouth[:, :4], self.eyes[:, :1] * _BLINK_WEIGHT], 1)[near]
        picked = [int(np.square(looks - np.median(looks, 0)).sum(1).argmin())]
        while len(picked) < count:
            gaps = np.stack([np.square(looks - looks[place]).sum(1) for place in picked]).min(0)
            picked.append(int(gaps.argmax()))
        return [int(near[place]) for place in picked]

    def _fixed_tensors(self) -> dict[str, Tensor]:
        cameras = [
            np.concatenate([self.track.rotation[i], self.track.translation[i][:, None]], 1)
            for i in self.reference_frames
        ]
        pictures = np.stack([self.folder.picture("com_imgs", index) for index in self.reference_frames])
        assert self.prior.depth.shape == GRID_HW
        made = {
            "references": _to_picture(pictures)[None],
            "reference_cameras": torch.from_numpy(np.stack(cameras).astype(np.float32))[None],
            "lens": torch.tensor([[self.track.focal, *self.track.centre]], dtype=torch.float32),
            "reference_numbers": torch.from_numpy(
                np.concatenate([self.mouth, self.eyes], 1)[self.reference_frames][None]
            ),
            "movement": torch.from_numpy(self.arrays["movement"].transpose(0, 3, 1, 2).copy())[None],
            "prior": torch.from_numpy(np.stack([self.prior.depth, self.prior.inside]).astype(np.float32))[None],
        }
        return {name: value.to(self.device) for name, value in made.items()}


class SceneData:
    """Frames of a scene for training: the first ones; what was held back is in `held_back`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.skipped: tuple[str, ...] = ()
        trained = scene.steps.train_frames
        self.held_back = range(trained, scene.steps.frame_count)
        is_rare = scene.eyes[:trained, 0] > _RARE_LIDS
        self._frames = np.repeat(np.arange(trained), np.where(is_rare, _RARE_TIMES, 1))
        rows = json.loads((scene.folder.path / "transforms_train.json").read_text(encoding="utf-8"))["frames"]
        self._rects = {row["img_id"]: (row["face_rect"], row["lip_rect"]) for row in rows}

    def __len__(self) -> int:
        return len(self._frames)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Views of the drawn frames with what is to be seen in them.

        Beside `Scene.view`: `target` (B, 3, h, w) in [0, 1], `weight` (B, 1, h, w) higher at lips and eyes, `face`
        (B, 4) x, y, width, height of the face in the box, `mouth` (B, RIG_SIZE) as measured.
        """
        scene, indices = self.scene, self._frames[spec.indices.numpy()].tolist()
        poses = [scene.pose(index) for index in indices]
        batch = scene.view(poses, scene.sound_windows(scene.sounds, np.array(indices)))
        corners = [scene.corner(pose) for pose in poses]
        targets = [
            scene.boxed(scene.folder.picture("com_imgs", index), corner)
            for index, corner in zip(indices, corners, strict=True)
        ]
        rects = [self._rects[index] for index in indices]
        faces = [[rect[0] - x, rect[1] - y, *rect[2:]] for (rect, _), (x, y) in zip(rects, corners, strict=True)]
        weights = [
            _weights(scene.box_hw, corner, face, lips) for corner, (face, lips) in zip(corners, rects, strict=True)
        ]
        made = {
            "target": _to_picture(np.stack(targets)),
            "weight": torch.from_numpy(np.stack(weights))[:, None],
            "face": torch.tensor(faces, dtype=torch.float32),
            "mouth": torch.from_numpy(scene.mouth[indices]),
            # pictures are learned with the mouth as it was, and drawn with the mouth as it is heard
            "shape": torch.from_numpy(scene.mouth[indices]),
        }
        return batch | {name: value.to(scene.device) for name, value in made.items()}


def _weights(box_hw: tuple[int, int], corner: tuple[int, int], face: list[int], lips: list[int]) -> np.ndarray:
    """(h, w) float32: 1, more at lips and eyes."""
    weight = np.ones(box_hw, np.float32)
    x, y, width, height = face
    eyes = (x + width // 6, y + height // 6, 2 * width // 3, height // 4)
    for (left, top, wide, high), value in ((eyes, _EYES_WEIGHT), (tuple(lips), _LIPS_WEIGHT)):
        rows = slice(max(top - corner[1], 0), max(top + high - corner[1], 0))
        columns = slice(max(left - corner[0], 0), max(left + wide - corner[0], 0))
        weight[rows, columns] = value
    return weight


def _to_picture(images: np.ndarray) -> Tensor:
    """(..., H, W, 3) uint8 to (..., 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3))).float().div_(255)
