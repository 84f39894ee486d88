"""A person in a video as a renderer: in every frame the mouth moves to other words, and nothing else changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from facegen import media
from facegen.errors import InputError, NoFaceError
from facegen.faces import ClipAnalysis, Face, FaceAnalyser, mesh
from facegen.faces.parse.parser import FaceParser, parser_available
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.progress import OnProgress
from facegen.media import Patch
from facegen.talk.clips import analyse_video
from facegen.talk.engines import LIPSYNC, EngineName
from facegen.talk.finish.finisher import Finisher
from facegen.talk.motion import MotionFrame
from facegen.talk.portrait.face_rig import FaceRig
from facegen.talk.portrait.head_mesh import HeadMesh
from facegen.talk.portrait.model import PortraitModel
from facegen.talk.portrait.mouth_interior import MouthInterior
from facegen.talk.portrait.renderer import MeshRenderer
from facegen.talk.renderers.lipsync import find_occlusion
from facegen.talk.renderers.protocol import DrivingSignals, TalkInfo
from facegen.talk.request import TalkRequest
from facegen.talk.rig import MouthRig, load_rig

Array = np.ndarray

_SAMPLES = 9
"""Frames from which the inside of the mouth is estimated."""


class Speaker(Protocol):
    """Draws the mouth of a person, frame by frame."""

    def drive(self, signals: DrivingSignals, times: Array) -> Array:
        """What drives the mouth at (N,) seconds, a row a frame."""

    def patch(self, image_rgb: np.ndarray, face: Face, mouth: Array) -> Patch | None:
        """The changed part of a frame, driven by a row of `drive`; None where nothing changes."""


class DubbingRenderer:
    """A video, the faces in its frames, and the person who is to speak.

    Args:
        path: the video.
        analysis: its faces.
        person: number of the person in it.
        speaker: what is the same in every frame.
    """

    def __init__(self, path: str, analysis: ClipAnalysis, person: int, speaker: Speaker) -> None:
        self._path, self._analysis, self._person, self._speaker = path, analysis, person, speaker

    @classmethod
    def check(cls, request: TalkRequest) -> None:
        """Refuses a driving video.

        Raises:
            InputError: there is one.
        """
        if request.driving is not None:
            raise InputError(
                "Expected a picture as portrait with a driving video, found a video; choose a second of it (frame), or "
                "leave the driving video out."
            )

    @classmethod
    def key(cls, request: TalkRequest) -> tuple[object, ...]:
        """The video, the person, and what draws their mouth."""
        return request.portrait, file_fingerprint(request.portrait), request.options.face, request.options.engine

    @classmethod
    def load(cls, request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress) -> DubbingRenderer:
        """Finds everybody in the video, and estimates the speaker's mouth from some frames.

        Raises:
            NoFaceError: there is nobody in it.
            InputError: there is no person of the number that the options name.
        """
        path = request.portrait
        analysis = analyse_video(Path(path), analyser, on_progress, smoothing=1.0)
        person = _choose_person(analysis, request.options.face, path)
        if (engine := EngineName.parse(request.options.engine).kind) in LIPSYNC:
            from facegen.talk.renderers.edtalk import EdTalkPerson
            from facegen.talk.renderers.lipsync import LipSyncPerson

            return cls(path, analysis, person, EdTalkPerson() if engine == "edtalk" else LipSyncPerson(engine))
        samples = [
            (media.read_frame_at(path, index=index).image_rgb, _face_of(analysis, index, person))
            for index in _sample_frames(analysis, person)
        ]
        faces = [(image, face) for image, face in samples if face is not None]
        return cls(path, analysis, person, DubbedPerson.of(faces, load_rig()))

    def prepare(self, signals: DrivingSignals) -> DubbingClip:
        """The mouth in every frame."""
        speech, seconds = signals.speech, signals.request.options.seconds
        pts, time_base = media.frame_times(self._path)
        times = np.array([float(tick * time_base) for tick in pts])
        end = seconds if seconds is not None else float(times[-1]) + 1
        times = times[times - times[0] < end]
        notices: tuple[str, ...] = ()
        if speech.seconds > float(times[-1] - times[0]) + 0.25 and seconds is None:
            notices = (f"The sound is longer than the video and ends with it, after {times[-1] - times[0]:.1f} s.",)
        times = times - times[0]
        info = TalkInfo(video=media.probe(self._path), times=times, background=self._path, notices=notices)
        return DubbingClip(self, self._speaker.drive(signals, times), info)

    def patch(self, background: media.Frame, mouth: Array) -> Patch | None:
        """What changes in a frame, driven by a row of `Speaker.drive`; None where the person is not in it."""
        face = _face_of(self._analysis, background.index, self._person)
        return None if face is None else self._speaker.patch(background.image_rgb, face, mouth)


class DubbingClip:
    """Other words for a person in a video."""

    def __init__(self, renderer: DubbingRenderer, mouth: Array, info: TalkInfo) -> None:
        self._renderer, self._mouth, self.info = renderer, mouth, info

    def frame(self, index: int, background: media.Frame | None) -> media.Frame:
        """The video's frame with another mouth."""
        assert background is not None
        patch = self._renderer.patch(background, self._mouth[index])
        return background if patch is None else background.paste([patch])


