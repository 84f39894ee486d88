"""What goes into a talk and what comes out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import __version__
from facegen.config import to_dict
from facegen.media.fingerprint import file_fingerprint
from facegen.talk.engines import MOTION_FILE, EngineName, find_motion
from facegen.talk.options import TalkOptions


@dataclass(frozen=True, kw_only=True)
class TalkRequest:
    """One talk to be made."""

    portrait: str
    """A picture of the speaker; or a video of them, in which then only the mouth changes; empty for a person's field."""

    audio: str
    """What is said: a sound file, or a video with sound."""

    output: str
    """Where the video goes."""

    driving: str | None = None
    """A video whose head and eyes are followed, in place of invented movements."""

    options: TalkOptions = field(default_factory=TalkOptions)
    """How it is done."""


@dataclass(frozen=True, kw_only=True)
class TalkResult:
    """What a talk did."""

    output: str
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

    notices: tuple[str, ...] = ()
    """What the user should know, a sentence each."""

    run: str | None = None
    """The run folder, where it was kept."""


def request_key(request: TalkRequest) -> str:
    """Recognise a talk that was begun before: the same request on the same content by the same version."""
    placed = replace(request, output=str(Path(request.output).resolve()))
    inputs = [path for path in (request.portrait, request.audio, request.driving) if path]
    inputs += [str(path) for path in EngineName.parse(request.options.engine).weights()]
    if request.options.motion:
        inputs.append(str(find_motion(request.options.motion) / MOTION_FILE))
    parts = [__version__, to_dict(placed), [file_fingerprint(path) for path in inputs]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
