"""The body under the head: one picture of it, moved a little with the head, as bodies do."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facegen.talk.dfrf.camera import HeadTrack
from facegen.talk.dfrf.layers import TORSO, blend

_REACH_PX = 20
_RIDGE = 3.0
_LEAST_MATCH = 0.6


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """How far the body is from where it is in the base frame, told from the head's pose."""

    base: int
    """Number of the frame that the picture of the body is taken from."""
    weights: np.ndarray
    """(7, 2) pixels of shift by pose numbers and a constant."""

    def shift(self, track: HeadTrack, index: int) -> np.ndarray:
        """(2,) pixels that the body is moved in a frame."""
        return np.asarray(_pose_numbers(track, index, self.base) @ self.weights)


def _pose_numbers(track: HeadTrack, index: int, base: int) -> np.ndarray:
    """(7,) how a pose differs from the base's, in about equal units, and a 1."""
    turned = cv2.Rodrigues(track.rotation[index] @ track.rotation[base].T)[0][:, 0] * 50
    moved = (track.translation[index] - track.translation[base]) * np.array([track.focal, track.focal, 20.0])
    return np.array([*turned, *(moved / np.array([track.translation[base, 2]] * 2 + [1.0])), 1.0])


def base_frame(track: HeadTrack, count: int) -> int:
    """The frame of the first `count` whose pose is nearest to the middle one."""
    flat = np.concatenate([track.rotation[:count].reshape(count, 9) * 50, track.translation[:count] * 10], 1)
    return int(np.square(flat - np.median(flat, 0)).sum(1).argmin())


def measure_body(track: HeadTrack, base: int, image_rgb: np.ndarray, layers: np.ndarray) -> BodyMeter:
    """A meter for the body's place, from the base frame."""
    torso = (layers == TORSO).astype(np.uint8)
    rows, columns = np.flatnonzero(torso.any(1)), np.flatnonzero(torso.any(0))
    if len(rows) < 4 * _REACH_PX or len(columns) < 4 * _REACH_PX:
        return BodyMeter(track, base, None, (0, 0))
    top, bottom = rows[0] + _REACH_PX, rows[-1] + 1 - _REACH_PX
    left, right = columns[0] + _REACH_PX, columns[-1] + 1 - _REACH_PX
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    return BodyMeter(track, base, grey[top:bottom, left:right], (int(left), int(top)))


class BodyMeter:
    """Finds the body's place in frames, then the rule by which it follows the head."""

    def __init__(self, track: HeadTrack, base: int, patch: np.ndarray | None, corner: tuple[int, int]) -> None:
        self._track, self._base, self._patch, self._corner = track, base, patch, corner
        self._rows: list[np.ndarray] = []
        self._shifts: list[np.ndarray] = []

    def add(self, index: int, image_rgb: np.ndarray) -> None:
        """Looks at one more frame."""
        if self._patch is None:
            return
        (left, top), (height, width) = self._corner, self._patch.shape
        grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        around = grey[top - _REACH_PX : top + height + _REACH_PX, left - _REACH_PX : left + width + _REACH_PX]
        match = cv2.matchTemplate(around, self._patch, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(match)
        if best < _LEAST_MATCH:
            return
        self._rows.append(_pose_numbers(self._track, index, self._base))
        self._shifts.append(np.array([x - (match.shape[1] - 1) / 2, y - (match.shape[0] - 1) / 2]))

    def motion(self) -> BodyMotion:
        """The rule: linear in the pose, by ridge regression."""
        if len(self._rows) < 20:
            return BodyMotion(self._base, np.zeros((7, 2)))
        rows, shifts = np.stack(self._rows), np.stack(self._shifts)
        weights = np.linalg.solve(rows.T @ rows + _RIDGE * np.eye(7), rows.T @ shifts)
        return BodyMotion(self._base, weights)


def plate(body_rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: background and moved body, everything but the head."""
    height, width = background.shape[:2]
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved = [
        cv2.warpAffine(layer, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for layer in (body_rgb, alpha)
    ]
    return blend(moved[0], moved[1], background)
