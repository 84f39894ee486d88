"""The trash of a faceset: removed faces are kept in `.trash/` with their metadata and can be restored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from facegen.errors import InputError
from facegen.facesets.faceset import MASKS, METADATA, TRASH, Faceset, write_records
from facegen.facesets.record import FaceRecord
from facegen.media import atomic_output

_INDEX = "taken.jsonl"


@dataclass(frozen=True, kw_only=True)
class TrashedFace:
    """One face in the trash."""

    record: FaceRecord
    reason: str
    """Why it was removed."""
    batch: int
    """Which taking-out it belongs to; the highest one is undone first."""
    index: int
    """Where it stood in the faceset."""


def list_trash(folder: Path) -> list[TrashedFace]:
    """Faces in the trash of a faceset, oldest first.

    Raises:
        InputError: a line of its index is damaged; the sentence says which.
    """
    path = folder / TRASH / _INDEX
    if not path.is_file():
        return []
    items = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            data = orjson.loads(line)
            items.append(
                TrashedFace(
                    record=FaceRecord.from_json(data["record"]),
                    reason=str(data["reason"]),
                    batch=int(data["batch"]),
                    index=int(data["place"]),
                )
            )
        except (ValueError, TypeError, KeyError, OverflowError, InputError) as error:
            raise InputError(
                f"Expected a face in line {number} of {path}, but {error}; restore the file or delete that line."
            ) from error
    return items


def move(faceset: Faceset, removed: Sequence[FaceRecord], reasons: Sequence[str]) -> Faceset:
    """Takes faces out of a faceset; their pictures and masks move to the trash and the metadata forgets them.

    Args:
        faceset: where they are.
        removed: which.
        reasons: why, one each.

    Raises:
        ResourceError: the folder cannot be written.
    """
    if not removed:
        return faceset
    indices = {record.file_name: index for index, record in enumerate(faceset.records)}
    before = list_trash(faceset.folder)
    batch = max((item.batch for item in before), default=0) + 1
    added = [
        TrashedFace(record=record, reason=reason, batch=batch, index=indices[record.file_name])
        for record, reason in zip(removed, reasons, strict=True)
    ]
    bin_folder = faceset.folder / TRASH
    (bin_folder / MASKS).mkdir(parents=True, exist_ok=True)
    # the trash learns of a face before the faceset forgets it: a crash between leaves it in both, never in none
    _write(faceset.folder, [*before, *added])
    names = {record.file_name for record in removed}
    remaining = faceset.write([record for record in faceset.records if record.file_name not in names])
    for record in removed:
        for name in filter(None, (record.file_name, record.mask_file_name)):
            if (faceset.folder / name).exists():
                os.replace(faceset.folder / name, bin_folder / name)
    return remaining


def restore(faceset: Faceset, names: Sequence[str] | None = None) -> tuple[Faceset, int]:
    """Brings faces back to where they stood.

    Args:
        faceset: where to.
        names: which; None restores the last removal.

    Returns:
        The faceset, and how many came back.

    Raises:
        InputError: a name is not in the trash.
    """
    trashed = list_trash(faceset.folder)
    if names is None:
        last = max((item.batch for item in trashed), default=0)
        selected = [item for item in trashed if item.batch == last]
    else:
        requested = set(names)
        selected = [item for item in trashed if item.record.file_name in requested or item.record.stem in requested]
        available = {name for item in selected for name in (item.record.file_name, item.record.stem)}
        if unknown := sorted(requested - available):
            raise InputError(f"Expected names of faces in the trash, found {unknown[0]!r}; it is not there.")
    records = list(faceset.records)
    present = {record.stem for record in records}
    back = {id(item) for item in selected}
    away = [item for item in trashed if id(item) not in back]
    for item in sorted(selected, key=lambda item: item.index):
        for name in filter(None, (item.record.file_name, item.record.mask_file_name)):
            if (faceset.folder / TRASH / name).exists():
                (faceset.folder / name).parent.mkdir(exist_ok=True)
                os.replace(faceset.folder / TRASH / name, faceset.folder / name)
        if item.record.stem not in present:
            # the index was counted with the faces that were removed together with it
            absent = sum(other.batch == item.batch and other.index < item.index for other in away)
            records.insert(min(item.index - absent, len(records)), item.record)
    whole = faceset.write(records)
    _write(faceset.folder, away)
    return whole, len(selected)


def empty(folder: Path) -> int:
    """Deletes the trash for good; returns how many faces were in it."""
    import shutil

    count = len(list_trash(folder))
    shutil.rmtree(folder / TRASH, ignore_errors=True)
    return count


def forget_missing(faceset: Faceset) -> tuple[Faceset, int]:
    """Cleans the metadata of faces whose pictures were deleted by hand; returns how many."""
    names = {record.file_name for record in faceset.missing()}
    if not names:
        return faceset, 0
    for record in faceset.records:
        if record.file_name in names and record.mask_file_name:
            (faceset.folder / record.mask_file_name).unlink(missing_ok=True)
    return faceset.write([record for record in faceset.records if record.file_name not in names]), len(names)


def _write(folder: Path, items: Sequence[TrashedFace]) -> None:
    path = folder / TRASH
    path.mkdir(exist_ok=True)
    with atomic_output(path / _INDEX) as temporary:
        lines = (
            orjson.dumps({"record": i.record.to_json(), "reason": i.reason, "batch": i.batch, "place": i.index})
            for i in items
        )
        temporary.write_bytes(b"".join(line + b"\n" for line in lines))
    write_records(path / METADATA, [item.record for item in items])
