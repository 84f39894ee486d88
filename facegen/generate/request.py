"""Requests to the generator and their results. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

from facegen.config import check
from facegen.encoding import EncodeOptions, LabelLanguage, check_label
from facegen.errors import InputError
from facegen.generate.sliders import NAMES, Sliders
from facegen.jobs.files import INPUT, OUTPUT
from facegen.jobs.job import Result
from facegen.reenact.editing import SLIDERS, parse_sliders


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """Options of drawing faces, beside the five sliders."""

    seed: int = field(default=0, metadata={"min": 0, "max": 2**31 - 1, "step": 1})
    """Seed of the first face; further faces take the following seeds."""
    count: int = field(default=1, metadata={"min": 1, "max": 10_000, "step": 1})
    """Number of faces."""
    temperature: float = field(default=0.8, metadata={"min": 0.0, "max": 1.2, "step": 0.05})
    """How much faces differ: 0 draws the average face, 1 faces as different as people are."""
    retouch: bool = True
    """Draw details anew as a photograph has them."""
    size: Literal[256, 512] = 512
    """Side of retouched faces and their films, pixels; sweeps as pictures show each face at 256."""
    expression: str = field(default="", metadata={"several": SLIDERS})
    """LivePortrait's sliders for an edited photograph, once it is fetched, -1 to 1 each, 0.5 where no value is given:
    «mouth-smile, head-yaw=-0.3»."""
    best_of: int = field(default=1, metadata={"min": 1, "max": 16, "step": 1})
    """Seeds tried for each face; the one that looks most like a photograph is kept."""
    label: LabelLanguage = field(default="auto", metadata={"choices": get_args(LabelLanguage)})
    """Words in a corner that say that AI made it, in this language; `auto` writes them where the studio's profile says so."""

    def __post_init__(self) -> None:
        check(self)
        check_label(self)
        parse_sliders(self.expression)


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """Pictures to write into a folder."""

    FORMAT: ClassVar[int] = 1

    output: str = field(metadata={**OUTPUT, "short": "o"})
    """Folder that gets 0000.png and so on; made where it is missing."""
    sliders: Sliders = field(default_factory=Sliders)
    """The five values."""
    options: GenerateOptions = field(default_factory=GenerateOptions)
    """Seed, count and so on."""
    more: Mapping[str, float] = field(default_factory=dict, metadata={"metavar": "NAME=STEP"})
    """A further direction, about -3 to 3, e.g. smile=1.5; may be repeated."""
    sweep: tuple[str, ...] = field(default=(), metadata={"metavar": "SLIDER"})
    """Let this slider go from 0 to 1: a strip; given twice, a square."""
    film: bool = False
    """Write a sweep of one slider as a video too, an MP4 unless another `film_file_type` is chosen."""
    encode: EncodeOptions = field(default_factory=EncodeOptions, metadata={"prefix": "film_"})
    """How the film is encoded."""
    edit: str = field(default="", metadata={**INPUT, "metavar": "PHOTO"})
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
        if self.encode.transparency:
            raise InputError("Expected a film without transparency, as faces have none, found it on; leave it out.")
        if self.options.expression and not self.edit:
            raise InputError("Expected a photograph whose expression changes, found none; add --edit PHOTO.")
        if self.edit and not Path(self.edit).is_file():
            raise InputError(f"Expected a photograph at {self.edit}, found no file there; check the path.")


@dataclass(frozen=True, kw_only=True)
class GenerateResult(Result):
    """What was written."""

    files: tuple[str, ...] = field(metadata=OUTPUT)
    """Pictures (and a film), in order."""
    seconds: float
    """Time that drawing and writing took."""
    scores: tuple[float, ...] = ()
    """How much each face looks like a photograph, 0 to 1, where it was chosen among several."""

    @property
    def summary(self) -> str:
        """Files and seconds, in words."""
        return f"{len(self.files)} {'file' if len(self.files) == 1 else 'files'} in {self.seconds:.1f} s."


@dataclass(frozen=True, kw_only=True)
class DatasetRequest:
    """A dataset to be made."""

    photographs: str = field(metadata=INPUT)
    """Folder of photographs; its sub-folders are labels (female, male)."""
    output: str = field(metadata={**OUTPUT, "short": "o"})
    """Folder that gets resized/, augmented/, final/, the CSV files and the packed arrays."""
    keep: str = ""
    """Which pictures are kept, as the attribute network sees them, e.g. female>=0.9999; empty keeps all."""
    augment: bool = True
    """Add a copy of other brightness of each picture."""
    variants: int = field(default=3, metadata={"min": 0, "max": 16, "step": 1})
    """Pictures of other sliders made of each photograph."""
    large: bool = False
    """Keep photographs at 256 pixels too, for the larger retoucher, in the bundled generator's canonical frame."""
    labels: str = field(default="", metadata=INPUT)
    """A CSV of hand labels (name, eyes, mouth, hair_color, background, head) that count before what is measured."""
    seed: int = field(default=0, metadata={"min": 0, "max": 2**31 - 1})
    """Of brightness and variants."""

    def __post_init__(self) -> None:
        check(self)
        parse_keep(self.keep)


@dataclass(frozen=True, kw_only=True)
class DatasetResult(Result):
    """What was made, step by step."""

    rows: tuple[tuple[str, int, str], ...]
    """Step, pictures after it, and what else there is to say."""
    skipped: tuple[str, ...]
    """Photographs without a usable face."""

    @property
    def summary(self) -> str:
        """Pictures and photographs, in words."""
        counts = {step: count for step, count, _ in self.rows}
        return f"{counts['training pictures']} training pictures of {counts['photographs']} photographs."

    @property
    def table(self) -> str:
        """The steps, a line each."""
        return "\n".join(f"{step:24} {count:8}  {text}" for step, count, text in self.rows)


def parse_keep(text: str) -> tuple[str, float]:
    """«female>=0.9999» as label and threshold; ("", 0) for nothing.

    Raises:
        InputError: it is something else.
    """
    if not text.strip():
        return "", 0.0
    found = re.fullmatch(r"\s*(female|male)\s*>=?\s*(0?\.\d+|0|1(?:\.0*)?)\s*", text)
    if not found:
        raise InputError(f"Expected a choice like female>=0.9999, found {text!r}.")
    return found[1], float(found[2])
