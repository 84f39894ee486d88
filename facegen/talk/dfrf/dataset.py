"""Prepared people as tensors: what is constant in a scene, every frame on demand, and training batches."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegen.errors import InputError
from facegen.json_file import read_object
from facegen.talk.dfrf.audio import MouthRegression, select_windows
from facegen.talk.dfrf.expression import standardize
from facegen.talk.dfrf.folder import STEPS, PreparedFolder
from facegen.talk.dfrf.geometry import GRID_HW, HeadRelief, HeadTrack, grid_points
from facegen.talk.dfrf.layers import BodyMotion, compose_background, decode_layers, extract_body
from facegen.training.task import BatchSpec, SampleNames

BOX_STEP = 32
"""Sides of the head's box are multiples of this many pixels."""

_MARGIN_PX = 14
_LIPS_WEIGHT, _EYES_WEIGHT = 4.0, 2.5
_BLINK_WEIGHT = 0.6
_BLINK_DEVIATIONS, _BLINK_REPEATS = 1.5, 4
"""Frames with lids closed further than this are repeated in the data: a blink is over in a fifth of a second."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FrameView:
    """Camera, upper face and background of one frame to render."""

    rotation: np.ndarray
    """(3, 3) world to OpenCV camera."""
    translation: np.ndarray
    """(3,) world to OpenCV camera, world units."""
    upper_face: np.ndarray
    """(EYES_SIZE,) or (UPPER_FACE_SIZE,), standardised over this person's training frames; lids come first."""
    background: np.ndarray
    """(H, W, 3) uint8 RGB: everything but the head."""


