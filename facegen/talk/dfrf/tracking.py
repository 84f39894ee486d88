"""Exact head poses and surface movements, beyond the dense mesh, which is right to about a pixel.

Point tracks: points picked in one frame, projected onto the head's relief, are tracked to every other frame from where the
mesh's pose puts them (Lucas and Kanade); poses and the points' depths are solved for anew.

Surface: the base frame, projected onto the relief and warped into another frame by its pose, is compared with that frame by
dense optical flow. What a rigid motion explains of the flow corrects the pose; the rest is the surface's own movement
(a scalp that slides, brows, hair, errors of the relief).

This is tracking: it looks at held-out frames too, as the reference's does, but it never sees a field, and what it reports
of a frame leaves out mouth, cheeks and chin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from facegen.talk.dfrf.geometry import (
    CELL_HW,
    GRID_HW,
    HeadRelief,
    HeadTrack,
    grid_coordinates,
    grid_points,
    sample_grid,
    unproject_pixels,
)

_POINTS, _POINT_DISTANCE_PX = 500, 5
_WINDOW_PX = 17
_OUTLIER_PX = 1.5
_MIN_POINTS = 30
_LARGEST_DEPTH_STEP = 0.5
_DEPTH_DAMPING = 0.05

_EYES_BOX = (-0.75, 0.75, 0.12, 0.62)
"""x and y range, world units, of brows and eyes, which move by themselves."""
_LIDS_BOX = (-0.62, 0.62, 0.14, 0.42)
"""x and y range, world units, of lids and eyeballs, which flow does not follow."""
_CHEEKS_TOP, _NECK_TOP = -0.15, -1.0
"""Heights, world units, below which speech moves the face, and below which the neck begins."""

_STRIDE = 4
_MIN_TEXTURE = 400.0
"""Squared gradient in grey levels below which flow is not trusted."""
_MAX_RESIDUAL = 100.0
"""Squared grey levels of difference after the warp above which flow is not trusted."""
_TORN_PX = 6.0
_ROBUST_PX = 0.5
_POSE_STEPS = 8
_SMOOTH_CELLS = 2.0
_POSE_DELTAS = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-2])
"""Radians (3) and world units (3) of the numerical derivatives."""


def refine_poses(
    track: HeadTrack,
    relief: HeadRelief,
    base: int,
    head: np.ndarray,
    read_frame: Callable[[int], np.ndarray],
    on_frame: Callable[[int], None] = lambda _index: None,
) -> tuple[HeadTrack, np.ndarray]:
    """Solves for the poses from point tracks.

    Args:
        track: from the mesh.
        relief: of the head.
        base: index of the frame in which points are picked.
        head: (H, W) bool mask of the head in it.
        read_frame: (H, W, 3) uint8 RGB of a frame.
        on_frame: called with the index of each frame.

    Returns:
        The new track, or the same where the head shows too few points; and the points, (N, 3) in the world.
    """
    grey = cv2.cvtColor(read_frame(base), cv2.COLOR_RGB2GRAY)
    pixels, world = _pick_points(track, relief, base, head, grey)
    if len(pixels) < _MIN_POINTS:
        return track, world
    tracks = np.full((len(track.rotation), len(pixels), 2), np.nan, np.float32)
    for index in range(len(tracks)):
        on_frame(index)
        tracks[index] = _track_points(grey, read_frame(index), pixels, track.project(world, index))
    # depths first, by the mesh's poses, which are noisy but right on average: poses would bend to wrong depths
    inliers = ~np.isnan(tracks[..., 0])
    refined = track
    for solves in (False, False, True, True, True):
        if solves:
            refined, inliers = _solve_poses(refined, world, tracks)
        world = _solve_depths(refined, world, tracks, inliers, base)
    return refined, world


def _pick_points(
    track: HeadTrack, relief: HeadRelief, base: int, head: np.ndarray, grey: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) pixels of corners in the base frame and their (N, 3) world points; none on cheeks, mouth and eyes."""
    mask = cv2.erode(head.astype(np.uint8), np.ones((5, 5), np.uint8)) * 255
    corners = cv2.goodFeaturesToTrack(grey, _POINTS, 0.003, _POINT_DISTANCE_PX, mask=mask)
    if corners is None:
        return np.zeros((0, 2)), np.zeros((0, 3))
    pixels = corners[:, 0].astype(np.float64) + 0.5
    world = unproject_pixels(track, relief, base, pixels)
    keeps = ~_is_inside(world, _EYES_BOX) & (world[:, 1] > _CHEEKS_TOP)
    return pixels[keeps], world[keeps]


