"""The embedded portrait renderer: head pose, blinks and mouth of one picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import Face, FaceAnalyser
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.progress import OnProgress
from facegen.talk.finish.finisher import Finisher
from facegen.talk.motion import Motion
from facegen.talk.options import TalkOptions
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.renderer import MeshRenderer, PostProcess
from facegen.talk.portrait.restoration import make_restoration
from facegen.talk.renderers.protocol import DrivingSignals, TalkInfo
from facegen.talk.request import TalkRequest
from facegen.talk.rig import load_rig

WIDEST_YAW_DEG = 38.0
"""A face that is turned further than this hides one half of the mouth; true profiles measure 45 to 50."""
SMALLEST_FACE_PX = 40


class PictureRenderer:
    """What renderers of one picture, as `load_portrait` reads it, have in common."""

    @classmethod
    def key(cls, request: TalkRequest) -> tuple[object, ...]:
        """The picture, and what chooses and scales the face in it."""
        options = request.options
        return file_fingerprint(request.portrait), options.frame, options.face, options.longest_side


class PortraitRenderer(PictureRenderer):
    """One picture, or one frame of a video, with the mesh of the face in it.

    Args:
        portrait: the picture with its mesh.
        notices: what the user should know of the picture, a sentence each.
    """

    def __init__(self, portrait: PortraitModel, notices: tuple[str, ...] = ()) -> None:
        self._portrait, self._notices = portrait, notices

    @classmethod
    def check(cls, request: TalkRequest) -> None:
        """A portrait does all that a request can ask for."""

    @classmethod
    def load(cls, request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress) -> PortraitRenderer:
        """Reads the picture and fits the mesh to the face that is to speak.

        Raises:
            NoFaceError: there is no face in it.
            InputError: the face is too small, or in profile.
        """
        image, face, notices = load_portrait(request, analyser, on_progress)
        return cls(PortraitModel.of(image, face, load_rig()), notices)

    def prepare(self, signals: DrivingSignals) -> PortraitClip:
        """The movements of every frame, and the networks that process it.

        Raises:
            InputError: there is nobody in the driving video.
        """
        times = signals.frame_times()
        motion, notices = signals.motion(times)
        renderer = MeshRenderer(self._portrait, _post_processes(self._portrait, signals.request.options))
        info = TalkInfo.of_pictures(self._portrait.image_rgb.shape[:2], times, (*self._notices, *notices))
        return PortraitClip(renderer, motion, info)


class PortraitClip:
    """One talk of a picture."""

    def __init__(self, renderer: MeshRenderer, motion: Motion, info: TalkInfo) -> None:
        self._renderer, self._motion, self.info = renderer, motion, info

    def frame(self, index: int, background: media.Frame | None) -> media.Frame:
        """Draws the picture with the face moved."""
        return self.info.picture_frame(self._renderer.draw(self._motion.frame(index)), index)


def load_portrait(
    request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress
) -> tuple[np.ndarray, Face, tuple[str, ...]]:
    """The picture of a request, (H, W, 3) uint8 RGB, the face in it that is to speak, and notices for the user.

    Raises:
        NoFaceError: there is no face in it.
        InputError: the face is too small, or in profile.
    """
    on_progress(0.0, "Looking at the portrait")
    name = Path(request.portrait).name
    image, notices = _read_portrait(request)
    image = _fit(image, request.options.longest_side)
    faces = analyser.detect(image)
    if not faces:
        raise NoFaceError(f"Expected a face in the portrait {name!r}, but found none; choose another picture.")
    face = choose_face(faces, request.options.face, name)
    if face.size_px < SMALLEST_FACE_PX:
        raise InputError(
            f"Expected a face of at least {SMALLEST_FACE_PX} pixels, found {face.size_px:.0f} in {name!r}; "
            "choose a larger picture."
        )
    return image, face, notices


def choose_face(faces: list[Face], number: int | None, name: str) -> Face:
    """The face of a picture that is to speak.

    Args:
        faces: those of the picture, the largest first.
        number: its number from the left; None takes the largest that looks towards the camera.
        name: how an error names the picture.

    Raises:
        InputError: there is no face of that number, or it is in profile.
    """
    from_left = sorted(faces, key=lambda face: float(face.box_xyxy[0] + face.box_xyxy[2]))
    if number is not None and number >= len(from_left):
        raise InputError(
            f"Expected a face number up to {len(from_left) - 1}, found {number}; {name!r} shows {len(from_left)}."
        )
    candidates = faces if number is None else [from_left[number]]
    for face in candidates:
        if abs(face.yaw_deg) <= WIDEST_YAW_DEG:
            return face
    raise InputError(
        f"Expected a face that looks towards the camera, found one in profile in {name!r} "
        f"({abs(candidates[0].yaw_deg):.0f} degrees); choose a picture from the front."
    )


def _post_processes(portrait: PortraitModel, options: TalkOptions) -> list[PostProcess]:
    """The relighting network, then the face restorer where the options ask for it."""
    relight = Finisher.load().post_process(portrait)
    return [relight, make_restoration(options.restore)] if options.restore > 0 else [relight]


def _read_portrait(request: TalkRequest) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W, 3) uint8 RGB: the picture, or the frame of a video that the options name; and notices."""
    if not media.is_picture(request.portrait):
        return media.read_frame_at(request.portrait, seconds=request.options.frame or 0.0).image_rgb, ()
    still = media.read_still(request.portrait)
    if still.alpha is None:
        return still.image_rgb, ()
    return still.image_rgb, ("The portrait's transparency is laid on white.",)


def _fit(image: np.ndarray, longest_side: int) -> np.ndarray:
    """The picture no larger than `longest_side`, with even sides, which every player shows."""
    height, width = image.shape[:2]
    scale = min(1.0, longest_side / max(height, width))
    if scale < 1:
        size = max(2, round(width * scale)), max(2, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