@dataclass(frozen=True, eq=False, kw_only=True)
class DubbedPerson:
    """One person of a clip, as far as it is the same in every frame.

    Attributes:
        mouth_rig: basis of mouth movements.
        interior: the inside of the mouth.
        mouth_scale: width of the mouth by that of the rig's.
        parser: segments what stands before the face, where its weights are present.
    """

    mouth_rig: MouthRig
    interior: MouthInterior
    mouth_scale: float
    parser: FaceParser | None

    @classmethod
    def of(cls, samples: list[tuple[np.ndarray, Face]], mouth_rig: MouthRig) -> DubbedPerson:
        """From some frames of the clip, (H, W, 3) uint8 RGB, with the person's face in them."""
        portraits = [PortraitModel.of(image_rgb, face, mouth_rig) for image_rgb, face in samples]
        white = np.median([portrait.interior.white for portrait in portraits], 0).astype(np.float32)
        softness = float(np.median([portrait.interior.softness_cm for portrait in portraits]))
        mouth_scale = float(np.median([portrait.rig.mouth_scale for portrait in portraits]))
        parser = FaceParser() if parser_available() else None
        interior = MouthInterior(white=white, teeth=None, softness_cm=softness)
        return cls(mouth_rig=mouth_rig, interior=interior, mouth_scale=mouth_scale, parser=parser)

    def drive(self, signals: DrivingSignals, times: Array) -> Array:
        """(N, K) coefficients of the mouth rig."""
        return signals.mouth(times)

    def patch(self, image_rgb: np.ndarray, face: Face, mouth: Array) -> Patch | None:
        """The changed part of a frame whose mouth is to be as (K,) coefficients say; None where nothing changes."""
        points = face.points478[: mesh.VERTEX_COUNT]
        head = HeadMesh.of(points)
        rig = FaceRig.of(head.pose.to_canonical(points), self.mouth_rig, self.mouth_scale)
        portrait = PortraitModel.of_frame(image_rgb, head, rig, self.interior)
        renderer = MeshRenderer(portrait, [Finisher.load().post_process(portrait)])
        drawn, changed, box = renderer.draw_changes(MotionFrame.of_mouth(mouth))
        if not changed.any():
            return None
        alpha = cv2.GaussianBlur(cv2.dilate(changed.astype(np.float32), np.ones((5, 5), np.uint8)), (0, 0), 1.5)
        if self.parser is not None:
            alpha = alpha * (1 - find_occlusion(image_rgb, face, self.parser)[box.region])
        return Patch(x=box.x0, y=box.y0, image_rgb=drawn, alpha=alpha)


def _sample_frames(analysis: ClipAnalysis, person: int) -> list[int]:
    """Indices of some frames, evenly spread, in which a person is found."""
    indices = [index for index in range(analysis.frame_count) if _face_of(analysis, index, person) is not None]
    picks = np.linspace(0, len(indices) - 1, min(_SAMPLES, len(indices)))
    return [indices[int(pick)] for pick in picks] if indices else []


def _choose_person(analysis: ClipAnalysis, number: int | None, path: str) -> int:
    if not analysis.people:
        raise NoFaceError(f"Expected a face in the video {Path(path).name!r}, but found none; choose another video.")
    person = number or 0
    if person >= len(analysis.people):
        raise InputError(f"Expected a person up to {len(analysis.people) - 1}, found {person}; choose another number.")
    return person


def _face_of(analysis: ClipAnalysis, index: int, person: int) -> Face | None:
    return next((face for face in analysis.faces(index) if face.person_id == person), None)
