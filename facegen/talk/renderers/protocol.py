"""Protocol of a talk's renderers, and the driving signals: features of the sound and movements made from them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from facegen import media
from facegen.faces import ClipAnalysis, FaceAnalyser
from facegen.jobs.progress import OnProgress
from facegen.talk.clips import analyse_video
from facegen.talk.driving import transfer_head_motion
from facegen.talk.head_motion import generate_head_motion
from facegen.talk.motion import Motion, MotionModel
from facegen.talk.request import TalkRequest
from facegen.talk.speech import Speech

FRAME_RATE = 25
"""Frames a second of a talk that is not drawn onto a video."""
_TICKS = 512
"""Ticks of the time base between two of its frames."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TalkInfo:
    """What is known of a talk before its frames are drawn."""

    video: media.VideoInfo
    """Size, frame rate, time base and colour tags of the result."""
    times: np.ndarray
    """(N,) float64 seconds at which each frame is shown, from the beginning of the sound."""
    background: str | None = None
    """The video onto whose frames the talk is drawn; None where frames are drawn whole."""
    notices: tuple[str, ...] = ()
    """What the user should know, a sentence each."""

    @classmethod
    def of_pictures(cls, size_hw: tuple[int, int], times: np.ndarray, notices: tuple[str, ...] = ()) -> TalkInfo:
        """Of a talk whose frames are pictures, height and width `size_hw`, `FRAME_RATE` a second."""
        rate = Fraction(FRAME_RATE)
        video = media.make_video_info(size_hw[1], size_hw[0], rate, 1 / (rate * _TICKS))
        return cls(video=video, times=times, notices=notices)

    def picture_frame(self, image_rgb: np.ndarray, index: int) -> media.Frame:
        """A (H, W, 3) uint8 RGB picture as the frame `index` of such a talk."""
        return media.Frame.from_picture(
            image_rgb, index=index, pts=index * _TICKS, time_base=self.video.time_base, duration=_TICKS
        )


class DrivingSignals:
    """What drives a talk: the sound's features, and the movements made from them, each computed on demand.

    Args:
        request: the talk; its options say how lively the movements are, and its driving video where they come from.
        speech: features of the sound.
        analyser: finds the face of the driving video.
        on_progress: called with (0..1, text) while that video is analysed; may raise Cancelled.
    """

    def __init__(
        self, request: TalkRequest, speech: Speech, analyser: FaceAnalyser, on_progress: OnProgress = lambda *_: None
    ) -> None:
        self.request, self.speech = request, speech
        self._analyser, self._on_progress = analyser, on_progress

    @property
    def seconds(self) -> float:
        """Length of the talk: that of the sound, or as much of it as the options ask for."""
        return min(self.speech.seconds, self.request.options.seconds or self.speech.seconds)

    def frame_times(self) -> np.ndarray:
        """(N,) float64 seconds of frames at `FRAME_RATE` over the length of the talk."""
        return np.arange(max(1, round(self.seconds * FRAME_RATE))) / FRAME_RATE

    def analyse_driving(self) -> ClipAnalysis:
        """Every face of the request's driving video."""
        assert self.request.driving is not None
        return analyse_video(Path(self.request.driving), self._analyser, self._on_progress, smoothing=1.0)

    def mouth(self, times: np.ndarray) -> np.ndarray:
        """(N, K) float32 coefficients of the mouth rig at (N,) times in seconds."""
        options = self.request.options
        return MotionModel.load(options.motion).animate_mouth(self.speech, times, options.mouth)

    def motion(self, times: np.ndarray) -> tuple[Motion, tuple[str, ...]]:
        """Mouth, head pose, lids, brows and gaze at (N,) evenly spaced times in seconds; and notices for the user.

        Raises:
            InputError: there is nobody in the driving video.
        """
        options, mouth = self.request.options, Motion.of_mouth(self.mouth(times))
        if self.request.driving is not None:
            return transfer_head_motion(
                mouth,
                self.request.driving,
                times,
                head=0.0 if options.still else 1.0,
                analyser=self._analyser,
                on_progress=self._on_progress,
            )
        generated = generate_head_motion(
            mouth,
            self.speech,
            times,
            head=options.head,
            eyes=options.eyes,
            seed=options.seed,
            is_still=options.still,
            is_blinking=options.blink,
        )
        return generated, ()


class TalkClip(Protocol):
    """One talk of a renderer, ready to be drawn; several threads may draw its frames, in any order."""

    @property
    def info(self) -> TalkInfo:
        """Size, times and notices."""

    def frame(self, index: int, background: media.Frame | None) -> media.Frame:
        """Draws one frame.

        Args:
            index: its number, from 0.
            background: the frame of that number of `info.background`, where there is one.
        """


class TalkRenderer(Protocol):
    """One speaker, loaded: draws any talk of theirs. It holds nothing of a talk, so it is kept between talks."""

    @classmethod
    def check(cls, request: TalkRequest) -> None:
        """Refuses a request for something that this kind of renderer does not do, before anything is loaded.

        Raises:
            InputError: it does not.
        """

    @classmethod
    def key(cls, request: TalkRequest) -> tuple[object, ...]:
        """What the loaded speaker depends on: requests with equal keys are drawn by the same renderer."""

    @classmethod
    def load(cls, request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress) -> TalkRenderer:
        """Loads the speaker that a request names: a picture, a person in a video, the weights of a trained person.

        Args:
            request: the talk.
            analyser: finds faces.
            on_progress: called with (0..1, text); may raise Cancelled.

        Raises:
            InputError: the speaker cannot be drawn; the sentence says why.
            WeightsError: weights are missing or damaged.
        """

    def prepare(self, signals: DrivingSignals) -> TalkClip:
        """Computes what a talk needs before its frames can be drawn.

        Raises:
            InputError: the request cannot be done; the sentence says why.
        """
