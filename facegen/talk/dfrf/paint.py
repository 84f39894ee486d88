"""Whole frames from a trained field: the head's box over body and background, its border feathered."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from facegen.config import load
from facegen.errors import WeightsError
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.scene import Pose, Scene
from facegen.training.precision import is_bfloat16_quick

_FEATHER_PX = 20


class Painter:
    """Draws frames of one person.

    Args:
        model: the trained field.
        scene: the person.
    """

    def __init__(self, model: RadianceField, scene: Scene) -> None:
        self.model, self.scene = model.eval(), scene
        self._is_reduced = is_bfloat16_quick(scene.device)

    @classmethod
    def of_run(cls, run: Path, device: torch.device) -> Painter:
        """From the folder of a finished «facegen talk train» or «facegen train dfrf».

        Raises:
            InputError: there is none.
            WeightsError: its weights are damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from facegen.talk.dfrf.flow import trained_places
        from facegen.talk.dfrf.task import DfrfTask

        field, prepared = trained_places(run)
        task = load(DfrfTask, field / "field.json")
        model = task.build_model()
        assert isinstance(model, RadianceField)
        try:
            model.load_state_dict(load_file(field / "field.safetensors"))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise WeightsError(f"Expected the weights of a field in {field}, found others; train it again.") from error
        return cls(model.to(device), Scene(prepared, task.references, device, has_surface=task.surface))

    def paint(self, pose: Pose, sounds: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB: a frame.

        Args:
            pose: camera, eyes and what is behind the head.
            sounds: (WINDOW, FEATURES_AT_ONCE, WIDTH) round this frame.
        """
        scene = self.scene
        box = self._box(pose, sounds, slice(None))
        x, y = scene.corner(pose)
        height, width = scene.box_hw
        alpha = _feather(scene.box_hw, (x, y), scene.frame_hw)[..., None]
        frame = pose.plate.copy()
        under = frame[y : y + height, x : x + width]
        frame[y : y + height, x : x + width] = np.clip(box * alpha + under * (1 - alpha) + 0.5, 0, 255)
        return frame

    def held_back(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: one of the video's own frames, drawn from its sound, pose and eyes."""
        scene = self.scene
        return self.paint(scene.pose(index), scene.sound_windows(scene.sounds, np.array([index]))[0])

    def sampled(self, index: int, every: int) -> tuple[np.ndarray, np.ndarray]:
        """Every so many pixels of the head's box in one of the video's own frames, across and down.

        Returns:
            (h, w, 3) uint8 RGB as drawn, and (h, w, 2) column and row of each in the frame.
        """
        scene, places = self.scene, slice(every // 2, None, every)
        pose = scene.pose(index)
        box = self._box(pose, scene.sound_windows(scene.sounds, np.array([index]))[0], places)
        (x, y), (height, width) = scene.corner(pose), scene.box_hw
        grid = np.meshgrid(np.arange(x, x + width)[places], np.arange(y, y + height)[places])
        return (box + 0.5).astype(np.uint8), np.stack(grid, -1)

    def _box(self, pose: Pose, sounds: np.ndarray, places: slice) -> np.ndarray:
        """(h, w, 3) float32 RGB in [0, 255]: the rows and columns at some places of the head's box."""
        view = self.scene.view([pose], sounds[None])
        with torch.autocast(self.scene.device.type, torch.bfloat16, enabled=self._is_reduced):
            drawn = self.model.draw(view, places, places)[0].float()
        return np.asarray((drawn.permute(1, 2, 0) * 255).cpu())


def _feather(box_hw: tuple[int, int], corner: tuple[int, int], frame_hw: tuple[int, int]) -> np.ndarray:
    """(h, w) float32: 1 inside, down to 0 at those borders of the box that are not the frame's."""
    rows, columns = np.arange(box_hw[0]) + 0.5, np.arange(box_hw[1]) + 0.5
    far = float(10 * _FEATHER_PX)
    top = rows if corner[1] > 0 else np.full_like(rows, far)
    bottom = box_hw[0] - rows if corner[1] + box_hw[0] < frame_hw[0] else np.full_like(rows, far)
    left = columns if corner[0] > 0 else np.full_like(columns, far)
    right = box_hw[1] - columns if corner[0] + box_hw[1] < frame_hw[1] else np.full_like(columns, far)
    near = np.minimum(np.minimum(top, bottom)[:, None], np.minimum(left, right)[None])
    share = np.clip(near / _FEATHER_PX, 0, 1).astype(np.float32)
    return cv2.GaussianBlur(share, (0, 0), 2.0) * (share > 0)
