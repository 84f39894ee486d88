"""What goes into a swap and what comes out, and the fingerprints by which work already done is recognised."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from facegen import __version__
from facegen.config import to_dict
from facegen.errors import InputError
from facegen.media.fingerprint import file_fingerprint
from facegen.swap.options import SwapOptions


@dataclass(frozen=True, kw_only=True)
class SwapRequest:
    """One swap to be done."""

    sources: tuple[str, ...] = ()
    """Pictures, folders of pictures or videos of the person whose face is wanted."""

    target: str
    """The video or picture that gets the face."""

    output: str
    """Where the result goes."""

    options: SwapOptions = field(default_factory=SwapOptions)
    """How it is done."""

    people: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Sources by person of the clip, in place of `sources`; people that are not named here keep their face."""

    def __post_init__(self) -> None:
        if not self.sources and not self.people and not self.options.is_trained:
            raise InputError("Expected a source face, but got none; name a picture with --source.")
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
class SwapResult:
    """What a swap did."""

    output: str
    """The file written."""

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

    notices: tuple[str, ...] = ()
    """What the user should know, a sentence each."""

    run: str | None = None
    """The run folder, where it was kept."""


def analysis_key(target: str | Path, options: SwapOptions) -> str:
    """Recognise a target's analysis: it depends on the content and on the trim, and on nothing else."""
    return _digest("analysis", file_fingerprint(target), options.start_seconds, options.end_seconds)


def request_key(request: SwapRequest) -> str:
    """Recognise a swap that was begun before: the same request on the same content by the same version."""
    placed = replace(request, output=str(Path(request.output).resolve()))
    sources = sorted({path for group in request.all_sources() for path in group})
    return _digest(
        __version__,
        to_dict(placed),
        [file_fingerprint(path) for path in (*sources, request.target)],
    )


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
