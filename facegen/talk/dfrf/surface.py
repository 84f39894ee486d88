"""Where a head's surface lies in every frame to a fraction of a pixel, by optical flow from one picture of it.

The base frame, laid on the relief and brought into another frame by its pose, differs from that frame by a flow. What of
it a turn and a shift of the head explain corrects the pose. What is left above the cheeks (a scalp that slides, brows,
hair, a relief that is not quite right) is told in a few numbers: the principal movements of the trained frames. How the
rest of the head goes with these numbers, and with mouth and eyes, is a regression on the trained frames.

This is tracking: it looks at frames that are held back too, as any tracker of poses does, but never at a field, and what
it tells of a frame leaves out the mouth, the cheeks and the chin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from facegen.talk.dfrf.camera import HeadTrack
from facegen.talk.dfrf.expression import SURFACE
from facegen.talk.dfrf.head_prior import GRID_HW, HeadPrior, at_places, grid_points, places_of, surface_points
from facegen.talk.dfrf.points import CHEEKS_FROM, EYES_BOX

CELL_HW = (GRID_HW[0] // 2, GRID_HW[1] // 2)
"""Movements are measured at every second place of the relief's grid, across and down."""

_STRIDE = 4
_NECK_BELOW = -1.0
_LIDS_BOX = (-0.62, 0.62, 0.14, 0.42)
"""x and y range, world units, where lids and eyeballs move, which flow does not follow."""
_PLAIN = 400.0
"""Squared slopes in grey levels below which a place is too plain to be followed."""
_UNLIKE = 100.0
"""Squared grey levels by which a place that was followed may still differ."""
_TORN_PX = 6.0
_ROBUST_PX = 0.5
_ROUNDS = 8
_SMOOTH_CELLS = 2.0
_FIT_FRAMES = 600
_RIDGE = 20.0
_LEAST_SEEN = 0.02
_NUDGES = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-2])


