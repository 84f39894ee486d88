"""A frame taken apart, as AD-NeRF does it: what is head, neck, torso and background, and a picture of each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facegen.faces import Face, align
from facegen.faces.parse import classes
from facegen.faces.parse.parser import SIZE, FaceParser

BACKGROUND, HEAD, NECK, TORSO = range(4)
COLOURS = np.array([[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
"""What each layer is painted with in `parsing/*.png`: RGB."""
FAR_PX = 5
"""Pixels further than this from the person are background."""
_GROUPS = (
    (classes.BACKGROUND,),
    (*classes.FACE, classes.LEFT_EAR, classes.RIGHT_EAR, classes.HAIR, classes.HAT, classes.EARRING),
    (classes.NECK, classes.NECKLACE),
    (classes.CLOTH,),
)
_NECK_UP_SHARE = 0.1
_WIDER, _WIDER_ABOUT = 0.86, (128.0, 200.0)
"""The parser's crop is widened, most of all upwards, to hold all of the hair."""


def parse_frames(parser: FaceParser, images_rgb: Sequence[np.ndarray], faces: Sequence[Face]) -> list[np.ndarray]:
    """(H, W) uint8 layer of every pixel of each frame; below the parser's crop as at its border."""
    matrices = [_parse_matrix(face) for face in faces]
    crops = np.stack([align.warp(image, matrix, SIZE) for image, matrix in zip(images_rgb, matrices, strict=True)])
    shares = parser.shares(crops, *_GROUPS)
    found = []
    for image, matrix, share in zip(images_rgb, matrices, shares, strict=True):
        height, width = image.shape[:2]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        whole = cv2.warpAffine(
            share.transpose(1, 2, 0), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        layers = whole.argmax(2).astype(np.uint8)
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        places = align.apply(matrix, np.stack([x, y], -1).astype(np.float32))
        is_beside = (places[..., 0] < 2) | (places[..., 0] > SIZE - 3)
        layers[(places[..., 1] < 3) | (is_beside & (layers == HEAD))] = BACKGROUND
        found.append(_largest_head(layers))
    return found


def _parse_matrix(face: Face) -> np.ndarray:
    """(2, 3) from the frame to the parser's crop, widened."""
    matrix = align.parse_matrix(face, SIZE) * _WIDER
    matrix[:, 2] += np.array(_WIDER_ABOUT, np.float32) * (1 - _WIDER)
    return matrix


def _largest_head(layers: np.ndarray) -> np.ndarray:
    """The layers with head pixels apart from the head given to the background."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats((layers == HEAD).astype(np.uint8))
    if count > 2:
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        layers[(layers == HEAD) & (parts != largest)] = BACKGROUND
    return layers


def painted(layers: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of (H, W) layers."""
    return COLOURS[layers]


def unpainted(image_rgb: np.ndarray) -> np.ndarray:
    """(H, W) uint8 layers of a `parsing` picture."""
    gaps = np.abs(image_rgb[:, :, None].astype(np.int16) - COLOURS[None, None]).sum(3)
    return gaps.argmin(2).astype(np.uint8)


class BackgroundFinder:
    """What is behind somebody who moves: each pixel from the frame in which the person was furthest from it."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._distance = np.zeros(size_hw, np.float32)
        self._image = np.zeros((*size_hw, 3), np.uint8)

    def add(self, image_rgb: np.ndarray, layers: np.ndarray) -> None:
        """Looks at one more frame."""
        distance = cv2.distanceTransform((layers == BACKGROUND).astype(np.uint8), cv2.DIST_L2, 3)
        is_better = distance > self._distance
        self._distance[is_better] = distance[is_better]
        self._image[is_better] = image_rgb[is_better]

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB; what was never seen is filled from its neighbourhood, smoothly."""
        known = (self._distance > FAR_PX).astype(np.float32)
        if not known.any():
            return self._image
        total, weight = self._image.astype(np.float32) * known[..., None], known.copy()
        picture, missing = total.copy(), known == 0
        # wider and wider means, so that far pixels take the colour of a region and not of one pixel
        for sigma in (4.0, 12.0, 36.0, 108.0):
            blurred, share = cv2.GaussianBlur(total, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
            reached = missing & (share > 1e-3)
            picture[reached] = blurred[reached] / share[reached][:, None]
            missing &= ~reached
        picture[missing] = total.sum((0, 1)) / weight.sum()
        return np.clip(picture, 0, 255).astype(np.uint8)


def head_picture(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the head alone before the background."""
    return _over(image_rgb, layers == HEAD, background)


def whole_picture(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the person before the background; a little of what is round them stays as it is."""
    person = cv2.dilate((layers != BACKGROUND).astype(np.uint8), np.ones((11, 11), np.uint8))
    return _over(image_rgb, person > 0, background)


def torso_picture(image_rgb: np.ndarray, layers: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the person without the head."""
    body, alpha = body_layer(image_rgb, layers)
    return blend(body, alpha, background)


def body_layer(image_rgb: np.ndarray, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person without the head: (H, W, 3) uint8 RGB and (H, W) float32 alpha.

    The neck goes on upwards behind the head, a little darker.
    """
    is_body = (layers == NECK) | (layers == TORSO)
    head = cv2.dilate((layers == HEAD).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    mask = is_body & ~head
    image = image_rgb.astype(np.float32)
    height = round(_NECK_UP_SHARE * len(image))
    for x in np.flatnonzero(mask.any(0) & head.any(0)):
        top = int(mask[:, x].argmax())
        # the collar is not pulled up, only skin; and only where the head stood right above it
        if layers[top, x] == NECK and head[max(top - 8, 0) : top, x].any():
            first = max(top - height, 0)
            shade = 1 - 0.25 * np.linspace(1, 0, top - first)[:, None]
            image[first:top, x] = image[min(top + 2, len(image) - 1), x] * shade
            mask[first:top, x] = True
    return np.clip(image, 0, 255).astype(np.uint8), cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2)


def blend(image_rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a picture over another by (H, W) alpha."""
    share = alpha[..., None]
    return np.clip(image_rgb * share + background * (1 - share) + 0.5, 0, 255).astype(np.uint8)


def _over(image_rgb: np.ndarray, mask: np.ndarray, background: np.ndarray) -> np.ndarray:
    return blend(image_rgb, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.2), background)
