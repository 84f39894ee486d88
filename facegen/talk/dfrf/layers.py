"""The layers of a frame, as in AD-NeRF: head, neck, torso and background, a picture of each, and the torso's motion.

A rendered frame is composed of the background, the body of one frame, shifted as the head's pose asks for, and the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facegen.faces import Face, align, parse
from facegen.faces.parse.parser import SIZE, FaceParser
from facegen.talk.dfrf.geometry import HeadTrack

BACKGROUND, HEAD, NECK, TORSO = range(4)
COLOURS = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
"""RGB of each layer in `parsing/*.png`."""

_GROUPS = (
    (parse.BACKGROUND,),
    (*parse.FACE, parse.LEFT_EAR, parse.RIGHT_EAR, parse.HAIR, parse.HAT, parse.EARRING),
    (parse.NECK, parse.NECKLACE),
    (parse.CLOTH,),
)
_CROP_SCALE, _CROP_CENTRE = 0.86, (128.0, 200.0)
"""The parser's crop is widened, most of all upwards, to hold all of the hair."""
_CLEAR_PX = 5
"""Pixels further than this from the person are background."""
_NECK_RATIO = 0.1
"""How far the neck is continued behind the head, as a share of the picture's height."""
_SEARCH_PX = 20
_RIDGE = 3.0
_MIN_CORRELATION = 0.6
_MIN_FRAMES = 20


