"""Whole frames from a trained field, and their error against the video.

The head's box is composited over body and background with a feathered border.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch

from facegen.device import is_bfloat16_fast
from facegen.talk.dfrf.audio import select_windows
from facegen.talk.dfrf.dataset import FrameView, Scene
from facegen.talk.dfrf.layers import HEAD, decode_layers
from facegen.talk.dfrf.model import RadianceField

_FEATHER_PX = 20
_EDGE_PX, _MARGIN_PX = 4, 8


class FrameRenderer:
    """Renders frames of one person.

    Args:
        model: the trained field.
        scene: the person.
    """

    def __init__(self, model: RadianceField, scene: Scene) -> None:
        self.model, self.scene = model.eval(), scene
        self._is_reduced = is_bfloat16_fast(scene.device)

    def render(self, view: FrameView, window: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB: a frame.

        Args:
            view: camera, upper face and background.
            window: (WINDOW, ROWS_PER_FRAME, FEATURE_SIZE) audio features around the frame.
        """
        scene = self.scene
        box = self._render_box(view, window, slice(None))
        x, y = scene.box_corner(view)
        height, width = scene.box_hw
        alpha = _feather(scene.box_hw, (x, y), scene.frame_hw)[..., None]
        frame = view.background.copy()
        below = frame[y : y + height, x : x + width]
        frame[y : y + height, x : x + width] = np.clip(box * alpha + below * (1 - alpha) + 0.5, 0, 255)
        return frame

    def render_video_frame(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: one of the video's own frames, from its audio, pose and upper face."""
        return self.render(self.scene.frame_view(index), self._window(index))

    def render_pixels(self, index: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
        """Every `stride`-th pixel, across and down, of the head's box in one of the video's own frames.

        Returns:
            (h, w, 3) uint8 RGB, and (h, w, 2) column and row of each pixel in the frame.
        """
        scene, every = self.scene, slice(stride // 2, None, stride)
        view = scene.frame_view(index)
        box = self._render_box(view, self._window(index), every)
        (x, y), (height, width) = scene.box_corner(view), scene.box_hw
        grid = np.meshgrid(np.arange(x, x + width)[every], np.arange(y, y + height)[every])
        return (box + 0.5).astype(np.uint8), np.stack(grid, -1)

    def _window(self, index: int) -> np.ndarray:
        """(WINDOW, ROWS_PER_FRAME, FEATURE_SIZE) of the video's own audio."""
        return select_windows(self.scene.audio_features, np.array([index]))[0]

    def _render_box(self, view: FrameView, window: np.ndarray, every: slice) -> np.ndarray:
        """(h, w, 3) float32 RGB in [0, 255]: some rows and columns of the head's box."""
        batch = self.scene.build_batch([view], window[None])
        with torch.autocast(self.scene.device.type, torch.bfloat16, enabled=self._is_reduced):
            rendered = self.model.render(batch, every, every)[0].float()
        return np.asarray((rendered.permute(1, 2, 0) * 255).cpu())


def _feather(box_hw: tuple[int, int], corner: tuple[int, int], frame_hw: tuple[int, int]) -> np.ndarray:
    """(h, w) float32: 1 inside, down to 0 at those borders of the box that are not the frame's."""
    rows, columns = np.arange(box_hw[0]) + 0.5, np.arange(box_hw[1]) + 0.5
    far = float(10 * _FEATHER_PX)
    top = rows if corner[1] > 0 else np.full_like(rows, far)
    bottom = box_hw[0] - rows if corner[1] + box_hw[0] < frame_hw[0] else np.full_like(rows, far)
    left = columns if corner[0] > 0 else np.full_like(columns, far)
    right = box_hw[1] - columns if corner[0] + box_hw[1] < frame_hw[1] else np.full_like(columns, far)
    distance = np.minimum(np.minimum(top, bottom)[:, None], np.minimum(left, right)[None])
    alpha = np.clip(distance / _FEATHER_PX, 0, 1).astype(np.float32)
    return cv2.GaussianBlur(alpha, (0, 0), 2.0) * (alpha > 0)


def measure_head_errors(renderer: FrameRenderer, frames: Iterable[int]) -> np.ndarray:
    """(N,) mean squared error of each frame inside the head (skin, features, hair, ears), colours in [0, 1]."""
    errors = []
    for index in frames:
        rendered, real = renderer.render_video_frame(index), renderer.scene.folder.read_picture("com_imgs", index)
        errors.append(masked_mse(rendered, real, read_head_mask(renderer.scene, index)))
    return np.array(errors)


def masked_mse(rendered: np.ndarray, real: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared error of two (H, W, 3) uint8 pictures inside a mask, colours in [0, 1]; never quite 0."""
    return float(np.square((rendered[mask].astype(np.float32) - real[mask]) / 255).mean()) + 1e-9


def read_head_mask(scene: Scene, index: int) -> np.ndarray:
    """(H, W) bool: the head in one of the video's frames."""
    return np.asarray(decode_layers(scene.folder.read_picture("parsing", index)) == HEAD)


def split_head(scene: Scene, index: int) -> dict[str, np.ndarray]:
    """Parts of the head, (H, W) bool by name, which do not overlap and together are `read_head_mask`.

    `edge` is within four pixels of the head's outline; `mouth` and `eyes` (with brows) are rectangles around their
    landmarks; `face` is the rest between the outermost landmarks, and `hair` what is left: hair, forehead and ears.
    """
    mask, points = read_head_mask(scene, index), scene.folder.read_landmarks(index)
    kernel = np.ones((2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1), np.uint8)
    outline = cv2.convexHull(points.astype(np.int32))
    areas = {
        "edge": cv2.erode(mask.astype(np.uint8), kernel) == 0,
        "mouth": _rectangle_mask(points[48:], mask),
        "eyes": _rectangle_mask(np.concatenate([points[17:27], points[36:48]]), mask),
        "face": cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), outline, 1) > 0,
        "hair": mask,
    }
    parts, rest = {}, mask.copy()
    for name, area in areas.items():
        parts[name] = rest & area
        rest &= ~area
    return parts


def _rectangle_mask(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) bool of the size of a mask: within a margin of points (N, 2)."""
    inside = np.zeros_like(mask)
    left, top = np.maximum(points.min(0) - _MARGIN_PX, 0).astype(int)
    right, bottom = (points.max(0) + _MARGIN_PX).astype(int)
    inside[top:bottom, left:right] = True
    return inside
