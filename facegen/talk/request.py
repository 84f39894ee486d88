"""Requests and results of talks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import __version__
from facegen.config import check, to_dict
from facegen.errors import InputError
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.files import INPUT, OUTPUT
from facegen.jobs.job import Result, count_text
from facegen.talk.engines import MOTION_FILE, EngineName, find_motion
from facegen.talk.options import TalkOptions
from facegen.training.info import TASK_MODELS


@dataclass(frozen=True, kw_only=True)
class TalkRequest:
    """One talk to be made."""

    portrait: str = field(default="", metadata={**INPUT, "short": "p"})
    """A picture of the speaker; or a video of them, in which then only the mouth changes; none for a person's field."""

    audio: str = field(metadata={**INPUT, "short": "a"})
    """What is said: a sound file, or a video with sound."""

    output: str = field(metadata={**OUTPUT, "short": "o"})
    """Where the video goes."""

    driving: str | None = field(default=None, metadata=INPUT)
    """A video whose head and eyes are followed, in place of invented movements."""

    options: TalkOptions = field(default_factory=TalkOptions)
    """How it is done."""

    def __post_init__(self) -> None:
        if not self.portrait and EngineName.parse(self.options.engine).needs_portrait:
            raise InputError(
                "Expected a portrait, found none; give --portrait, or --engine dfrf:RUN for a trained person."
            )


@dataclass(frozen=True, kw_only=True)
class TalkResult(Result):
    """What a talk did."""

    output: str = field(metadata=OUTPUT)
    """The file written."""

    frames: int
    """Frames in it."""

    seconds: float
    """Wall-clock time, this process only."""

    resumed_frames: int = 0
    """Frames taken over from an earlier run that was cut off."""

    stages: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage."""

    rate: float = 0.0
    """Frames drawn a second."""

    @property
    def summary(self) -> str:
        """Frames and seconds, in words."""
        again = f" ({count_text(self.resumed_frames, 'frame')} done before)" if self.resumed_frames else ""
        return f"{count_text(self.frames, 'frame')} in {self.seconds:.1f} s{again}."


@dataclass(frozen=True, kw_only=True)
class TalkTrainRequest:
    """A person's field to be trained."""

    video: str = field(metadata=INPUT)
    """Somebody who speaks, from the front; or a folder that was prepared before."""
    preset: str = field(default="fast", metadata={"flag": "field"})
    """Preset of the training: `fast`, or `reference` (DFRF part by part, for comparisons)."""
    minutes: float = field(default=45.0, metadata={"min": 0.0, "max": 100_000.0})
    """Time budget of the training; 0 leaves it to the preset's steps."""
    seconds: float | None = field(default=None, metadata={"min": 2.0, "max": 100_000.0})
    """Only the first so many seconds of the video."""
    train_share: float = field(default=0.6, metadata={"min": 0.1, "max": 1.0})
    """Share of the video, its beginning, that is trained on; the rest is held back for the figures."""
    changes: tuple[str, ...] = field(default=(), metadata={"flag": "set", "metavar": "KEY=VALUE", **TASK_MODELS})
    """A further setting of the training; may be repeated."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class TalkTrainResult(Result):
    """What came out; «facegen talk --engine dfrf:RUN» draws with its run."""

    frames: int
    """Frames prepared."""
    steps: int
    """Steps trained in all."""
    measures: Mapping[str, float]
    """Figures on held-back frames."""

    @property
    def summary(self) -> str:
        """Steps, frames and figures, in words."""
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.measures.items())
        return f"Trained {count_text(self.steps, 'step')} on {count_text(self.frames, 'frame')}. {figures}"


def request_key(request: TalkRequest) -> str:
    """Recognise a talk that was begun before: the same request on the same content by the same version."""
    placed = replace(request, output=str(Path(request.output).resolve()))
    inputs = [path for path in (request.portrait, request.audio, request.driving) if path]
    inputs += [str(path) for path in EngineName.parse(request.options.engine).weights()]
    if request.options.motion:
        inputs.append(str(find_motion(request.options.motion) / MOTION_FILE))
    parts = [__version__, to_dict(placed), [file_fingerprint(path) for path in inputs]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
