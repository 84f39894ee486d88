"""A faceset taken apart: each person becomes a faceset of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from facegen.errors import InputError
from facegen.facesets.faceset import METADATA, Faceset, write_records
from facegen.facesets.record import FaceRecord


def split_people(faceset: Faceset, groups: Sequence[Sequence[FaceRecord]], output: Path) -> list[Path]:
    """Writes each group as `person-000` and so on; pictures are linked where the file system can, else copied.

    Raises:
        InputError: the folder is not empty.
    """
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    made = []
    for number, group in enumerate(groups):
        folder = output / f"person-{number:03d}"
        folder.mkdir(parents=True)
        for record in group:
            for name in filter(None, (record.file_name, record.mask_file_name)):
                (folder / name).parent.mkdir(exist_ok=True)
                _link(faceset.folder / name, folder / name)
        write_records(folder / METADATA, group)
        made.append(folder)
    return made


def _link(origin: Path, place: Path) -> None:
    try:
        os.link(origin, place)
    except OSError:
        shutil.copy2(origin, place)
