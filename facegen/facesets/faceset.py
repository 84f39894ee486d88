"""A faceset: a folder of aligned faces with `metadata.jsonl`, as `datasets.load_dataset("imagefolder")` reads it.

```
faces/
  metadata.jsonl          a line a face, see FaceRecord; its order is the faceset's
  clip_000012_0.jpg       the faces, square, all of one size and face type
  masks/clip_000012_0.png grey, where there are masks
  .trash/                 what `clean` and `sort --by final` took out, with its own metadata.jsonl
  .faceset/               how far an extraction came
```

A change of many names is written to `.faceset/pending.jsonl` first and finished by whoever opens the folder next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import orjson

from facegen.errors import InputError, ResourceError
from facegen.facesets.record import FaceRecord, stem_of
from facegen.jobs.ordered_map import ordered_map
from facegen.media import atomic_output, read_picture, write_picture

METADATA = "metadata.jsonl"
MASKS = "masks"
TRASH = ".trash"
STATE = ".faceset"
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_THREADS = 2

T = TypeVar("T")
OnProgress = Callable[[float, str], None]


def read_records(path: Path) -> list[FaceRecord]:
    """The records of a metadata file.

    Raises:
        InputError: a line is damaged; the sentence says which.
    """
    records = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                records.append(FaceRecord.from_json(orjson.loads(line)))
            except (ValueError, InputError) as error:
                raise InputError(
                    f"Expected JSON in line {number} of {path}, but {error}; restore the metadata or delete that line."
                ) from error
    return records


def write_records(path: Path, records: Iterable[FaceRecord]) -> None:
    """Writes a metadata file, whole or not at all."""
    with atomic_output(path) as temporary, temporary.open("wb") as file:
        for record in records:
            file.write(orjson.dumps(record.to_json()) + b"\n")
        file.flush()
        os.fsync(file.fileno())


class Faceset:
    """The faces of one folder, in order. Values: a change makes a new faceset and writes it.

    Attributes:
        folder: the folder.
        records: one a face.
    """

    def __init__(self, folder: Path, records: Sequence[FaceRecord]) -> None:
        self.folder, self.records = Path(folder), tuple(records)

    def __len__(self) -> int:
        return len(self.records)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Faceset:
        """Reads a faceset; finishes a change of names that was cut off.

        Raises:
            InputError: there is none in the folder, or its metadata is damaged.
        """
        path = Path(folder)
        if not (path / METADATA).is_file():
            hint = "unpack it first" if any(path.glob("*.tar")) else "make one with: facegen faceset extract"
            raise InputError(f"Expected a faceset (a folder with {METADATA}) at {path}, found none; {hint}.")
        if (path / STATE / "pending.jsonl").is_file():
            _finish_renaming(path)
        return cls(path, read_records(path / METADATA))

    @property
    def face_type(self) -> str:
        """The face type that its faces have; that of the first one where they differ."""
        return self.records[0].face_type if self.records else "unknown"

    def path(self, record: FaceRecord) -> Path:
        """Path of a face's picture."""
        return self.folder / record.file_name

    def picture(self, record: FaceRecord) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        return read_picture(self.path(record))

    def mask(self, record: FaceRecord) -> np.ndarray | None:
        """(S, S) uint8, 255 is face; None where there is none."""
        if record.mask_file_name is None:
            return None
        return read_picture(self.folder / record.mask_file_name)[..., 0]

    def with_mask(self, record: FaceRecord, mask: np.ndarray, kind: str) -> FaceRecord:
        """Writes a mask beside a face and returns its new record (which `write` has yet to keep)."""
        name = f"{MASKS}/{record.stem}.png"
        write_mask(self.folder / name, mask)
        return record.replace(mask_file_name=name, mask_kind=kind)

    def write(self, records: Sequence[FaceRecord]) -> Faceset:
        """Replaces the metadata; the pictures stay as they are.

        Raises:
            ResourceError: it cannot be written.
        """
        write_records(self.folder / METADATA, records)
        return Faceset(self.folder, records)

    def rename_in_order(self, records: Sequence[FaceRecord]) -> Faceset:
        """Puts the faces into this order and writes it into their names: `00007_` and so on before each.

        Raises:
            ResourceError: the folder cannot be written.
        """
        renamed = [
            record.replace(file_name=f"{index:05d}_{record.stem}{Path(record.file_name).suffix}")
            for index, record in enumerate(records)
        ]
        (self.folder / STATE).mkdir(exist_ok=True)
        write_records(self.folder / STATE / "pending.jsonl", renamed)
        _finish_renaming(self.folder)
        return Faceset(self.folder, renamed)

    def missing(self) -> list[FaceRecord]:
        """Records whose picture is gone, for example deleted by hand."""
        names = {entry.name for entry in os.scandir(self.folder)}
        return [record for record in self.records if record.file_name not in names]

    def map_pictures(
        self,
        work: Callable[[FaceRecord, np.ndarray], T],
        on_progress: OnProgress | None = None,
        text: str = "Looking at",
    ) -> Iterator[T]:
        """Applies a function to every picture, a few at a time; yields results in order; memory stays bounded."""
        yield from map_ordered(
            self.records, lambda record: work(record, self.picture(record)), on_progress, f"{text} faces"
        )


def map_ordered(
    items: Iterable[Any],
    work: Callable[[Any], T],
    on_progress: OnProgress | None = None,
    text: str = "",
    total: int | None = None,
) -> Iterator[T]:
    """Results of `work` over items in order, from a few threads, at most some dozen ahead of the consumer.

    Args:
        items: any number of them; read in the consumer's thread.
        work: called in a thread.
        on_progress: called after every result.
        text: what is being done, for `on_progress`.
        total: how many items there are, where that is not `len(items)`.
    """
    total = total if total is not None else (len(items) if isinstance(items, Sequence) else None)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="faceset") as pool:
        for done, result in enumerate(ordered_map(work, items, pool, ahead=16 * _THREADS), 1):
            if on_progress is not None and total:
                on_progress(done / total, f"{text}, {done} of {total}")
            yield result


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Writes (H, W) uint8 as a grey PNG, whole or not at all."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path) as temporary:
        Image.fromarray(mask).save(temporary, format="PNG", compress_level=4)


def write_face(path: Path, image_rgb: np.ndarray, quality: int = 95) -> None:
    """Writes a face; JPEG without colour subsampling, for these are trained on."""
    if path.suffix.lower() not in (".jpg", ".jpeg") or quality == 95:
        write_picture(path, image_rgb)
        return
    from PIL import Image

    with atomic_output(path) as temporary:
        Image.fromarray(image_rgb).save(temporary, format="JPEG", quality=quality, subsampling=0)


def resize_picture(image: np.ndarray, size: int) -> np.ndarray:
    """A square picture or mask brought to another side."""
    if image.shape[0] == size:
        return image
    method = cv2.INTER_AREA if size < image.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=method)


def _finish_renaming(folder: Path) -> None:
    """Gives every picture the name that the pending metadata has for it, then makes that the metadata."""
    pending = folder / STATE / "pending.jsonl"
    by_stem = {
        stem_of(entry.name): entry.name
        for entry in os.scandir(folder)
        if entry.is_file() and entry.name.lower().endswith(PICTURES)
    }
    try:
        for record in read_records(pending):
            now = by_stem.get(record.stem)
            if now is not None and now != record.file_name:
                os.rename(folder / now, folder / record.file_name)
        os.replace(pending, folder / METADATA)
    except OSError as error:
        raise ResourceError(f"Cannot rename the faces in {folder}: {error.strerror}; check its permissions.") from error