def segment_frames(parser: FaceParser, images_rgb: Sequence[np.ndarray], faces: Sequence[Face]) -> list[np.ndarray]:
    """(H, W) uint8 layers of each frame; below the parser's crop as at its border."""
    matrices = [_crop_matrix(face) for face in faces]
    crops = np.stack([align.warp(image, matrix, SIZE) for image, matrix in zip(images_rgb, matrices, strict=True)])
    probabilities = parser.group_probabilities(crops, *_GROUPS)
    frames = []
    for image, matrix, probability in zip(images_rgb, matrices, probabilities, strict=True):
        height, width = image.shape[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        whole = cv2.warpAffine(
            probability.transpose(1, 2, 0), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        layers = whole.argmax(2).astype(np.uint8)
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        in_crop = align.apply(matrix, np.stack([x, y], -1).astype(np.float32))
        is_beside = (in_crop[..., 0] < 2) | (in_crop[..., 0] > SIZE - 3)
        layers[(in_crop[..., 1] < 3) | (is_beside & (layers == HEAD))] = BACKGROUND
        frames.append(_keep_largest_head(layers))
    return frames


def _crop_matrix(face: Face) -> np.ndarray:
    """(2, 3) from the frame to the parser's crop, widened."""
    matrix = align.parse_matrix(face, SIZE) * _CROP_SCALE
    matrix[:, 2] += np.array(_CROP_CENTRE, np.float32) * (1 - _CROP_SCALE)
    return matrix


def _keep_largest_head(layers: np.ndarray) -> np.ndarray:
    """The layers, in place, with all head pixels outside the largest component made background."""
    count, components, stats, _ = cv2.connectedComponentsWithStats((layers == HEAD).astype(np.uint8))
    if count > 2:
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        layers[(layers == HEAD) & (components != largest)] = BACKGROUND
    return layers


def encode_layers(layers: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB, the `parsing` picture of (H, W) layers."""
    return COLOURS[layers]


def decode_layers(image_rgb: np.ndarray) -> np.ndarray:
    """(H, W) uint8 layers of a `parsing` picture."""
    distances = np.abs(image_rgb[:, :, None].astype(np.int16) - COLOURS[None, None]).sum(3)
    return distances.argmin(2).astype(np.uint8)


class BackgroundEstimator:
    """The still background: each pixel from the frame in which the person was furthest from it."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._distance = np.zeros(size_hw, np.float32)
        self._image = np.zeros((*size_hw, 3), np.uint8)

    def add(self, image_rgb: np.ndarray, layers: np.ndarray) -> None:
        """Takes another frame into account."""
        distance = cv2.distanceTransform((layers == BACKGROUND).astype(np.uint8), cv2.DIST_L2, 3)
        is_better = distance > self._distance
        self._distance[is_better] = distance[is_better]
        self._image[is_better] = image_rgb[is_better]

    def estimate(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; what was always covered is filled in smoothly from around it."""
        clear = (self._distance > _CLEAR_PX).astype(np.float32)
        if not clear.any():
            return self._image
        total, weight = self._image.astype(np.float32) * clear[..., None], clear.copy()
        image, missing = total.copy(), clear == 0
        # wider and wider means, so that far pixels take the colour of a region and not of one pixel
        for sigma in (4.0, 12.0, 36.0, 108.0):
            blurred, coverage = cv2.GaussianBlur(total, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
            reached = missing & (coverage > 1e-3)
            image[reached] = blurred[reached] / coverage[reached][:, None]
            missing &= ~reached
        image[missing] = total.sum((0, 1)) / weight.sum()
        return np.clip(image, 0, 255).astype(np.uint8)


def compose_head(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of `head_imgs`: the head alone over the background."""
    return _composite_mask(image_rgb, layers == HEAD, background)


def compose_person(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of `com_imgs`: the person, with a margin of a few pixels, over the background."""
    person = cv2.dilate((layers != BACKGROUND).astype(np.uint8), np.ones((11, 11), np.uint8))
    return _composite_mask(image_rgb, person > 0, background)


def compose_torso(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of `torso_imgs`: the person without the head over the background."""
    body, alpha = extract_body(image_rgb, layers)
    return composite(body, alpha, background)


def extract_body(image_rgb: np.ndarray, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person without the head: (H, W, 3) uint8 RGB and (H, W) float32 alpha.

    The neck is continued upwards behind the head, a little darker.
    """
    is_body = (layers == NECK) | (layers == TORSO)
    head = cv2.dilate((layers == HEAD).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    mask = is_body & ~head
    image = image_rgb.astype(np.float32)
    height = round(_NECK_RATIO * len(image))
    for x in np.flatnonzero(mask.any(0) & head.any(0)):
        top = int(mask[:, x].argmax())
        # only skin is continued, not the collar; and only where the head stood right above it
        if layers[top, x] == NECK and head[max(top - 8, 0) : top, x].any():
            first = max(top - height, 0)
            shade = 1 - 0.25 * np.linspace(1, 0, top - first)[:, None]
            image[first:top, x] = image[min(top + 2, len(image) - 1), x] * shade
            mask[first:top, x] = True
    return np.clip(image, 0, 255).astype(np.uint8), cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)


def composite(image_rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a picture over another by (H, W) alpha."""
    weight = alpha[..., None]
    return np.clip(image_rgb * weight + background * (1 - weight) + 0.5, 0, 255).astype(np.uint8)


def _composite_mask(image_rgb: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    return composite(image_rgb, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2), background)


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """The body's shift against the base frame as a linear function of the head's pose."""

    base: int
    """Index of the frame that the picture of the body is taken from."""
    weights: np.ndarray
    """(7, 2) pixels by `_pose_features`."""

    def shift(self, track: HeadTrack, index: int) -> np.ndarray:
        """(2,) pixels by which the body moves in a frame."""
        return np.asarray(_pose_features(track, index, self.base) @ self.weights)


class BodyTracker:
    """Measures the body's shift by template matching, and fits `BodyMotion` to it.

    Args:
        track: poses.
        base: index of the base frame.
        image_rgb: (H, W, 3) uint8 RGB, that frame.
        layers: (H, W) of it.
    """

    def __init__(self, track: HeadTrack, base: int, image_rgb: np.ndarray, layers: np.ndarray) -> None:
        self._track, self._base = track, base
        self._template: np.ndarray | None = None
        self._features: list[np.ndarray] = []
        self._shifts: list[np.ndarray] = []
        torso = (layers == TORSO).astype(np.uint8)
        rows, columns = np.flatnonzero(torso.any(1)), np.flatnonzero(torso.any(0))
        if len(rows) >= 4 * _SEARCH_PX and len(columns) >= 4 * _SEARCH_PX:
            self._top, bottom = int(rows[0]) + _SEARCH_PX, rows[-1] + 1 - _SEARCH_PX
            self._left, right = int(columns[0]) + _SEARCH_PX, columns[-1] + 1 - _SEARCH_PX
            grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
            self._template = grey[self._top : bottom, self._left : right]

    def add(self, index: int, image_rgb: np.ndarray) -> None:
        """Measures another frame."""
        if self._template is None:
            return
        (left, top), (height, width) = (self._left, self._top), self._template.shape
        grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        area = grey[top - _SEARCH_PX : top + height + _SEARCH_PX, left - _SEARCH_PX : left + width + _SEARCH_PX]
        match = cv2.matchTemplate(area, self._template, cv2.TM_CCOEFF_NORMED)
        _, correlation, _, (x, y) = cv2.minMaxLoc(match)
        if correlation < _MIN_CORRELATION:
            return
        self._features.append(_pose_features(self._track, index, self._base))
        self._shifts.append(np.array([x - (match.shape[1] - 1) / 2, y - (match.shape[0] - 1) / 2]))

    def fit(self) -> BodyMotion:
        """Ridge regression of the shifts on the pose; no motion from too few frames."""
        if len(self._features) < _MIN_FRAMES:
            return BodyMotion(self._base, np.zeros((7, 2)))
        features, shifts = np.stack(self._features), np.stack(self._shifts)
        weights = np.linalg.solve(features.T @ features + _RIDGE * np.eye(7), features.T @ shifts)
        return BodyMotion(self._base, weights)


def choose_base_frame(track: HeadTrack, count: int) -> int:
    """The frame of the first `count` whose pose is nearest to the median pose."""
    poses = np.concatenate([track.rotation[:count].reshape(count, 9) * 50, track.translation[:count] * 10], 1)
    return int(np.square(poses - np.median(poses, 0)).sum(1).argmin())


def compose_background(
    body_rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the background with the shifted body, everything but the head."""
    height, width = background.shape[:2]
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    shifted = [
        cv2.warpAffine(layer, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for layer in (body_rgb, alpha)
    ]
    return composite(shifted[0], shifted[1], background)


def _pose_features(track: HeadTrack, index: int, base: int) -> np.ndarray:
    """(7,) rotation and translation against the base frame, scaled to similar ranges, and a 1."""
    turn = cv2.Rodrigues(track.rotation[index] @ track.rotation[base].T)[0][:, 0] * 50
    shift = (track.translation[index] - track.translation[base]) * np.array([track.focal, track.focal, 20.0])
    return np.array([*turn, *(shift / np.array([track.translation[base, 2]] * 2 + [1.0])), 1.0])
