"""The portrait of a request, looked at and made ready to be drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import Face, FaceAnalyser
from facegen.talk.engines import EngineName
from facegen.talk.options import TalkOptions
from facegen.talk.portrait.renderer import Touch
from facegen.talk.portrait.sitter import Sitter
from facegen.talk.request import TalkRequest
from facegen.talk.rig import load_rig

WIDEST_YAW_DEG = 38.0
"""A face that is turned further than this hides one half of the mouth; true profiles measure 45 to 50."""
SMALLEST_FACE_PX = 40


def is_respoken(request: TalkRequest) -> bool:
    """Whether a video gets other words; else a picture, or one frame of a video, speaks."""
    if not request.portrait or not EngineName.parse(request.options.engine).needs_portrait:
        return False
    return request.options.frame is None and not media.is_picture(request.portrait)


def seated(request: TalkRequest, analyser: FaceAnalyser) -> Sitter:
    """The portrait, ready to move.

    Raises:
        NoFaceError: there is no face in it.
        InputError: the face cannot be animated; the sentence says why.
    """
    name = Path(request.portrait).name
    image = _fitted(_pictured(request), request.options.longest_side)
    faces = analyser.detect(image)
    if not faces:
        raise NoFaceError(f"Expected a face in the portrait {name!r}, but found none; choose another picture.")
    face = speaker(faces, request.options.face, name)
    if face.size_px < SMALLEST_FACE_PX:
        raise InputError(
            f"Expected a face of at least {SMALLEST_FACE_PX} pixels, found {face.size_px:.0f} in {name!r}; "
            "choose a larger picture."
        )
    return Sitter.of(image, face, load_rig())


def speaker(faces: list[Face], wanted: int | None, name: str) -> Face:
    """The face of a picture that is to speak.

    Args:
        faces: those of the picture, the largest first.
        wanted: its number from the left; None takes the largest that looks towards the camera.
        name: how an error speaks of the picture.

    Raises:
        InputError: it is not there, or in profile.
    """
    from_left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    if wanted is not None and wanted >= len(from_left):
        raise InputError(
            f"Expected a face number up to {len(from_left) - 1}, found {wanted}; {name!r} shows {len(from_left)}."
        )
    asked = faces if wanted is None else [from_left[wanted]]
    for face in asked:
        if abs(face.yaw_deg) <= WIDEST_YAW_DEG:
            return face
    raise InputError(
        f"Expected a face that looks towards the camera, found one in profile in {name!r} "
        f"({abs(asked[0].yaw_deg):.0f} degrees); choose a picture from the front."
    )


def touches(sitter: Sitter, options: TalkOptions) -> list[Touch]:
    """What is done to each drawn picture at the end: light and mouth, then the restorer where it is asked for."""
    from facegen.talk.finish.finisher import Finisher

    last = [Finisher.bundled().touch(sitter)]
    if options.restore > 0:
        from facegen.talk.portrait.detail import restoring

        last.append(restoring(options.restore))
    return last


def _pictured(request: TalkRequest) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the picture, or the frame of a video that was asked for."""
    if media.is_picture(request.portrait):
        return media.read_picture(request.portrait)
    return media.read_frame_at(request.portrait, seconds=request.options.frame or 0.0).image_rgb


def _fitted(image: np.ndarray, longest_side: int) -> np.ndarray:
    """The picture no larger than asked, with even sides, which every player shows."""
    height, width = image.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    if scale < 1:
        size = max(2, round(width * scale)), max(2, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
