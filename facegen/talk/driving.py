"""Head pose, blinks and brows from a driving video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from facegen import media
from facegen.errors import InputError
from facegen.faces import Face, FaceAnalyser
from facegen.talk.clips import analyse_video
from facegen.talk.motion import Motion

Array = np.ndarray

_WIDEST_DEG = 18.0
_SHIFT_SHARE = 0.5


def transfer_head_motion(
    motion: Motion,
    path: str,
    seconds: Array,
    *,
    head: float,
    analyser: FaceAnalyser,
    on_progress: Callable[[float, str], None],
) -> tuple[Motion, tuple[str, ...]]:
    """Adds the head pose, lids and brows of the person who is longest in a driving video.

    Args:
        motion: movements of the mouth.
        path: the driving video; where the motion is longer, it is played to and fro.
        seconds: (N,) of each row of the motion.
        head: share of the head's movement that is transferred, 0..1.
        analyser: finds the face.
        on_progress: called with (0..1, text) at every frame; may raise Cancelled.

    Returns:
        The motion, and notices for the user.

    Raises:
        InputError: there is no face in the video.
    """
    analysis = analyse_video(Path(path), analyser, on_progress, smoothing=1.0)
    pts, time_base = media.frame_times(path)
    faces, times = [], []
    for index in range(min(analysis.frame_count, len(pts))):
        face = next((face for face in analysis.faces(index) if face.person_id == 0), None)
        if face is not None:
            faces.append(face)
            times.append(float((pts[index] - pts[0]) * time_base))
    if len(faces) < 2:
        raise InputError(
            f"Expected a face in the driving video {Path(path).name!r}, but found none; choose another video."
        )
    rows = np.array([_pose_row(face) for face in faces])
    # the portrait keeps its own pose and brows; only what changes is followed
    followed = [0, 1, 2, 3, 4, 5, 8]
    rows[:, followed] -= np.median(rows[:, followed], 0)
    length = times[-1] + (times[1] - times[0])
    notices: tuple[str, ...] = ()
    if float(seconds[-1]) > length:
        notices = (f"The sound is longer than the driving video ({length:.1f} s), which is followed to and fro.",)
    there = np.abs((np.asarray(seconds) + length) % (2 * length) - length)
    values = np.stack([np.interp(there, times, column) for column in rows.T], 1)
    turn = np.clip(values[:, :3], -_WIDEST_DEG, _WIDEST_DEG) * head
    return (
        replace(
            motion,
            turn_deg=turn.astype(np.float32),
            shift_cm=(values[:, 3:6] * _SHIFT_SHARE * head).astype(np.float32),
            lids=np.clip((values[:, 6:8] - 0.3) / 0.4, 0, 1).astype(np.float32),
            brows=np.clip(values[:, 8], -1, 1).astype(np.float32),
        ),
        notices,
    )


def _pose_row(face: Face) -> list[float]:
    """Yaw, pitch and roll in degrees, position in cm, blink of the eye on the picture's left and right, brows."""
    size = max(face.size_px, 1.0)
    centre = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
    raised = face.blendshape("browInnerUp") - 0.5 * (face.blendshape("browDownLeft") + face.blendshape("browDownRight"))
    # a face is about 15 cm high and wide; left and right of the blendshapes are the person's own
    return [
        *(face.yaw_deg, face.pitch_deg, face.roll_deg),
        *(float(centre[0]) / size * 15, -float(centre[1]) / size * 15, 0.0),
        *(face.blendshape("eyeBlinkRight"), face.blendshape("eyeBlinkLeft"), raised),
    ]
