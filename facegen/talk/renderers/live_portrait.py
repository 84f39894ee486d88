"""LivePortrait as a renderer: a picture moved by a driving video, or by movements predicted from the sound.

With a driving video pose, place and expression, the mouth's too, are followed from its first face on, as LivePortrait does; the
sound is only laid beneath. Without one lips and lids open as the sound says, the head turns and the eyes look about as
invented; which way the networks count a turn up or to the right is not stated, and of invented turns both ways look alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser
from facegen.hub.fetch import require
from facegen.jobs.progress import OnProgress
from facegen.reenact import live_portrait
from facegen.reenact.crop import ReenactmentCrop, crop_input, wide_matrix
from facegen.reenact.editing import change_expression
from facegen.reenact.motion import POINTS, make_rotation
from facegen.reenact.weights import WEIGHTS
from facegen.talk.motion import Motion, MotionFrame
from facegen.talk.renderers.portrait import PictureRenderer, load_portrait
from facegen.talk.renderers.protocol import DrivingSignals, TalkInfo
from facegen.talk.request import TalkRequest
from facegen.talk.rig import MOUTH_CM, load_rig

Array = np.ndarray
_SHIFT = 0.05
"""Of the crop's half side, by which a head moves a centimetre."""
_GAZE = 0.25
"""Widths of an eye by which it looks aside at the end of the slider."""
_LOWER_POINTS = [3, 7, 14, 17, 18, 19, 20]
"""Keypoints of the mouth."""


class LivePortraitRenderer(PictureRenderer):
    """One picture, or one frame of a video, with the crop of the face in it.

    Args:
        crop: the picture with its face.
        points5: (5, 2) `Face.points5` of it.
        notices: what the user should know of the picture, a sentence each.
    """

    def __init__(self, crop: ReenactmentCrop, points5: Array, notices: tuple[str, ...] = ()) -> None:
        self.crop, self.points5, self._notices = crop, points5, notices

    @classmethod
    def check(cls, request: TalkRequest) -> None:
        """Refuses a talk whose networks were not fetched.

        Raises:
            WeightsError: a file is missing.
        """
        require(WEIGHTS, "the engine live-portrait", "the engine portrait")

    @classmethod
    def load(cls, request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress) -> LivePortraitRenderer:
        """Reads the picture and cuts out the face that is to speak.

        Raises:
            NoFaceError: there is no face in it.
            InputError: the face is too small, or in profile.
        """
        image, face, notices = load_portrait(request, analyser, on_progress)
        return cls(ReenactmentCrop.of(image, face), face.points5, notices)

    def prepare(self, signals: DrivingSignals) -> LivePortraitClip:
        """The movements of every frame.

        Raises:
            InputError: there is nobody in the driving video.
        """
        times, request = signals.frame_times(), signals.request
        notices = self._notices
        if request.driving is None:
            motion, _ = signals.motion(times)
            move = self._follow_sound(motion)
        else:
            rows, seconds = read_driving(request.driving, signals.analyse_driving())
            length = float(seconds[-1] + (seconds[1] - seconds[0]))
            if float(times[-1]) > length:
                notices = (
                    *notices,
                    f"The sound is longer than the driving video ({length:.1f} s), which is followed to and fro.",
                )
            there = np.abs((times + length) % (2 * length) - length)
            rows = np.stack([np.interp(there, seconds, column) for column in rows.T], 1)
            move = self._follow_face(rows, first=rows[0], mouth=request.options.mouth, is_still=request.options.still)
        info = TalkInfo.of_pictures(self.crop.image_rgb.shape[:2], times, notices)
        return LivePortraitClip(self, move, request.options.restore, info)

    def _follow_face(self, rows: Array, *, first: Array, mouth: float, is_still: bool) -> Callable[[int], Array]:
        """What (N, 70) rows of a driving face do to the keypoints, relative to its first one."""
        source, ahead = self.crop.motion, _pose(first)

        def move(index: int) -> Array:
            row, rotation, scale, translation = rows[index], source.rotation, source.scale, source.translation
            change = (row - first)[7:].reshape(POINTS, 3)
            change[_LOWER_POINTS] *= mouth
            if not is_still:
                rotation = source.rotation @ ahead.T @ _pose(row)
                scale = source.scale * row[3] / first[3]
                translation = source.translation + (row - first)[4:7]
            translation = translation * np.array([1, 1, 0], np.float32)
            return scale * (source.points @ rotation.T + source.expression + change) + translation

        return move

    def _follow_sound(self, motion: Motion) -> Callable[[int], Array]:
        """What movements from sound do to the keypoints."""
        source, opening = self.crop.motion, load_rig().opening

        def move(index: int) -> Array:
            frame = motion.frame(index)
            yaw, pitch, roll = frame.turn_deg
            rotation = make_rotation(source.pitch_deg - pitch, source.yaw_deg - yaw, source.roll_deg + roll)
            driving = source.scale * (source.points @ rotation.T + self._expression(frame)) + source.translation
            driving += frame.shift_cm * np.array([_SHIFT, -_SHIFT, 0], np.float32)
            gap = max(float(frame.mouth @ opening), 0.0) / MOUTH_CM
            driving += live_portrait.retarget_lips(source.keypoints, self.crop.lips_open, gap)
            if (closed := float(frame.lids.mean())) > 0.02:
                driving += self.crop.open_eyes(float(np.mean(self.crop.eyes_open)) * (1 - closed))
            return driving

        return move

    def _expression(self, frame: MotionFrame) -> Array:
        right, up = np.clip(frame.gaze / _GAZE, -1, 1)
        sliders = {"eye-gaze-horizontal": float(right), "eye-gaze-vertical": float(up)}
        return change_expression(self.crop.motion.expression, sliders)


