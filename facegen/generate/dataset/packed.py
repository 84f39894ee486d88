"""A prepared dataset on disk: aligned pictures, their variants and what was measured on them, as mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from facegen.config import read_json, write_json
from facegen.errors import InputError
from facegen.generate.sliders import DRAWN, NAMES

SIDE = 128
HEAD = NAMES.index("head")
_AHEAD_DEG = 7.0
"""Side of the packed pictures, pixels."""
ARRAYS = ("pictures", "drawn", "measured", "canonical", "flows", "shapes")


@dataclass(frozen=True, eq=False, kw_only=True)
class PackedFaces:
    """N faces with V pictures each; the first picture of a face is its photograph, the others are variants."""

    names: tuple[str, ...]
    """Of the photographs, relative to the folder they came from."""
    groups: tuple[str, ...]
    """Their labels (first folder of the name: «female», «male»), or "" where there is none."""
    pictures: np.ndarray
    """(N, V, 128, 128, 3) uint8 RGB."""
    drawn: np.ndarray
    """(N, V, 5) float32 sliders that the geometry was asked for, 0..1."""
    measured: np.ndarray
    """(N, V, 5) float32 sliders as measured; NaN where nothing was measured."""
    canonical: np.ndarray
    """(N, 128, 128, 5) uint8: RGB, hair and background drawn with the mean shape."""
    flows: np.ndarray
    """(N, V, 64, 64, 2) float16 flows from the canonical picture, pixels of the 256-pixel frame."""
    shapes: np.ndarray
    """(N, 468, 3) float32."""
    mean_shape: np.ndarray
    """(468, 3) float32."""

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def read(cls, folder: Path | None) -> PackedFaces:
        """Opens what `facegen generate dataset` made.

        Raises:
            InputError: the folder is not one of these, or is not complete.
        """
        if folder is None:
            raise InputError("Expected a folder made by «facegen generate dataset», found none given; add --data DIR.")
        folder = Path(folder)
        missing = [n for n in (*(f"{a}.npy" for a in ARRAYS), "mean_shape.npy") if not (folder / n).is_file()]
        if missing or not (folder / "dataset.json").is_file():
            raise InputError(
                f"Expected a folder made by «facegen generate dataset», found no {(missing or ['dataset.json'])[0]} in "
                f"{folder}; make one first."
            )
        about = read_json(folder / "dataset.json")
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        count = len(about["names"])
        uneven = [name for name, array in arrays.items() if len(array) != count]
        if uneven:
            raise InputError(
                f"Expected {count} faces in {folder}, found {len(arrays[uneven[0]])} in {uneven[0]}.npy; make it again."
            )
        return cls(
            names=tuple(about["names"]),
            groups=tuple(about["groups"]),
            mean_shape=np.load(folder / "mean_shape.npy"),
            **arrays,
        )

    def write(self, folder: Path) -> None:
        """Writes the folder that `read` opens."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "mean_shape.npy", self.mean_shape)
        write_json(folder / "dataset.json", {"names": list(self.names), "groups": list(self.groups)})

    def look_ahead(self) -> np.ndarray:
        """(N,) bool: photographs of faces turned by less than 7 degrees; others are smeared in the canonical frame."""
        turned = np.abs(np.asarray(self.measured[:, 0, HEAD]) - 0.5)
        return turned < DRAWN["head"].value(_AHEAD_DEG) - 0.5

    def held_back(self, share: float = 300 / 3500) -> np.ndarray:
        """(N,) bool: faces that no training sees, chosen by the hash of their names: the same on every machine."""
        hashes = [sha256(Path(name).name.encode()).hexdigest() for name in self.names]
        order = np.argsort(hashes)
        kept = np.zeros(len(self), bool)
        kept[order[: max(1, round(len(self) * share))]] = True
        return kept
