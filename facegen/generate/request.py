"""Requests to the generator and their results. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from facegen.config import check
from facegen.errors import InputError
from facegen.generate.sliders import NAMES, Sliders


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Options of drawing faces, beside the five sliders."""

    seed: int = field(default=0, metadata={"min": 0, "max": 2**31 - 1, "step": 1})
    """Seed of the first face; further faces take the following seeds."""
    count: int = field(default=1, metadata={"min": 1, "max": 10_000, "step": 1})
    """Number of faces."""
    temperature: float = field(default=0.8, metadata={"min": 0.0, "max": 1.2, "step": 0.05})
    """Variance of the samples: 0 gives mean faces, 1 the variance of the data."""
    retouch: bool = True
    """Draw details anew as a photograph has them, at 256 pixels."""
    best_of: int = field(default=1, metadata={"min": 1, "max": 16, "step": 1})
    """Seeds tried for each face; the one that looks most like a photograph is kept."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """Pictures to write into a folder."""

    FORMAT: ClassVar[int] = 1

    output: str
    """Folder that gets 0000.png and so on; made where it is missing."""
    sliders: Sliders = field(default_factory=Sliders)
    """The five values."""
    options: GenerateOptions = field(default_factory=GenerateOptions)
    """Seed, count and so on."""
    more: dict[str, float] = field(default_factory=dict)
    """Further directions by name, about -3 to 3."""
    sweep: tuple[str, ...] = ()
    """One or two sliders that go from 0 to 1 (a strip, or a square) in place of single pictures."""
    film: bool = False
    """Write a sweep of one slider as an MP4 too."""
    edit: str = ""
    """A photograph whose face is drawn instead of a new one."""
    given: tuple[str, ...] = NAMES
    """Sliders that were set; when a photograph is edited, the others stay as they are in it."""

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.sweep, *self.given) if name not in NAMES]
        if unknown:
            raise InputError(f"Expected sliders of {', '.join(NAMES)}, found {unknown[0]!r}.")
        if len(self.sweep) > 2 or len(set(self.sweep)) < len(self.sweep):
            raise InputError(f"Expected one or two different sliders to sweep, found {', '.join(self.sweep)}.")
        if self.film and len(self.sweep) != 1:
            raise InputError("Expected a sweep of one slider for a film, found none or two; add --sweep mouth.")
        if self.edit and not Path(self.edit).is_file():
            raise InputError(f"Expected a photograph at {self.edit}, found no file there; check the path.")


@dataclass(frozen=True, kw_only=True)
class GenerateResult:
    """What was written."""

    files: tuple[str, ...]
    """Pictures (and a film), in order."""
    seconds: float
    """Time that drawing and writing took."""
    scores: tuple[float, ...] = ()
    """How much each face looks like a photograph, 0 to 1, where it was chosen among several."""
    notices: tuple[str, ...] = ()
    """What the user should know."""
