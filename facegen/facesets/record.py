"""`FaceRecord`: metadata of one aligned face; a line of `metadata.jsonl`.

Points are in pixels of the aligned picture, x to the right, y down. `crop_matrix` brings the source picture to it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from dataclasses import replace as replace_fields
from functools import cached_property
from typing import Any

import numpy as np

from facegen.errors import InputError
from facegen.faces.face import POINTS68_INDEX, Face, box_of, points5_of

_SHAPES: dict[str, tuple[tuple[int, ...], int]] = {
    "crop_matrix": ((2, 3), 6),
    "points478": ((478, 3), 2),
    "landmarks68": ((68, 2), 2),
    "head_matrix": ((4, 4), 5),
    "blendshapes": ((52,), 4),
    "embedding": ((128,), 5),
}
"""Fields that are arrays: shape, and decimals that are written."""
_HIDDEN_DECIMALS = 4
BRUSH, TRAINED = "brush", "trained"
"""`FaceRecord.mask_kind` of masks drawn by hand, and of those of a mask network trained on such."""
_POINTS5_OF_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceRecord:
    """One face of a faceset."""

    file_name: str
    """The picture, relative to the faceset's folder."""
    face_type: str
    """How much of the head it shows; see `crop.FACE_TYPES`."""
    size: int = 0
    """Side of the picture, pixels."""
    source: str = ""
    """Name of the video or picture that it was cut from."""
    source_frame: int | None = None
    """Which frame of a video, counted from 0."""
    source_seconds: float | None = None
    """When that frame is shown."""
    source_face: int = 0
    """Which face of that frame, largest first."""
    source_height: int | None = None
    """Rows of the source picture."""
    source_width: int | None = None
    """Columns of the source picture."""
    face_px: float = 0.0
    """Size of the face in the source, pixels: side of the square that has its box's area."""
    crop_matrix: np.ndarray | None = None
    """(2, 3) float32: source pixels to pixels of this picture."""
    points478: np.ndarray | None = None
    """(478, 3) float32 mesh; None where none was detected (imported faces)."""
    landmarks68: np.ndarray | None = None
    """(68, 2) float32 where they came with the face instead of from the mesh."""
    head_matrix: np.ndarray | None = None
    """(4, 4) float32 pose, as `Face.matrix`."""
    yaw_deg: float = 0.0
    """Positive looks to the picture's right."""
    pitch_deg: float = 0.0
    """Positive looks up."""
    roll_deg: float = 0.0
    """Clockwise tilt in the source."""
    blendshapes: np.ndarray | None = None
    """(52,) float32 in 0..1, named by `faces.BLENDSHAPES`."""
    embedding: np.ndarray | None = None
    """(128,) float32; of the whole appearance where the clip was followed, else of this picture."""
    track: int | None = None
    """The unbroken appearance in its source that it belongs to."""
    score: float = 1.0
    """0..1: how sure the detector was."""
    sharpness: float = 0.0
    """Energy of fine detail inside the face relative to its contrast; higher is sharper."""
    motion_blur: float = 0.0
    """0..1: how much detail is missing along one direction only."""
    brightness: float = 0.0
    """Mean luma inside the face, 0..255."""
    hue: float = 0.0
    """Mean direction of colour inside the face, degrees 0..360."""
    black: float = 0.0
    """Share of the picture that is black: beyond the border of its source."""
    phash: str = ""
    """64 bits that hardly change with size and compression, 16 hexadecimal digits."""
    mask_file_name: str | None = None
    """The mask, a grey PNG of the picture's size, relative to the faceset's folder."""
    mask_kind: str | None = None
    """What made the mask: hull, parser, trained, brush, imported."""
    polygons: tuple[tuple[bool, tuple[tuple[float, float], ...]], ...] | None = None
    """Outlines drawn by hand in DeepFaceLab: (belongs to the face, points in pixels)."""

    @property
    def stem(self) -> str:
        """The name without the number that sorting puts before it, and without ending: unique in a faceset."""
        return stem_of(self.file_name)

    @cached_property
    def points68(self) -> np.ndarray:
        """(68, 2) float32 pixels, iBUG order."""
        if self.landmarks68 is not None:
            return self.landmarks68
        if self.points478 is None:
            raise InputError(f"Expected points of the face in {self.file_name}, found none; extract it again.")
        return self.points478[list(POINTS68_INDEX), :2]

    @property
    def points5(self) -> np.ndarray:
        """(5, 2) float32 pixels: eye centres, nose tip, mouth corners, from the mesh or else from the 68 points."""
        if (face := self.face) is not None:
            return face.points5
        return np.stack([self.points68[list(group)].mean(0) for group in _POINTS5_OF_68]).astype(np.float32)

    @property
    def face(self) -> Face | None:
        """The face in this picture, for whatever works on faces; None where it has no mesh."""
        if self.points478 is None or self.head_matrix is None:
            return None
        return Face(
            box_xyxy=box_of(self.points478),
            points5=points5_of(self.points478),
            points478=self.points478,
            matrix=self.head_matrix,
            blendshapes=self.blendshapes if self.blendshapes is not None else np.zeros(52, np.float32),
            embedding=self.embedding,
            score=self.score,
            track_id=self.track,
        )

    def replace(self, **changes: Any) -> FaceRecord:
        """This record with some fields changed."""
        return replace_fields(self, **changes)

    def transform(self, matrix: np.ndarray) -> FaceRecord:
        """This record for its picture warped by a (2, 3) similarity from old pixels to new ones."""
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        changes: dict[str, Any] = {}
        if self.points478 is not None:
            xy = self.points478[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            changes["points478"] = np.column_stack([xy, self.points478[:, 2] * scale]).astype(np.float32)
        if self.landmarks68 is not None:
            changes["landmarks68"] = (self.landmarks68 @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        if self.crop_matrix is not None:
            whole = np.vstack([self.crop_matrix, [0, 0, 1]])
            changes["crop_matrix"] = (matrix @ whole).astype(np.float32)
        if self.polygons is not None:
            changes["polygons"] = tuple(
                (inside, tuple(map(tuple, (np.array(points) @ matrix[:, :2].T + matrix[:, 2]).tolist())))
                for inside, points in self.polygons
            )
        return self.replace(**changes)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; arrays are nested lists."""
        data: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                decimals = _SHAPES[item.name][1]
                value = np.round(value.astype(np.float64), decimals).tolist()
            elif isinstance(value, (float, np.floating)):
                value = round(float(value), _HIDDEN_DECIMALS)
            data[item.name] = value
        return data

    @classmethod
    def from_json(cls, data: Any) -> FaceRecord:
        """Rebuilds a record; keys that facegen does not know are left out.

        Raises:
            InputError: it is no record, a name leads out of the faceset, or an array has another shape than it must.
        """
        try:
            return cls._from_json(data)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            name = data["file_name"]
            raise InputError(
                f"Expected other values for {name!r:.80} in metadata.jsonl, but {error}; restore the metadata."
            ) from error

    @classmethod
    def _from_json(cls, data: Any) -> FaceRecord:
        if not isinstance(data, dict) or not isinstance(data.get("file_name"), str):
            raise InputError("Expected an object with a file_name in every line of metadata.jsonl, found another.")
        for name in ("file_name", "mask_file_name"):
            _check_inside(data.get(name))
        values = {key: value for key, value in data.items() if key in _KINDS}
        values.setdefault("face_type", "unknown")
        # not a number is written as null
        values = {key: value for key, value in values.items() if value is not None or type(None) in _KINDS[key]}
        for name, value in values.items():
            if not isinstance(value, _KINDS[name]):
                raise InputError(
                    f"Expected {name} of another kind for {data['file_name']!r} in metadata.jsonl, found "
                    f"{type(value).__name__}; restore the metadata."
                )
        for name, (shape, _) in _SHAPES.items():
            if values.get(name) is not None:
                array = np.asarray(values[name], np.float32)
                if array.shape != shape:
                    raise InputError(
                        f"Expected {name} of shape {shape} for {data['file_name']!r} in metadata.jsonl, found "
                        f"{array.shape}; restore the metadata."
                    )
                values[name] = array
        if values.get("polygons") is not None:
            values["polygons"] = tuple(
                (bool(i), tuple((float(x), float(y)) for x, y in p)) for i, p in values["polygons"]
            )
        return cls(**values)


def _kinds() -> dict[str, tuple[type, ...]]:
    """What the JSON value of each field may be."""
    plain: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    return {
        item.name: (
            *plain.get(str(item.type).removesuffix(" | None"), (list,)),
            *([type(None)] * ("None" in str(item.type))),
        )
        for item in fields(FaceRecord)
    }


_KINDS = _kinds()


def _check_inside(name: Any) -> None:
    """Raises InputError for a name that is no path below the faceset's folder: metadata may come from anybody."""
    if name is None:
        return
    parts = name.replace("\\", "/").split("/") if isinstance(name, str) else [".."]
    if any(part in ("", ".", "..") for part in parts) or ":" in parts[0] or "\0" in name:
        raise InputError(f"Expected names inside the faceset, found {name!r}; its metadata is not to be trusted.")


def stem_of(file_name: str) -> str:
    """A file's name without folder, ending and the five digits that sorting puts before it."""
    stem = file_name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return stem[6:] if len(stem) > 6 and stem[:5].isdigit() and stem[5] == "_" else stem
