"""Which part of ../shared/data constants and weights may be chosen on, and which part only proves: the rule of all benchmarks.

    python -m benchmarks.division [FOLDER]

prints how much of each collection is in either part; with FOLDER the tuning part is laid out there as links, and a training or
a choice of constants that is given that folder cannot read the other part.

What must not lie in both parts is a unit: a person, a clip, or a picture of somebody who is seen once. A unit proves if
the SHA-256 of its collection and name, in hexadecimal, is below the cut of its collection. The cuts of `faces` are those by which the parser
and the generator have held pictures back since their first training. Where shipped weights had been trained by another rule, or
constants chosen by eye, before this one was written, the units that these had left out are named instead of a cut; a unit of
`SEEN` never proves. Whatever belongs to no collection may be tuned on.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

from benchmarks.report import table
from facegen.errors import InputError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Part = Literal["proving", "tuning"]
PARTS: tuple[Part, ...] = get_args(Part)

_TALKS = ("vasa_3", "vasa_l3", "vasa_13", "cnn2_25fps_512_71s", "swiz3n", "lrwp9a", "sbwe5n")
"""Clips that the motion network has not read, the last four are recordings of people; no constant of swaps was chosen on them."""
_PORTRAITS = tuple(f"{sex}_{number:02}" for sex in ("female", "male") for number in range(0, 200, 4))
"""Every fourth portrait: trainings for swaps have left these out."""
SEEN = frozenset({"female_00", "female_04", "female_08", "female_24", "male_12", "male_24", "001", "018"})
"""Portraits that constants of the swap were chosen on."""


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Files of one kind."""

    name: str
    pattern: str
    """Matches a file's path below `DATA`; its group is the unit's name."""
    cut: str = ""
    """Units whose hash is below this prove."""
    hashed: str = "{name}/{unit}"
    """What is hashed."""
    proving: tuple[str, ...] = ()
    """Units that prove by name."""

    def unit(self, file: str) -> str | None:
        """The name of the unit that a file shows; None if it is of another collection."""
        found = re.match(self.pattern, file)
        return found[1] if found else None

    def is_proving(self, unit: str) -> bool:
        """Whether a unit only proves."""
        hashed = sha256(self.hashed.format(name=self.name, unit=unit).encode()).hexdigest()
        return unit not in SEEN and (unit in self.proving or hashed < self.cut)


COLLECTIONS = (
    Collection(name="identities", pattern=r"identities/([^/]+)/", cut="8"),
    Collection(name="portraits/synthetic", pattern=r"portraits/synthetic/([a-z]+_\d+)_", proving=_PORTRAITS),
    Collection(name="portraits/london", pattern=r"portraits/london/(\d+)_", cut="8"),
    Collection(name="talking", pattern=r"talking/(?:.*/)?([^/]+)\.[a-z0-9]+$", proving=_TALKS),
    Collection(name="clips", pattern=r"clips/([^/]+)\.[a-z0-9]+$"),
    Collection(name="speech", pattern=r"speech/([^/]+)\.[a-z0-9]+$", cut="8"),
    # a photograph as WebP in generated512 is the same face
    Collection(
        name="faces/generated",
        pattern=r"faces/generated(?:512)?/[a-z]+/([^/]+)\.(?:jpg|webp)$",
        cut="1664",
        hashed="{unit}.jpg",
    ),
    Collection(
        name="faces/celebamask",
        pattern=r"faces/celebamask/[a-z]+/([^/]+)\.(?:jpg|png)$",
        cut="1b",
        hashed="{unit}",
    ),
)


def part_of(file: Path | str) -> Part:
    """The part that a file belongs to.

    Args:
        file: below `DATA`, absolute or as a path from there.
    """
    path = Path(file)
    name = (path.relative_to(DATA) if path.is_absolute() else path).as_posix()
    for collection in COLLECTIONS:
        unit = collection.unit(name)
        if unit is not None:
            return "proving" if collection.is_proving(unit) else "tuning"
    return "tuning"


def find(pattern: str, part: Part, data: Path = DATA) -> list[Path]:
    """The files of one part, in the order of their names.

    Args:
        pattern: of file names below `data`, as `Path.glob` takes it.
        part: which.
        data: a folder laid out like `DATA`.

    Raises:
        InputError: there are none.
    """
    paths = sorted(path for path in data.glob(pattern) if path.is_file())
    found = [path for path in paths if part_of(path.relative_to(data)) == part]
    if not found:
        raise InputError(
            f"Expected files {pattern} of the {part} part below {data}, found none; this needs the local material of "
            "../shared/data."
        )
    return found


def lay_out(folder: Path, part: Part = "tuning", pattern: str = "**/*") -> int:
    """Links the files of one part, or those of them that match a pattern, into a new folder that is laid out like `DATA`; returns how many.

    Raises:
        InputError: the folder has files in it, or there is no material.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"Expected a new or empty folder at {folder}, found files in it; choose another.")
    paths = find(pattern, part)
    for path in paths:
        target = folder / path.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(path, target)
    return len(paths)


def _counts() -> Iterator[dict[str, object]]:
    """Units of each collection by part."""
    files = [path.relative_to(DATA).as_posix() for path in sorted(DATA.rglob("*")) if path.is_file()]
    for collection in COLLECTIONS:
        units = {unit for unit in map(collection.unit, files) if unit is not None}
        counted = Counter(collection.is_proving(unit) for unit in units)
        yield {"collection": collection.name, "proving": counted[True], "tuning": counted[False]}


def main(arguments: list[str]) -> None:
    """Print the division, or lay the tuning part out."""
    if arguments:
        print(f"{lay_out(Path(arguments[0]))} files of the tuning part are linked in {arguments[0]}")
    else:
        print(table(list(_counts())))


if __name__ == "__main__":
    main(sys.argv[1:])