class LivePortraitClip:
    """One talk of a picture."""

    def __init__(
        self, renderer: LivePortraitRenderer, move: Callable[[int], Array], restore: float, info: TalkInfo
    ) -> None:
        self._renderer, self._move, self._restore, self.info = renderer, move, restore, info

    def frame(self, index: int, background: media.Frame | None) -> media.Frame:
        """Draws the picture with the face moved."""
        image = self._renderer.crop.render(self._move(index).astype(np.float32))
        if self._restore > 0:
            from facegen.facesets.enhance import enhance_face

            image = enhance_face(image, self._renderer.points5, self._restore)
        return self.info.picture_frame(image, index)


def read_driving(path: str, analysis: ClipAnalysis) -> tuple[Array, Array]:
    """What the person who is longest in a video does, frame by frame.

    The crop keeps its place, so that the head's own movement is seen.

    Returns:
        (N, 70) float64 pitch, yaw, roll in degrees, scale, translation (3) and expression (21 x 3), and the (N,) seconds.

    Raises:
        InputError: there is nobody in it for two frames.
    """
    faces: dict[int, Face] = {}
    for index in range(analysis.frame_count):
        face = next((face for face in analysis.faces(index) if face.person_id == 0), None)
        if face is not None:
            faces[index] = face
    if len(faces) < 2:
        raise InputError(f"Expected a face in the driving video {path!r}, but found none; choose another video.")
    matrix = wide_matrix(np.median([face.points5 for face in faces.values()], axis=0))
    rows, seconds = [], []
    for frame in media.read_frames(path):
        if frame.index in faces:
            motion = live_portrait.extract_motion(crop_input(frame.image_rgb, matrix))
            pose = motion.pitch_deg, motion.yaw_deg, motion.roll_deg, motion.scale
            rows.append(np.concatenate([pose, motion.translation, motion.expression.ravel()]))
            seconds.append(frame.pts_seconds)
    times = np.array(seconds)
    return np.array(rows), times - times[0]


def _pose(row: Array) -> Array:
    return make_rotation(*map(float, row[:3]))