def _track_points(grey: np.ndarray, frame: np.ndarray, pixels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(N, 2) float32 pixels of points in another frame; NaN where they are lost."""
    other = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    start = (pixels - 0.5).astype(np.float32)[:, None]
    end = (guess - 0.5).astype(np.float32)[:, None].copy()
    there, is_found = _lucas_kanade(grey, other, start, end)
    back, is_found_back = _lucas_kanade(other, grey, there, start.copy())
    is_sure = (is_found[:, 0] > 0) & (is_found_back[:, 0] > 0) & (np.linalg.norm(back - start, axis=2)[:, 0] < 0.7)
    return np.where(is_sure[:, None], there[:, 0] + 0.5, np.nan).astype(np.float32)


def _lucas_kanade(
    first: np.ndarray, second: np.ndarray, start: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    points, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        start,
        guess,
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=0,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(points), np.asarray(status)


def _solve_poses(track: HeadTrack, world: np.ndarray, tracks: np.ndarray) -> tuple[HeadTrack, np.ndarray]:
    """The track with each frame's pose solved by PnP, and which points are inliers, (frames, N) bool."""
    intrinsics = np.array([[track.focal, 0, track.centre[0]], [0, track.focal, track.centre[1]], [0, 0, 1.0]])
    rotation, translation, error = track.rotation.copy(), track.translation.copy(), track.error_px.copy()
    inliers = np.zeros(tracks.shape[:2], bool)
    for index, pixels in enumerate(tracks):
        is_tracked = ~np.isnan(pixels[:, 0])
        distances = np.linalg.norm(track.project(world, index) - pixels, axis=1)
        # an error of the mesh's pose shifts all points together: what counts is the distance to the others
        median = np.nanmedian(distances) if is_tracked.any() else 0.0
        fits = is_tracked & (distances < max(median, 0.5) + _OUTLIER_PX)
        if fits.sum() < _MIN_POINTS:
            continue
        turn, shift = cv2.Rodrigues(rotation[index])[0], translation[index][:, None].copy()
        for _ in range(2):
            _, turn, shift = cv2.solvePnP(
                world[fits], pixels[fits].astype(np.float64), intrinsics, None, turn, shift, True
            )
            projected = cv2.projectPoints(world, turn, shift, intrinsics, None)[0][:, 0]
            distances = np.linalg.norm(projected - pixels, axis=1)
            closer = is_tracked & (distances < _OUTLIER_PX)
            if closer.sum() < _MIN_POINTS:
                break
            fits = closer
        rotation[index], translation[index] = cv2.Rodrigues(turn)[0], shift[:, 0]
        inliers[index], error[index] = fits, float(np.sqrt(np.square(distances[fits]).mean()))
    return replace(track, rotation=rotation, translation=translation, error_px=error), inliers


def _solve_depths(
    track: HeadTrack, world: np.ndarray, tracks: np.ndarray, inliers: np.ndarray, base: int
) -> np.ndarray:
    """The points, moved along the base frame's rays to the least squared reprojection error in all frames."""
    origin = -track.rotation[base].T @ track.translation[base]
    rays = world - origin
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    numerator, denominator = np.zeros(len(world)), np.full(len(world), 1e-6)
    step = 0.01
    for index in np.flatnonzero(inliers.any(1)).tolist():
        projected = track.project(world, index)
        slope = (track.project(world + step * rays, index) - projected) / step
        fits = inliers[index]
        numerator[fits] += (slope * (tracks[index] - projected))[fits].sum(1)
        denominator[fits] += np.square(slope)[fits].sum(1)
    # the damping keeps points that were seen from one side only on the relief
    move = numerator / (denominator + _DEPTH_DAMPING * np.median(denominator))
    return world + np.clip(move, -_LARGEST_DEPTH_STEP, _LARGEST_DEPTH_STEP)[:, None] * rays


class SurfaceTracker:
    """Corrects poses and measures the surface's movement against the base frame by dense optical flow.

    Attributes:
        track: the poses, corrected for the frames that were measured.
        upper_mask: CELL_HW bool, the cells above the cheeks, without lids.
    """

    def __init__(
        self,
        track: HeadTrack,
        relief: HeadRelief,
        base: int,
        image_rgb: np.ndarray,
        coefficients: np.ndarray,
        basis: np.ndarray,
    ) -> None:
        """Prepares the base frame.

        Args:
            track: poses, right to about a pixel.
            relief: of the head.
            base: index of the base frame.
            image_rgb: (H, W, 3) uint8 RGB, that frame.
            coefficients: (N, M) of mouth and eyes in every frame.
            basis: (M, rows, columns, 3) how the relief moves with them.
        """
        self.track, self.relief, self._base, self._image = track, relief, base, image_rgb
        self._coefficients, self._basis = coefficients, basis
        self._size_hw = image_rgb.shape[:2]
        self._rows, self._columns = (side // _STRIDE for side in self._size_hw)
        middles = [(np.arange(count) + 0.5) * _STRIDE for count in (self._columns, self._rows)]
        self._pixels = np.stack(np.meshgrid(*middles), -1).reshape(-1, 2)
        self._grid = np.mgrid[: self._size_hw[0], : self._size_hw[1]].astype(np.float32)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._rigid_mask, self.upper_mask = _build_masks(track, relief)

    def measure(self, index: int, image_rgb: np.ndarray, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Corrects the pose of a frame, and measures its surface.

        Args:
            index: of the frame.
            image_rgb: (H, W, 3) uint8 RGB.
            head: (H, W) bool mask of the head.

        Returns:
            CELL_HW + (2,) float32 movement to the picture's right and down, world units, from where the corrected pose
            and the basis put the surface; and its confidence, CELL_HW float32 0..1.
        """
        world = unproject_pixels(self.track, self.relief, index, self._pixels)
        flow, confidence = self._measure_flow(index, image_rgb, head, world)
        residual = self._correct_pose(index, world, flow, confidence)
        return self._resample(index, residual, confidence)

    def _measure_flow(
        self, index: int, image_rgb: np.ndarray, head: np.ndarray, world: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) pixels from the predicted to the real position of world points (P, 3), and (P,) confidence."""
        displacement = np.tensordot(self._coefficients[self._base] - self._coefficients[index], self._basis, 1)
        in_base = self.track.project(world + sample_grid(displacement.astype(np.float32), world), self._base)
        coarse = in_base.reshape(self._rows, self._columns, 2).astype(np.float32)
        lookup = cv2.resize(coarse, self._size_hw[::-1]) - 0.5
        predicted = cv2.remap(
            self._image, lookup[..., 0], lookup[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        real, drawn = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (image_rgb, predicted))
        flow = self._flow.calc(real, drawn, None)  # type: ignore[call-overload]
        warped = cv2.remap(drawn, self._grid[1] + flow[..., 0], self._grid[0] + flow[..., 1], cv2.INTER_LINEAR)
        residual = cv2.GaussianBlur(np.square(real.astype(np.float32) - warped), (0, 0), 2)
        texture = np.square(cv2.Sobel(real, cv2.CV_32F, 1, 0)) + np.square(cv2.Sobel(real, cv2.CV_32F, 0, 1))
        texture = cv2.GaussianBlur(texture, (0, 0), 2)
        inside = cv2.erode(head.astype(np.uint8), np.ones((7, 7), np.uint8))
        confidence = inside * texture / (texture + _MIN_TEXTURE) / (1 + residual / _MAX_RESIDUAL)
        small = (self._columns, self._rows)
        mean_confidence = cv2.resize(confidence, small, interpolation=cv2.INTER_AREA)
        weighted = cv2.resize(flow * confidence[..., None], small, interpolation=cv2.INTER_AREA)
        mean_flow = weighted / (mean_confidence[..., None] + 1e-6)
        return -mean_flow.reshape(-1, 2).astype(np.float64), mean_confidence.reshape(-1)

    def _correct_pose(self, index: int, world: np.ndarray, flow: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Corrects the pose by the flow of the rigid part of the head (robust Gauss-Newton); the rest, (P, 2) pixels."""
        projected = self.track.project(world, index)
        poses = [self._perturb_pose(index, delta) for delta in np.diag(_POSE_DELTAS)]
        perturbed = [self.track.project_with_pose(world, *pose) for pose in poses]
        jacobian = np.stack([pixels - projected for pixels in perturbed], -1) / _POSE_DELTAS
        trust = sample_grid(self._rigid_mask, world) * confidence
        weight, step = trust, np.zeros(len(_POSE_DELTAS))
        if trust.sum() > 1:
            for _ in range(_POSE_STEPS):
                square = np.einsum("pci,pcj,p->ij", jacobian, jacobian, weight)
                target = np.einsum("pci,pc,p->i", jacobian, flow, weight)
                step = np.linalg.solve(square + 1e-6 * np.diag(np.diag(square)), target)
                weight = trust / (1 + np.square(flow - jacobian @ step).sum(1) / _ROBUST_PX**2)
        rotation, translation = self.track.rotation.copy(), self.track.translation.copy()
        rotation[index], translation[index] = self._perturb_pose(index, step)
        self.track = replace(self.track, rotation=rotation, translation=translation)
        return np.asarray(flow - jacobian @ step)

    def _perturb_pose(self, index: int, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A frame's rotation and translation after a small rotation vector (3) and shift (3)."""
        turn = cv2.Rodrigues(delta[:3])[0]
        return turn @ self.track.rotation[index], self.track.translation[index] + delta[3:]

    def _resample(self, index: int, flow: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From pixels of the frame to cells of the relief, and to world units."""
        is_whole = np.hypot(flow[:, 0], flow[:, 1]) < _TORN_PX
        weight = (confidence * is_whole).reshape(self._rows, self._columns).astype(np.float32)
        weighted = flow.reshape(self._rows, self._columns, 2).astype(np.float32) * weight[..., None]
        cells = grid_points(self.relief.depth)[::2, ::2]
        pixels = (self.track.project(cells, index) / _STRIDE - 0.5).astype(np.float32)
        total, share = (
            cv2.remap(cv2.GaussianBlur(values, (0, 0), _SMOOTH_CELLS), pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR)
            for values in (weighted, weight)
        )
        depth = (cells @ self.track.rotation[index].T + self.track.translation[index])[..., 2:]
        return (total / (share[..., None] + 1e-3) * depth / self.track.focal).astype(np.float32), share


def _build_masks(track: HeadTrack, relief: HeadRelief) -> tuple[np.ndarray, np.ndarray]:
    """GRID_HW float32 of the part that moves rigidly, and CELL_HW bool of the part above the cheeks, without lids."""
    points = grid_points(relief.depth)
    hull = cv2.convexHull(np.stack(grid_coordinates(track.shape), 1).astype(np.int32))
    face = cv2.dilate(cv2.fillConvexPoly(np.zeros(GRID_HW, np.uint8), hull, 1), np.ones((5, 5), np.uint8)) > 0
    head = (relief.inside > 0.3) & (points[..., 1] > _NECK_TOP) & ~(face & (points[..., 1] < _CHEEKS_TOP))
    upper = head & ~_is_inside(points, _LIDS_BOX)
    assert upper[::2, ::2].shape == CELL_HW
    return (head & ~_is_inside(points, _EYES_BOX)).astype(np.float32), upper[::2, ::2]


def _is_inside(points: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """(...) bool: whether (..., 3) world points lie in a range of x and y."""
    x, y = points[..., 0], points[..., 1]
    return (x > box[0]) & (x < box[1]) & (y > box[2]) & (y < box[3])
