"""A prepared dataset on disk: aligned pictures, their variants and what was measured on them, as mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegen.array_file import check_shapes, read_array
from facegen.config import load, write_json
from facegen.errors import InputError
from facegen.faces.parse import GLASSES, HAT
from facegen.generate.sliders import DRAWN, NAMES
from facegen.training.held_out import HELD_OUT_SHARE, is_held_out

SIDE = 128
"""Side of the packed pictures, pixels."""
HEAD = NAMES.index("head")
_FRONTAL_DEG = 7.0
ARRAYS = ("pictures", "drawn", "measured", "canonical", "flows", "shapes")
_OPTIONAL = ("large", "classes")
_DARK_CHIN_SHARE = 0.05
"""Share of a dataset whose chins are darkest."""
_MIN_ACCESSORY_SHARE = 0.002
"""Share of the picture that glasses or headgear have at least."""


_SHAPES: dict[str, tuple[int | None, ...]] = {
    "pictures": (None, None, SIDE, SIDE, 3),
    "drawn": (None, None, 5),
    "measured": (None, None, 5),
    "canonical": (None, SIDE, SIDE, 5),
    "flows": (None, None, 64, 64, 2),
    "shapes": (None, 468, 3),
    "mean_shape": (468, 3),
    "large": (None, 2 * SIDE, 2 * SIDE, 3),
    "classes": (None, 19),
}


@dataclass(frozen=True, kw_only=True)
class _Index:
    """What `dataset.json` holds."""

    names: tuple[str, ...]
    groups: tuple[str, ...]


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
    """(N, V, 5) float32 sliders that the geometry was drawn with, 0..1."""
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
    large: np.ndarray | None = None
    """(N, 256, 256, 3) uint8 RGB: photographs drawn with the mean shape, nothing inpainted; None where the dataset was made without."""
    classes: np.ndarray | None = None
    """(N, 19) float32: share of each of the parser's classes in the photograph; older datasets have none."""

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
        about = load(_Index, folder / "dataset.json")
        present = [*ARRAYS, *(name for name in _OPTIONAL if (folder / f"{name}.npy").is_file())]
        arrays = {name: read_array(folder / f"{name}.npy", is_mapped=True) for name in present}
        arrays["mean_shape"] = read_array(folder / "mean_shape.npy")
        check_shapes(folder, arrays, {name: _SHAPES[name] for name in arrays})
        count = len(about.names)
        uneven = [name for name in present if len(arrays[name]) != count]
        if not uneven and len(about.groups) != count:
            raise InputError(f"Expected {count} groups in {folder}, found {len(about.groups)}; make the dataset again.")
        if uneven:
            raise InputError(
                f"Expected {count} faces in {folder}, found {len(arrays[uneven[0]])} in {uneven[0]}.npy; make it again."
            )
        return cls(names=about.names, groups=about.groups, **arrays)

    def write(self, folder: Path) -> None:
        """Writes the folder that `read` opens."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "mean_shape.npy", self.mean_shape)
        for name in _OPTIONAL:
            if (array := getattr(self, name)) is not None:
                np.save(folder / f"{name}.npy", array)
        write_json(folder / "dataset.json", {"names": list(self.names), "groups": list(self.groups)})

    def is_frontal(self) -> np.ndarray:
        """(N,) bool: photographs of faces turned by less than 7 degrees; others are smeared in the canonical frame."""
        turned = np.abs(np.asarray(self.measured[:, 0, HEAD]) - 0.5)
        return turned < DRAWN["head"].value(_FRONTAL_DEG) - 0.5

    def is_rare(self) -> np.ndarray:
        """(N,) bool: photographs with glasses or headgear, or a beard (parser classes; luminance of the chin)."""
        light = np.asarray(self.canonical[..., :3]).mean(3)
        cheeks = np.concatenate([light[:, 72:84, 40:50], light[:, 72:84, 78:88]], 2).mean((1, 2))
        chin = light[:, 104:112, 56:72].mean((1, 2))
        is_rare = chin / cheeks < np.quantile(chin / cheeks, _DARK_CHIN_SHARE)
        if self.classes is not None:
            is_rare |= (self.classes[:, GLASSES] > _MIN_ACCESSORY_SHARE) | (self.classes[:, HAT] > _MIN_ACCESSORY_SHARE)
        return is_rare

    def is_held_out(self, share: float = HELD_OUT_SHARE) -> np.ndarray:
        """(N,) bool: faces that no training sees, see `training.held_out`."""
        return is_held_out(self.names, share)
