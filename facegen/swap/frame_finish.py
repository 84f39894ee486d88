"""Post-processing of a whole frame: the models of `SwapOptions.frame_chain`, and the new background."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.media import Frame, Patch, Still, VideoInfo
from facegen.media.color import BT709
from facegen.restore.frame_chain import is_matted, parse_colour, parse_frame_chain, run_chain, scale_of
from facegen.swap.options import SwapOptions

MOST_SIDE = 8192
"""Longest side of a result, pixels."""


def finish_info(info: VideoInfo, options: SwapOptions) -> VideoInfo:
    """The video that frames of another become by `finish_frame`: its size, depth and transparency.

    Raises:
        InputError: it would be larger than `MOST_SIDE`.
    """
    chain = parse_frame_chain(options.frame_chain)
    if is_matted(chain) and options.transparency:
        info = dataclasses.replace(info, has_alpha=True)
    if (scale := scale_of(chain)) == 1:
        return info
    height, width = (side * scale for side in info.size_hw)
    check_side(max(height, width), scale)
    notices = info.notices
    if info.bit_depth > 8 or info.color.hdr:
        notices = (*notices, "Upscaled frames have 8 bits a colour and ordinary light.")
    return dataclasses.replace(
        info,
        width=width,
        height=height,
        pixel_aspect=Fraction(1),
        bit_depth=8,
        color=BT709 if info.color.hdr else info.color,
        light=None,
        notices=notices,
    )


def check_side(side: int, scale: int) -> None:
    """Refuses an enlargement beyond `MOST_SIDE`.

    Raises:
        InputError: it is beyond.
    """
    if side > MOST_SIDE:
        raise InputError(
            f"Expected a result of at most {MOST_SIDE} pixels, found {side} after {scale} times larger; choose another upscaler."
        )


def finish_frame(frame: Frame, options: SwapOptions) -> Frame:
    """A frame after the chain; without an upscaler its samples stay what they are wherever the matte is full.

    Raises:
        WeightsError: the file of a model is not on this machine.
    """
    chain = parse_frame_chain(options.frame_chain)
    if not chain:
        return frame
    image, matte = run_chain(frame.image_rgb, chain)
    if scale_of(chain) > 1:
        alpha = None if frame.alpha is None else cv2.resize(frame.displayed_alpha, image.shape[1::-1])
        frame = Frame.from_picture(
            image,
            index=frame.index,
            pts=frame.pts,
            time_base=frame.time_base,
            duration=frame.duration,
            color=BT709 if frame.color.hdr else frame.color,
        ).replace(alpha=alpha)
    if matte is None:
        return frame
    if options.transparency:
        stored: np.ndarray = matte if frame.size_hw == frame.stored_hw else cv2.resize(matte, frame.stored_hw[::-1])
        if frame.bit_depth > 8:
            wide = stored.astype(np.uint16)
            stored = (wide << 2) | (wide >> 6)
        return frame.replace(alpha=stored if frame.alpha is None else np.minimum(stored, frame.alpha))
    return frame.paste([_background(matte, options)])


def finish_still(image_rgb: np.ndarray, like: Still, options: SwapOptions) -> tuple[np.ndarray, Still]:
    """A picture after the chain, and what is to be kept of the target beside it.

    Args:
        image_rgb: (H, W, 3) uint8 the target with its new faces.
        like: the target.
        options: of the swap.

    Raises:
        InputError: the picture would be larger than `MOST_SIDE`.
        WeightsError: the file of a model is not on this machine.
    """
    chain = parse_frame_chain(options.frame_chain)
    if not chain:
        return image_rgb, like
    check_side(max(image_rgb.shape[:2]) * scale_of(chain), scale_of(chain))
    image, matte = run_chain(image_rgb, chain)
    alpha = None if like.alpha is None else cv2.resize(like.alpha, image.shape[1::-1])
    if matte is not None and options.transparency:
        alpha = matte if alpha is None else np.minimum(alpha, matte)
        share = (matte.astype(np.float32) / 255)[..., None]
        image = np.clip(image * share + 255 * (1 - share) + 0.5, 0, 255).astype(np.uint8)
    elif matte is not None:
        image = media.paste_picture(image, [_background(matte, options)])
    return image, dataclasses.replace(like, image_rgb=image, alpha=alpha)


def _background(matte: np.ndarray, options: SwapOptions) -> Patch:
    colour = np.empty((*matte.shape, 3), np.uint8)
    colour[:] = parse_colour(options.background)
    return Patch(x=0, y=0, image_rgb=colour, alpha=1 - matte.astype(np.float32) / 255)