class SurfaceTracker:
    """Follows the head's surface from the base frame into others.

    Args:
        track: poses, right to about a pixel.
        prior: the relief.
        base: number of the base frame.
        image_rgb: (H, W, 3) uint8 RGB, that frame.
        numbers: (N, M) of mouth and eyes in every frame.
        movement: (M, rows, columns, 3) how the relief moves with them.
    """

    def __init__(
        self,
        track: HeadTrack,
        prior: HeadPrior,
        base: int,
        image_rgb: np.ndarray,
        numbers: np.ndarray,
        movement: np.ndarray,
    ) -> None:
        self.track, self.prior, self._base, self._image = track, prior, base, image_rgb
        self._numbers, self._movement = numbers, movement
        self._size_hw = image_rgb.shape[:2]
        self._rows, self._columns = (side // _STRIDE for side in self._size_hw)
        middles = [(np.arange(count) + 0.5) * _STRIDE for count in (self._columns, self._rows)]
        self._pixels = np.stack(np.meshgrid(*middles), -1).reshape(-1, 2)
        self._grid = np.mgrid[: self._size_hw[0], : self._size_hw[1]].astype(np.float32)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._stiff, self.told = _regions(track, prior)

    def add(self, index: int, image_rgb: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corrects the pose of a frame, and measures how its surface lies.

        Args:
            index: of the frame.
            image_rgb: (H, W, 3) uint8 RGB.
            head: (H, W) bool mask of the head.

        Returns:
            CELL_HW + (2,) float32 to the picture's right and down, world units, from where the corrected pose and
            `numbers` put the surface to where it is; and CELL_HW float32 0..1, how far that can be believed.
        """
        world = surface_points(self.track, self.prior, index, self._pixels)
        found, belief = self._found(index, image_rgb, head, world)
        left = self._corrected(index, world, found, belief)
        return self._on_cells(index, left, belief)

    def _found(
        self, index: int, image_rgb: np.ndarray, head: np.ndarray, world: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) pixels from where the world's points (P, 3) are thought to be to where they are, and (P,) belief."""
        moved = np.tensordot(self._numbers[self._base] - self._numbers[index], self._movement, 1)
        there = self.track.project(world + at_places(moved.astype(np.float32), world), self._base)
        ways = cv2.resize(there.reshape(self._rows, self._columns, 2).astype(np.float32), self._size_hw[::-1]) - 0.5
        thought = cv2.remap(self._image, ways[..., 0], ways[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        real, drawn = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (image_rgb, thought))
        flow = self._flow.calc(real, drawn, None)  # type: ignore[call-overload]
        same = cv2.remap(drawn, self._grid[1] + flow[..., 0], self._grid[0] + flow[..., 1], cv2.INTER_LINEAR)
        unlike = cv2.GaussianBlur(np.square(real.astype(np.float32) - same), (0, 0), 2)
        slopes = np.square(cv2.Sobel(real, cv2.CV_32F, 1, 0)) + np.square(cv2.Sobel(real, cv2.CV_32F, 0, 1))
        slopes = cv2.GaussianBlur(slopes, (0, 0), 2)
        inside = cv2.erode(head.astype(np.uint8), np.ones((7, 7), np.uint8))
        belief = inside * slopes / (slopes + _PLAIN) / (1 + unlike / _UNLIKE)
        small = (self._columns, self._rows)
        share = cv2.resize(belief, small, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(flow * belief[..., None], small, interpolation=cv2.INTER_AREA) / (share[..., None] + 1e-6)
        return -mean.reshape(-1, 2).astype(np.float64), share.reshape(-1)

    def _corrected(self, index: int, world: np.ndarray, found: np.ndarray, belief: np.ndarray) -> np.ndarray:
        """Puts the pose right by what was found on the stiff part of the head; what is left of it, (P, 2) pixels."""
        at = self.track.project(world, index)
        poses = [self._nudged(index, nudge) for nudge in np.diag(_NUDGES)]
        slopes = np.stack([(_seen(self.track, world, *pose) - at) for pose in poses], -1) / _NUDGES
        trust = at_places(self._stiff, world) * belief
        weight, step = trust, np.zeros(len(_NUDGES))
        if trust.sum() > 1:
            for _ in range(_ROUNDS):
                square = np.einsum("pci,pcj,p->ij", slopes, slopes, weight)
                wanted = np.einsum("pci,pc,p->i", slopes, found, weight)
                step = np.linalg.solve(square + 1e-6 * np.diag(np.diag(square)), wanted)
                weight = trust / (1 + np.square(found - slopes @ step).sum(1) / _ROBUST_PX**2)
        rotation, translation = self.track.rotation.copy(), self.track.translation.copy()
        rotation[index], translation[index] = self._nudged(index, step)
        self.track = replace(self.track, rotation=rotation, translation=translation)
        return np.asarray(found - slopes @ step)

    def _nudged(self, index: int, nudge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A frame's rotation and translation after a small turn (3, radians) and shift (3, world units)."""
        turn = cv2.Rodrigues(nudge[:3])[0]
        return turn @ self.track.rotation[index], self.track.translation[index] + nudge[3:]

    def _on_cells(self, index: int, left: np.ndarray, belief: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        whole = np.hypot(left[:, 0], left[:, 1]) < _TORN_PX
        weight = (belief * whole).reshape(self._rows, self._columns).astype(np.float32)
        flow = left.reshape(self._rows, self._columns, 2).astype(np.float32) * weight[..., None]
        cells = grid_points(self.prior.depth)[::2, ::2]
        pixels = (self.track.project(cells, index) / _STRIDE - 0.5).astype(np.float32)
        total, share = (
            cv2.remap(cv2.GaussianBlur(values, (0, 0), _SMOOTH_CELLS), pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
            for values in (flow, weight)
        )
        depth = (cells @ self.track.rotation[index].T + self.track.translation[index])[..., 2:]
        return (total / (share[..., None] + 1e-3) * depth / self.track.focal).astype(np.float32), share


def follow_surface(
    tracker: SurfaceTracker,
    frames: int,
    frame_of: Callable[[int], np.ndarray],
    head_of: Callable[[int], np.ndarray],
    on_frame: Callable[[int], None] = lambda _index: None,
) -> tuple[np.ndarray, np.ndarray]:
    """All frames followed: (N, *CELL_HW, 2) and (N, *CELL_HW) float16, as `SurfaceTracker.add` returns them."""
    moves, beliefs = np.zeros((frames, *CELL_HW, 2), np.float16), np.zeros((frames, *CELL_HW), np.float16)
    for index in range(frames):
        on_frame(index)
        moves[index], beliefs[index] = tracker.add(index, frame_of(index), head_of(index))
    return moves, beliefs


def surface_numbers(moves: np.ndarray, beliefs: np.ndarray, told: np.ndarray, trained: int) -> np.ndarray:
    """(N, SURFACE) float32: how the surface lies in every frame, in principal movements of the trained ones.

    Args:
        moves: (N, *CELL_HW, 2).
        beliefs: (N, *CELL_HW).
        told: CELL_HW bool: the part of the head that is told of.
        trained: how many frames are trained on.
    """
    weights = np.sqrt(beliefs[:trained].astype(np.float32).mean(0))[told][:, None]
    chosen = np.linspace(0, trained - 1, min(trained, _FIT_FRAMES)).astype(int)

    def rows(indices: np.ndarray) -> np.ndarray:
        return (moves[indices][:, told].astype(np.float32) * weights).reshape(len(indices), -1)

    fitted = rows(chosen)
    middle = fitted.mean(0)
    basis = np.linalg.svd(fitted - middle, full_matrices=False)[2][:SURFACE]
    numbers = np.zeros((len(moves), SURFACE), np.float32)
    for part in np.array_split(np.arange(len(moves)), -(-len(moves) // _FIT_FRAMES)):
        numbers[part, : len(basis)] = (rows(part) - middle) @ basis.T
    # in hundredths, so that deviations of a tenth of a pixel still count as such
    return numbers * 100


def moved_by(moves: np.ndarray, beliefs: np.ndarray, numbers: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(M, rows, columns, 3) float32: how the relief moves by one of each number, beyond what was known.

    Args:
        moves: (T, *CELL_HW, 2) of the trained frames.
        beliefs: (T, *CELL_HW).
        numbers: (T, M) of mouth, eyes and surface.
        turn: (3, 3) the base frame's world to camera.
    """
    rows = np.concatenate([numbers, np.ones((len(numbers), 1))], 1).astype(np.float64)
    held = _RIDGE * np.diag([1.0] * numbers.shape[1] + [0.0])
    solved = np.linalg.solve(rows.T @ rows + held, rows.T)[:-1].astype(np.float32)
    slopes = (solved @ moves.reshape(len(moves), -1).astype(np.float32)).reshape(-1, *CELL_HW, 2)
    seen = beliefs.astype(np.float32).mean(0)
    share = seen / (seen + _LEAST_SEEN)
    around = cv2.GaussianBlur(share, (0, 0), 0.5) + 0.05
    across, down = np.meshgrid(*(np.arange(side, dtype=np.float32) / 2 for side in GRID_HW[::-1]))
    found = np.zeros((len(slopes), *GRID_HW, 3), np.float32)
    for number, slope in enumerate(slopes):
        smooth = cv2.GaussianBlur(slope * share[..., None], (0, 0), 0.5) / around[..., None]
        whole = cv2.remap(smooth, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found[number] = whole @ turn[:2].astype(np.float32)
    return found


def _regions(track: HeadTrack, prior: HeadPrior) -> tuple[np.ndarray, np.ndarray]:
    """GRID_HW float32 of the part that moves as one, and CELL_HW bool of the part whose movements are told."""
    places = grid_points(prior.depth)
    hull = cv2.convexHull(np.stack(places_of(track.shape), 1).astype(np.int32))
    face = cv2.dilate(cv2.fillConvexPoly(np.zeros(GRID_HW, np.uint8), hull, 1), np.ones((5, 5), np.uint8)) > 0
    head = (prior.inside > 0.3) & (places[..., 1] > _NECK_BELOW) & ~(face & (places[..., 1] < CHEEKS_FROM))
    return (head & ~_within(places, EYES_BOX)).astype(np.float32), (head & ~_within(places, _LIDS_BOX))[::2, ::2]


def _within(places: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    x, y = places[..., 0], places[..., 1]
    return (x > box[0]) & (x < box[1]) & (y > box[2]) & (y < box[3])


def _seen(track: HeadTrack, world: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(P, 2) pixels of world points under a pose."""
    seen = world @ rotation.T + translation
    return np.asarray(seen[:, :2] / seen[:, 2:] * track.focal + track.centre)
