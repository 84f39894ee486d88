"""A person's own radiance field as a renderer: head and eyes move as in the video it was trained on, to new audio."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facegen import config, media
from facegen.device import choose_device
from facegen.errors import InputError, WeightsError
from facegen.faces import FaceAnalyser
from facegen.jobs.progress import OnProgress
from facegen.json_file import read_object
from facegen.media.source import file_key
from facegen.talk.dfrf.audio import extract_features, select_windows
from facegen.talk.dfrf.dataset import Scene
from facegen.talk.dfrf.expression import UPPER_FACE
from facegen.talk.dfrf.model import RadianceField
from facegen.talk.dfrf.preparation import prepare_people
from facegen.talk.dfrf.rendering import FrameRenderer
from facegen.talk.dfrf.task import DfrfTask
from facegen.talk.engines import EngineName, find_training
from facegen.talk.options import TalkOptions
from facegen.talk.renderers.protocol import DrivingSignals, TalkInfo
from facegen.talk.request import TalkRequest
from facegen.talk.speech import Speech
from facegen.training.request import read_request

_OPEN_LIDS_PERCENTILE = 30


def find_field(run: Path) -> tuple[Path, Path]:
    """The folder with a field's weights, and the prepared one, of a run of «talk train» or of «train dfrf».

    Raises:
        InputError: it is neither, or not finished.
    """
    if (run / "field" / "person.json").exists():
        prepared = read_object(run / "field" / "person.json").get("prepared")
        return run / "field", Path(str(prepared))
    final = run / "exports" / "final"
    if (final / "field.json").exists():
        people = prepare_people(Path(read_request(run).data))
        if len(people) > 1:
            raise InputError(
                f"Expected the field of one person in {run}, found a base over {len(people)}; train a person from it with "
                "--set task.start=RUN."
            )
        return final, people[0].path
    raise InputError(
        f"Expected the run of a finished «facegen talk train» in {run}, found none; give its folder or its name."
    )


def load_frame_renderer(run: Path, device: torch.device) -> FrameRenderer:
    """The renderer of a finished «facegen talk train» or «facegen train dfrf».

    Raises:
        InputError: the run is not finished, or is a base over several people.
        WeightsError: its weights are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    field, prepared = find_field(run)
    task = config.load(DfrfTask, field / "field.json")
    model = task.build_model()
    assert isinstance(model, RadianceField)
    try:
        model.load_state_dict(load_file(field / "field.safetensors"))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(f"Expected the weights of a field in {field}, found others; train it again.") from error
    return FrameRenderer(model.to(device), Scene(prepared, task.references, device, has_surface=task.surface))


class FieldAnimator:
    """Renders one person to new speech.

    Args:
        renderer: of the person.
        speech: what the person says.
        seconds: (N,) time of each frame.
        options: `seed` chooses where in the video the movements begin, `still` keeps the head, `blink` lets eyes blink.
    """

    def __init__(self, renderer: FrameRenderer, speech: Speech, seconds: np.ndarray, options: TalkOptions) -> None:
        self.renderer, self.options = renderer, options
        scene = renderer.scene
        self._features = extract_features(speech, seconds)
        length = scene.state.train_frames
        start = int(np.random.default_rng(options.seed).integers(length)) if options.seed else 0
        frames = (start + np.round(seconds * scene.state.frame_rate).astype(int)) % max(2 * length - 2, 1)
        self._frames = np.where(frames < length, frames, 2 * length - 2 - frames)
        self._still_frame = scene.reference_frames[0]
        self._open_lids = float(np.percentile(scene.upper_face[:length, 0], _OPEN_LIDS_PERCENTILE))

    def draw(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB: one frame."""
        scene, frame = self.renderer.scene, int(self._frames[index])
        upper_face = scene.upper_face[frame]
        if self.options.still:
            # the numbers that go with the head's pose stay as the pose does
            frame = self._still_frame
            upper_face = np.concatenate([upper_face[: len(UPPER_FACE)], scene.upper_face[frame][len(UPPER_FACE) :]])
        if not self.options.blink:
            upper_face = np.array([min(float(upper_face[0]), self._open_lids), *upper_face[1:]], np.float32)
        window = select_windows(self._features, np.array([index]))[0]
        view = replace(scene.frame_view(frame), upper_face=upper_face)
        return self.renderer.render(view, window.astype(np.float32))


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
