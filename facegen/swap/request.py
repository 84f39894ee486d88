"""Requests and results of swaps, and the keys by which finished work is recognised."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import __version__
from facegen.config import check, to_dict
from facegen.encoding import EncodeOptions
from facegen.errors import InputError
from facegen.faces.weights import resolve_detector
from facegen.jobs.cache import file_fingerprint
from facegen.jobs.files import INPUT, OUTPUT, settings_of
from facegen.jobs.job import Result, count_text
from facegen.swap.options import LIVE_PORTRAIT, SwapOptions
from facegen.training.info import TASK_MODELS


@dataclass(frozen=True, kw_only=True)
class SwapRequest:
    """One swap to be done."""

    sources: tuple[str, ...] = field(default=(), metadata={**INPUT, "flag": "source", "short": "s"})
    """A picture of the face, a folder of pictures or a video; may be repeated."""

    target: str = field(metadata={**INPUT, "short": "t"})
    """The video or picture that gets the face."""

    output: str = field(metadata={**OUTPUT, "short": "o"})
    """Where the result goes."""

    options: SwapOptions = field(default_factory=SwapOptions)
    """How it is done."""

    people: Mapping[int, tuple[str, ...]] = field(
        default_factory=dict, metadata={**INPUT, "flag": "person", "metavar": "N=SOURCE"}
    )
    """Sources by person of the clip (0 is on screen the longest), in place of `sources`; may be repeated. People that are
    not named here keep their face."""

    patches: bool = False
    """Write the new faces alone into the folder `output`, for compositors: 16-bit pictures with alpha, and the matrices
    that lay them into the frames (trained models only)."""

    def __post_init__(self) -> None:
        if not self.sources and not self.people and self.options.needs_source:
            raise InputError("Expected a source face, but got none; name a picture with --source.")
        if self.options.engine == LIVE_PORTRAIT and not self.options.sliders:
            raise InputError(
                f"Expected sliders for the engine {LIVE_PORTRAIT}, found none; add --sliders mouth-smile=0.5."
            )
        if self.sources and self.people:
            raise InputError(
                "Expected sources for everybody or for each person, but got both; leave out one of the two."
            )

    def all_sources(self) -> tuple[tuple[str, ...], ...]:
        """Every distinct set of sources, one identity each."""
        return tuple(dict.fromkeys(self.people.values())) if self.people else (self.sources,)

    @property
    def names_people(self) -> bool:
        """Whether people of the clip are meant by their numbers."""
        return bool(self.people) or self.options.faces == "person"

    def analysed_options(self) -> SwapOptions:
        """The options with the part of the target that is analysed: all of it where people are meant by number.

        The numbers are then those that «find people» shows, whatever the trim.
        """
        return replace(self.options, start_seconds=0.0, end_seconds=None) if self.names_people else self.options


@dataclass(frozen=True, kw_only=True)
class SwapResult(Result):
    """What a swap did."""

    output: str = field(metadata=OUTPUT)
    """The file written; a folder with patches."""

    frames: int
    """Frames in it."""

    faces: int
    """Faces replaced, counted over all frames."""

    people: int
    """Different people in the target whose face was replaced."""

    seconds: float
    """Wall-clock time, this process only."""

    resumed_frames: int = 0
    """Frames taken over from an earlier run that was cut off."""

    stages: Mapping[str, float] = field(default_factory=dict)
    """Seconds of work by stage (stages overlap, so they add up to more than `seconds`)."""

    rates: Mapping[str, float] = field(default_factory=dict)
    """Frames a second of the two passes."""

    @property
    def summary(self) -> str:
        """Frames, faces and seconds, in words."""
        again = f" ({count_text(self.resumed_frames, 'frame')} done before)" if self.resumed_frames else ""
        done = f"{count_text(self.frames, 'frame')}, {count_text(self.faces, 'face')}"
        return f"{done} in {self.seconds:.1f} s{again}."


@dataclass(frozen=True, kw_only=True)
class SwapTrainRequest:
    """A swap of two people with a model of its own."""

    person_a: tuple[str, ...] = field(metadata=INPUT)
    """Video or pictures of the person in the target; may be repeated."""
    person_b: tuple[str, ...] = field(metadata=INPUT)
    """Video or pictures of whose face it gets; may be repeated."""
    target: str = field(metadata={**INPUT, "flag": "merge"})
    """The video that gets the face."""
    output: str = field(default="", metadata={**OUTPUT, "short": "o"})
    """The result (nothing: merged.mp4, or of --merge-file-type, in the run folder)."""
    preset: str = "small-128"
    """Preset of the training «saehd»."""
    fresh: bool = False
    """Begin with nothing instead of the pretrained model (preset small-128)."""
    minutes: float = field(default=45.0, metadata={"min": 0.0, "max": 100_000.0})
    """Time budget of the training; 0 leaves it to the preset's steps."""
    changes: tuple[str, ...] = field(default=(), metadata={"flag": "set", "metavar": "KEY=VALUE", **TASK_MODELS})
    """A further setting of the training; may be repeated."""
    every: int = field(default=2, metadata={"min": 1, "max": 1000, "step": 1})
    """Cut faces out of every so many frames."""
    merge: str = field(default="", metadata={"flag": "merge-settings", **settings_of("own_mask")})
    """How the face is merged, such as «mode=seamless, mask=hull»; else sharp and mesh-guided."""
    encode: EncodeOptions = field(default_factory=EncodeOptions, metadata={"prefix": "merge_"})
    """How the result is encoded."""

    def __post_init__(self) -> None:
        check(self)
        for name, given in (("person A", self.person_a), ("person B", self.person_b), ("merging", self.target)):
            if not given:
                raise InputError(f"Expected a video for {name}, found none; choose one.")


@dataclass(frozen=True, kw_only=True)
class SwapTrainResult(Result):
    """What came out."""

    output: str = field(metadata=OUTPUT)
    """The file written."""
    faces_a: int
    """Faces of person A that were trained on."""
    faces_b: int
    """Those of person B."""
    steps: int
    """Steps trained in all."""
    frames: int
    """Frames merged."""
    resumed: tuple[str, ...] = ()
    """Steps of the work that an earlier call had done."""

    @property
    def summary(self) -> str:
        """Frames and steps, in words."""
        return f"{count_text(self.frames, 'frame')} after {count_text(self.steps, 'step')} of training."


def analysis_key(target: str | Path, options: SwapOptions) -> str:
    """Recognises a target's analysis: it depends on the content, on the trim, the detector and the recogniser."""
    detector = resolve_detector(options.detector)
    key = ("analysis", file_fingerprint(target), options.start_seconds, options.end_seconds)
    return _digest(*key, *(name for name in (detector, options.recogniser) if name != "embedded"))


def request_key(request: SwapRequest) -> str:
    """Recognises a swap that was begun before: the same request on the same content by the same version."""
    placed = replace(request, output=str(Path(request.output).resolve()))
    sources = sorted({path for group in request.all_sources() for path in group})
    return _digest(
        __version__,
        to_dict(placed),
        [file_fingerprint(path) for path in (*sources, request.target)],
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
