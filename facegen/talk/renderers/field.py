"""A person's own radiance field as a renderer: head and eyes move as in the video it was trained on."""

from __future__ import annotations

from facegen import media
from facegen.device import choose_device
from facegen.errors import InputError
from facegen.faces import FaceAnalyser
from facegen.jobs.progress import OnProgress
from facegen.media.source import file_key
from facegen.talk.dfrf.inference import FieldAnimator, load_frame_renderer
from facegen.talk.dfrf.rendering import FrameRenderer
from facegen.talk.engines import EngineName, find_training
from facegen.talk.renderers.protocol import DrivingSignals, TalkInfo
from facegen.talk.request import TalkRequest


class FieldRenderer:
    """A trained field with the scene that it was trained on.

    Args:
        frames: renders frames of the person.
    """

    def __init__(self, frames: FrameRenderer) -> None:
        self._frames = frames

    @classmethod
    def check(cls, request: TalkRequest) -> None:
        """Refuses a driving video.

        Raises:
            InputError: there is one.
        """
        if request.driving is not None:
            raise InputError("Expected no driving video with a field, which moves as its own video did; leave it out.")

    @classmethod
    def key(cls, request: TalkRequest) -> tuple[object, ...]:
        """The files of the training as they are now."""
        return tuple(file_key(path) for path in EngineName.parse(request.options.engine).weights())

    @classmethod
    def load(cls, request: TalkRequest, analyser: FaceAnalyser, on_progress: OnProgress) -> FieldRenderer:
        """Reads the field of the training that the engine names.

        Raises:
            InputError: there is no such training, or it is not finished.
            WeightsError: its weights are damaged.
        """
        on_progress(0.0, "Opening the radiance field")
        return cls(load_frame_renderer(find_training(request.options.engine), choose_device()))

    def prepare(self, signals: DrivingSignals) -> FieldClip:
        """Features of the sound round each frame, and which frames of the video the head follows."""
        request, times = signals.request, signals.frame_times()
        notices = ("The person's field brings its own head; the portrait was not used.",) if request.portrait else ()
        info = TalkInfo.of_pictures(self._frames.scene.frame_hw, times, notices)
        return FieldClip(FieldAnimator(self._frames, signals.speech, times, request.options), info)


class FieldClip:
    """One talk of a field."""

    def __init__(self, animator: FieldAnimator, info: TalkInfo) -> None:
        self._animator, self.info = animator, info

    def frame(self, index: int, background: media.Frame | None) -> media.Frame:
        """Renders the field at one moment of the talk."""
        return self.info.picture_frame(self._animator.draw(index), index)