class Scene:
    """An open prepared folder.

    Args:
        folder: the folder.
        references: number of reference pictures.
        device: where tensors go.
        has_surface: uses poses and upper face of `surface.npz`, else those of `track_params.npz`.

    Raises:
        InputError: steps of the preparation are missing.
    """

    def __init__(self, folder: Path, references: int, device: torch.device, *, has_surface: bool = False) -> None:
        self.folder = PreparedFolder(Path(folder))
        self.state = self.folder.state
        missing = [step for step in STEPS if step not in self.state.done and (step != "surface" or has_surface)]
        if missing:
            raise InputError(
                f"Expected a folder prepared to the end in {folder}, found the step {missing[0]!r} missing; run "
                "«facegen talk train» with the same video again."
            )
        self.device = device
        arrays = self.folder.read_arrays("track_params.npz")
        if has_surface:
            arrays |= self.folder.read_arrays("surface.npz")
        train_frames = self.state.train_frames
        self.track = HeadTrack.from_arrays(arrays)
        self.relief = HeadRelief(arrays["prior_depth"], arrays["prior_inside"])
        self.audio_features = self.folder.read_audio_features()
        self.upper_face = standardize(arrays["eyes"], train_frames)
        self.mouth = arrays["mouth"].astype(np.float32)
        windows = select_windows(self.audio_features, np.arange(train_frames))
        self.mouth_regression = MouthRegression.fit(windows, self.mouth[:train_frames])
        self._body_motion = BodyMotion(int(arrays["body_base"]), arrays["body_weights"])
        self._background = self.folder.read_background()
        base = self._body_motion.base
        layers = decode_layers(self.folder.read_picture("parsing", base))
        self._body = extract_body(self.folder.read_picture("ori_imgs", base), layers)
        self.frame_hw = (self._background.shape[0], self._background.shape[1])
        self.box_hw, self._anchor, self._offset = self._measure_box()
        self.reference_frames = self._choose_references(references)
        self._constants = self._build_constants(arrays["movement"])

    def frame_view(self, index: int) -> FrameView:
        """One of the video's own frames."""
        shift = self._body_motion.shift(self.track, index)
        return FrameView(
            rotation=self.track.rotation[index],
            translation=self.track.translation[index],
            upper_face=self.upper_face[index],
            background=compose_background(*self._body, self._background, shift),
        )

    def box_corner(self, view: FrameView) -> tuple[int, int]:
        """x and y of the head's box in a frame; the box lies inside the frame."""
        anchor = view.rotation @ self._anchor + view.translation
        middle = anchor[:2] / anchor[2] * self.track.focal + self.track.centre
        corner = np.round(middle + self._offset).astype(int)
        height, width = self.frame_hw
        return (
            int(np.clip(corner[0], 0, width - self.box_hw[1])),
            int(np.clip(corner[1], 0, height - self.box_hw[0])),
        )

    def crop_box(self, picture: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
        """The head's box of a picture of the whole frame."""
        (x, y), (height, width) = corner, self.box_hw
        return picture[y : y + height, x : x + width]

    def build_batch(self, views: list[FrameView], windows: np.ndarray) -> dict[str, Tensor]:
        """Inputs of a field for B frames.

        Args:
            views: B of them.
            windows: (B, WINDOW, ROWS_PER_FRAME, FEATURE_SIZE) audio features.

        Returns:
            `extrinsics` (B, 3, 4) and `intrinsics` (B, 3) as in `rays`; `corner` (B, 2) x and y of the box; `background`
            (B, 3, h, w) in [0, 1]; `upper_face` (B, U); `audio`, the windows; `mouth` (B, RIG_SIZE) predicted from them;
            and of the scene, expanded to B: `references` (B, K, 3, H, W) in [0, 1], `reference_extrinsics` (B, K, 3, 4),
            `reference_expressions` (B, K, RIG_SIZE + U), `expression_basis` (B, RIG_SIZE + U, 3, rows, columns) and
            `relief` (B, 2, rows, columns).
        """
        corners = [self.box_corner(view) for view in views]
        extrinsics = np.stack([np.concatenate([view.rotation, view.translation[:, None]], 1) for view in views])
        backgrounds = [self.crop_box(view.background, corner) for view, corner in zip(views, corners, strict=True)]
        batch = {
            "extrinsics": torch.from_numpy(extrinsics.astype(np.float32)),
            "corner": torch.tensor(corners, dtype=torch.float32),
            "background": _to_tensor(np.stack(backgrounds)),
            "upper_face": torch.from_numpy(np.stack([view.upper_face for view in views])),
            "audio": torch.from_numpy(np.ascontiguousarray(windows)),
            "mouth": torch.from_numpy(self.mouth_regression.predict(windows)),
        }
        constants = {name: value.expand(len(views), *value.shape[1:]) for name, value in self._constants.items()}
        return {name: value.to(self.device) for name, value in batch.items()} | constants

    def _measure_box(self) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
        """Size of the box, the world point that it follows, and the offset from there to its corner, pixels."""
        base = self._body_motion.base
        points = grid_points(self.relief.depth)[self.relief.inside > 0.15]
        pixels = self.track.project(points, base)
        anchor = self.track.shape.mean(0)
        low = pixels.min(0) - _MARGIN_PX
        size = pixels.max(0) + _MARGIN_PX - low
        limits = np.array(self.frame_hw[::-1]) // BOX_STEP * BOX_STEP
        width, height = np.minimum(np.ceil(size / BOX_STEP) * BOX_STEP, limits).astype(int).tolist()
        middle = (pixels.min(0) + pixels.max(0)) / 2
        offset = middle - np.array([width, height]) / 2 - self.track.project(anchor, base)
        return (height, width), anchor, offset

    def _choose_references(self, count: int) -> list[int]:
        """Reference frames among the training frames near the base pose.

        The one with the most usual mouth and lids, then those whose mouth and lids differ most (farthest point sampling).
        """
        frames = np.arange(0, self.state.train_frames)
        track, base = self.track, self._body_motion.base
        rotation, translation = track.rotation - track.rotation[base], track.translation - track.translation[base]
        distance = np.linalg.norm(np.concatenate([rotation.reshape(-1, 9) * 50, translation], 1)[frames], axis=1)
        near = frames[distance <= np.percentile(distance, 60)]
        features = np.concatenate([self.mouth[:, :4], self.upper_face[:, :1] * _BLINK_WEIGHT], 1)[near]
        references = [int(np.square(features - np.median(features, 0)).sum(1).argmin())]
        while len(references) < count:
            gaps = np.stack([np.square(features - features[index]).sum(1) for index in references]).min(0)
            references.append(int(gaps.argmax()))
        return [int(near[index]) for index in references]

    def _build_constants(self, basis: np.ndarray) -> dict[str, Tensor]:
        """The batch's tensors that are the same in all frames, with a batch axis of 1."""
        extrinsics = np.stack([self.track.extrinsics(index) for index in self.reference_frames])
        pictures = np.stack([self.folder.read_picture("com_imgs", index) for index in self.reference_frames])
        expressions = np.concatenate([self.mouth, self.upper_face], 1)[self.reference_frames]
        assert self.relief.depth.shape == GRID_HW
        constants = {
            "references": _to_tensor(pictures)[None],
            "reference_extrinsics": torch.from_numpy(extrinsics.astype(np.float32))[None],
            "intrinsics": torch.tensor([[self.track.focal, *self.track.centre]], dtype=torch.float32),
            "reference_expressions": torch.from_numpy(expressions[None]),
            "expression_basis": torch.from_numpy(basis.transpose(0, 3, 1, 2).copy())[None],
            "relief": torch.from_numpy(np.stack([self.relief.depth, self.relief.inside]).astype(np.float32))[None],
        }
        return {name: value.to(self.device) for name, value in constants.items()}


class SceneDataset:
    """The training frames of a scene; the indices of the others are `held_out`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames(learned=(scene.folder.path.name,))
        train_frames = scene.state.train_frames
        self.held_out = range(train_frames, scene.state.frame_count)
        is_blink = scene.upper_face[:train_frames, 0] > _BLINK_DEVIATIONS
        self._frames = np.repeat(np.arange(train_frames), np.where(is_blink, _BLINK_REPEATS, 1))
        path = scene.folder.path / "transforms_train.json"
        try:
            self._boxes = {row["img_id"]: (row["face_rect"], row["lip_rect"]) for row in read_object(path)["frames"]}
        except (KeyError, TypeError) as error:
            raise InputError(f"Expected frames with their boxes in {path}, found others; prepare it again.") from error

    def __len__(self) -> int:
        return len(self._frames)

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """Inputs and targets of some frames.

        Beside those of `Scene.build_batch`: `target` (B, 3, h, w) in [0, 1], `weight` (B, 1, h, w) higher at lips and
        eyes, `face_box` (B, 4) x, y, width, height of the face in the head's box; `mouth` is as measured.
        """
        scene, indices = self.scene, self._frames[spec.indices.numpy()].tolist()
        views = [scene.frame_view(index) for index in indices]
        batch = scene.build_batch(views, select_windows(scene.audio_features, np.array(indices)))
        corners = [scene.box_corner(view) for view in views]
        targets, faces, weights = [], [], []
        for index, corner in zip(indices, corners, strict=True):
            face, lips = self._boxes[index]
            targets.append(scene.crop_box(scene.folder.read_picture("com_imgs", index), corner))
            faces.append([face[0] - corner[0], face[1] - corner[1], *face[2:]])
            weights.append(_weigh_pixels(scene.box_hw, corner, face, lips))
        # a field learns with the mouth as it was, and renders with the mouth that the audio predicts
        trained = {
            "target": _to_tensor(np.stack(targets)),
            "weight": torch.from_numpy(np.stack(weights))[:, None],
            "face_box": torch.tensor(faces, dtype=torch.float32),
            "mouth": torch.from_numpy(scene.mouth[indices]),
        }
        return batch | {name: value.to(scene.device) for name, value in trained.items()}


class PeopleDataset:
    """The frames of one or several scenes; every batch is of one person.

    All that is specific to a person (references, cameras, relief, bases) is in the batch, so one field learns them all.

    Args:
        people: one or more.
    """

    def __init__(self, people: Sequence[SceneDataset]) -> None:
        self.people = list(people)
        self.skipped: tuple[str, ...] = ()
        self.names = SampleNames(learned=tuple(name for person in people for name in person.names.learned))
        self._starts = [0, *accumulate(len(person) for person in self.people)]

    def __len__(self) -> int:
        return self._starts[-1]

    def batch(self, spec: BatchSpec) -> dict[str, Tensor]:
        """A batch of `SceneDataset`, of the person of the first index; the other indices are wrapped to that person."""
        number = bisect_right(self._starts, int(spec.indices[0])) - 1
        person = self.people[number]
        return person.batch(replace(spec, indices=(spec.indices - self._starts[number]) % len(person)))


def _weigh_pixels(box_hw: tuple[int, int], corner: tuple[int, int], face: list[int], lips: list[int]) -> np.ndarray:
    """(h, w) float32: 1, more at lips and eyes; `face` and `lips` are x, y, width, height in the frame."""
    weight = np.ones(box_hw, np.float32)
    x, y, width, height = face
    eyes = (x + width // 6, y + height // 6, 2 * width // 3, height // 4)
    for (left, top, across, down), value in ((eyes, _EYES_WEIGHT), (tuple(lips), _LIPS_WEIGHT)):
        rows = slice(max(top - corner[1], 0), max(top + down - corner[1], 0))
        columns = slice(max(left - corner[0], 0), max(left + across - corner[0], 0))
        weight[rows, columns] = value
    return weight


def _to_tensor(images: np.ndarray) -> Tensor:
    """(..., H, W, 3) uint8 to (..., 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3))).float().div_(255)
