"""Backup of a faceset's metadata, restored after pictures were edited, renamed or enlarged elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from facegen.errors import InputError
from facegen.facesets.faceset import PICTURES, Faceset, read_records, write_records
from facegen.facesets.record import FaceRecord, stem_of


def save(faceset: Faceset, file: Path) -> int:
    """Writes the metadata into a file of its own; returns how many faces it describes.

    Raises:
        ResourceError: it cannot be written.
    """
    write_records(file, faceset.records)
    return len(faceset)


def restore(folder: Path, file: Path) -> tuple[Faceset, list[str]]:
    """Gives the pictures of a folder their metadata back.

    A picture is recognised by its name, whatever number sorting put before it and whatever its ending is now; where it
    has another size than it had, the points move with it.

    Args:
        folder: the pictures.
        file: what `save` wrote.

    Returns:
        The faceset, and the names of pictures that the file does not know.

    Raises:
        InputError: the folder or the file is missing, or no picture is known.
    """
    if not folder.is_dir():
        raise InputError(f"Expected a folder of faces at {folder}, found none; check the path.")
    if not file.is_file():
        raise InputError(f"Expected saved metadata at {file}, found no file; check the path.")
    saved = {record.stem: record for record in read_records(file)}
    names = {e.name for e in os.scandir(folder) if e.is_file() and e.name.lower().endswith(PICTURES)}
    by_stem = {stem_of(name): name for name in sorted(names)}
    records = [_fit_to_picture(folder, record, by_stem[stem]) for stem, record in saved.items() if stem in by_stem]
    if not records:
        raise InputError(f"Expected pictures in {folder} that {file.name} knows, found none; check both.")
    unknown = [name for stem, name in sorted(by_stem.items()) if stem not in saved]
    return Faceset(folder, records).write(records), unknown


def _fit_to_picture(folder: Path, record: FaceRecord, name: str) -> FaceRecord:
    with Image.open(folder / name) as image:
        side = image.width
    if record.mask_file_name and not (folder / record.mask_file_name).exists():
        record = record.replace(mask_file_name=None, mask_kind=None)
    if record.size and side != record.size:
        scale = side / record.size
        matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]], np.float32)
        record = record.transform(matrix)
    return record.replace(file_name=name, size=side)
