"""Post-processing of a patch, for every engine: expression, restorer, chain of enhancers, tint."""

from __future__ import annotations

import dataclasses

import numpy as np

from facegen import media
from facegen.media import Patch
from facegen.restore.enhancers import RESTORER_NAME, load_enhancer, parse_chain
from facegen.swap.options import SwapOptions

AROUND = 1.2
"""How much of a frame around a face an enhancer sees, in distances from the eyes' middle to the mouth's on each side of it."""


def finish_patch(patch: Patch, image_rgb: np.ndarray, points5: np.ndarray, options: SwapOptions) -> Patch:
    """A patch as it is laid into its frame.

    The enhancers see the new face within the frame, and what they change is added to the patch: what lies in front of the
    face stays as it is.

    Args:
        patch: from `Engine.composite`.
        image_rgb: (H, W, 3) uint8 the frame.
        points5: (5, 2) `Face.points5` of the face in it.
        options: of the swap.

    Raises:
        WeightsError: an enhancer's file is not on this machine.
    """
    restorer = ((RESTORER_NAME, options.restore),) if options.restore else ()
    chain = (*restorer, *parse_chain(options.enhance))
    if chain or options.expression:
        patch = _enhance(patch, image_rgb, points5, chain, options.expression)
    return media.tint_patch(patch, image_rgb)


def _enhance(
    patch: Patch, image_rgb: np.ndarray, points5: np.ndarray, chain: tuple[tuple[str, float], ...], expression: float
) -> Patch:
    from facegen.facesets.enhance import enhance_face

    height, width = patch.alpha.shape
    reach = 2 * AROUND * float(np.linalg.norm(points5[3:].mean(0) - points5[:2].mean(0)))
    low = np.minimum(points5.min(0) - reach, (patch.x, patch.y))
    high = np.maximum(points5.max(0) + reach, (patch.x + width, patch.y + height))
    x0, y0 = np.maximum(np.floor(low), 0).astype(int).tolist()
    x1, y1 = np.minimum(np.ceil(high), image_rgb.shape[1::-1]).astype(int).tolist()
    placed = dataclasses.replace(patch, x=patch.x - x0, y=patch.y - y0)
    before = media.paste_picture(image_rgb[y0:y1, x0:x1], [placed])
    after, points = before, points5 - np.array([x0, y0], np.float32)
    if expression:
        from facegen.reenact.crop import restore_expression

        after = restore_expression(after, image_rgb[y0:y1, x0:x1], points, expression)
    for name, strength in chain:
        step = enhance_face if name == RESTORER_NAME else load_enhancer(name).enhance
        after = step(after, points, strength)
    # the patch may hang over the frame's border, where there is nothing to change
    change = np.zeros((height, width, 3), np.float32)
    top, left = max(placed.y, 0), max(placed.x, 0)
    bottom, right = min(placed.y + height, y1 - y0), min(placed.x + width, x1 - x0)
    inside = np.s_[top:bottom, left:right]
    change[top - placed.y : bottom - placed.y, left - placed.x : right - placed.x] = np.subtract(
        after[inside], before[inside], dtype=np.float32
    )
    enhanced = np.clip(patch.image_rgb + change, 0, 255)
    return dataclasses.replace(patch, image_rgb=enhanced.astype(patch.image_rgb.dtype))
