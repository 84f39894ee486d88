"""Poses made exact by points of the head that are followed through the video: hair, ears, forehead, nose.

The dense mesh is right to about a pixel, and a pixel is what separates hair from a smear. Points are picked in one frame,
laid on the head's relief, followed to every other frame from where the mesh's pose puts them (Lucas and Kanade), and the
poses are solved for anew; the points' depths with them, for the relief is only rough.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from facegen.talk.dfrf.camera import HeadTrack
from facegen.talk.dfrf.head_prior import HeadPrior, surface_points

_POINTS, _APART_PX = 500, 5
_WINDOW_PX = 17
_OUTLIER_PX = 1.5
_FEWEST = 30
_DEEPEST = 0.5
_DEPTH_HELD = 0.05
EYES_BOX = (-0.75, 0.75, 0.12, 0.62)
"""x and y range, world units, of brows and eyes, which move by themselves."""
CHEEKS_FROM = -0.15
"""Below this height speech moves the face."""


def refine_track(
    track: HeadTrack,
    prior: HeadPrior,
    base: int,
    head: np.ndarray,
    frame_of: Callable[[int], np.ndarray],
    on_frame: Callable[[int], None] = lambda _index: None,
) -> tuple[HeadTrack, np.ndarray]:
    """The track with exact poses.

    Args:
        track: from the mesh.
        prior: the head's relief.
        base: frame in which points are picked.
        head: (H, W) bool mask of the head in it.
        frame_of: (H, W, 3) uint8 RGB of a frame.
        on_frame: told of each frame that is worked on.

    Returns:
        Another track, the same where the head shows too few points to follow; and the points' places in the world.
    """
    first = cv2.cvtColor(frame_of(base), cv2.COLOR_RGB2GRAY)
    pixels, world = _picked(track, prior, base, head, first)
    if len(pixels) < _FEWEST:
        return track, world
    followed = np.full((len(track.rotation), len(pixels), 2), np.nan, np.float32)
    for index in range(len(followed)):
        on_frame(index)
        followed[index] = _followed(first, frame_of(index), pixels, track.project(world, index))
    # depths first, by the mesh's poses, which are noisy but right on average: poses would bend to wrong depths
    fits = ~np.isnan(followed[..., 0])
    refined = track
    for solves in (False, False, True, True, True):
        if solves:
            refined, fits = _solved(refined, world, followed)
        world = _deeper(refined, world, followed, fits, base)
    return refined, world


def _picked(
    track: HeadTrack, prior: HeadPrior, base: int, head: np.ndarray, grey: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) pixels of points in the base frame and where they lie in the world."""
    mask = cv2.erode(head.astype(np.uint8), np.ones((5, 5), np.uint8)) * 255
    found = cv2.goodFeaturesToTrack(grey, _POINTS, 0.003, _APART_PX, mask=mask)
    if found is None:
        return np.zeros((0, 2)), np.zeros((0, 3))
    pixels = found[:, 0].astype(np.float64) + 0.5
    world = surface_points(track, prior, base, pixels)
    x, y = world[:, 0], world[:, 1]
    in_eyes = (x > EYES_BOX[0]) & (x < EYES_BOX[1]) & (y > EYES_BOX[2]) & (y < EYES_BOX[3])
    keeps = ~in_eyes & (y > CHEEKS_FROM)
    return pixels[keeps], world[keeps]


def _followed(first: np.ndarray, frame: np.ndarray, pixels: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """(N, 2) float32 pixels where points are in another frame; NaN where they are lost."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    start = (pixels - 0.5).astype(np.float32)[:, None]
    end = (guess - 0.5).astype(np.float32)[:, None].copy()
    there, found = _tracked(first, grey, start, end)
    back, found_back = _tracked(grey, first, there, start.copy())
    is_sure = (found[:, 0] > 0) & (found_back[:, 0] > 0) & (np.linalg.norm(back - start, axis=2)[:, 0] < 0.7)
    return np.where(is_sure[:, None], there[:, 0] + 0.5, np.nan).astype(np.float32)


def _tracked(
    first: np.ndarray, second: np.ndarray, start: np.ndarray, guess: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        start,
        guess,
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=0,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there), np.asarray(found)


def _solved(track: HeadTrack, world: np.ndarray, followed: np.ndarray) -> tuple[HeadTrack, np.ndarray]:
    """The track with each frame's pose solved from its points, and which points fitted, (frames, N) bool."""
    intrinsics = np.array([[track.focal, 0, track.centre[0]], [0, track.focal, track.centre[1]], [0, 0, 1.0]])
    rotation, translation, error = track.rotation.copy(), track.translation.copy(), track.error_px.copy()
    inliers = np.zeros(followed.shape[:2], bool)
    for index, pixels in enumerate(followed):
        known = ~np.isnan(pixels[:, 0])
        gaps = np.linalg.norm(track.project(world, index) - pixels, axis=1)
        # where the mesh's pose is off, all points are off together: what counts is the gap to the others
        middle = np.nanmedian(gaps) if known.any() else 0.0
        fits = known & (gaps < max(middle, 0.5) + _OUTLIER_PX)
        if fits.sum() < _FEWEST:
            continue
        turn, shift = cv2.Rodrigues(rotation[index])[0], translation[index][:, None].copy()
        for _ in range(2):
            _, turn, shift = cv2.solvePnP(
                world[fits], pixels[fits].astype(np.float64), intrinsics, None, turn, shift, True
            )
            seen = cv2.projectPoints(world, turn, shift, intrinsics, None)[0][:, 0]
            gaps = np.linalg.norm(seen - pixels, axis=1)
            closer = known & (gaps < _OUTLIER_PX)
            if closer.sum() < _FEWEST:
                break
            fits = closer
        rotation[index], translation[index] = cv2.Rodrigues(turn)[0], shift[:, 0]
        inliers[index], error[index] = fits, float(np.sqrt(np.square(gaps[fits]).mean()))
    return replace(track, rotation=rotation, translation=translation, error_px=error), inliers


def _deeper(track: HeadTrack, world: np.ndarray, followed: np.ndarray, inliers: np.ndarray, base: int) -> np.ndarray:
    """The points moved along the base frame's lines of sight to where they fit all frames best."""
    eye = -track.rotation[base].T @ track.translation[base]
    sight = world - eye
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    above, below = np.zeros(len(world)), np.full(len(world), 1e-6)
    step = 0.01
    for index in np.flatnonzero(inliers.any(1)).tolist():
        seen = track.project(world, index)
        slope = (track.project(world + step * sight, index) - seen) / step
        fits = inliers[index]
        above[fits] += (slope * (followed[index] - seen))[fits].sum(1)
        below[fits] += np.square(slope)[fits].sum(1)
    # points seen from one side only have no depth of their own: the relief's holds them
    move = above / (below + _DEPTH_HELD * np.median(below))
    return world + np.clip(move, -_DEEPEST, _DEEPEST)[:, None] * sight
