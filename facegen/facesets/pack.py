"""Facesets as WebDataset tar shards: a picture, a JSON and perhaps a mask a face, under one key.

Shards are plain tar archives: `webdataset` and `datasets.load_dataset("webdataset")` read them, and so does training,
straight from the archive and in any order, since the place of every picture in it is noted when it is opened.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from PIL import Image

from facegen.errors import InputError, ResourceError
from facegen.facesets.faceset import METADATA, Faceset, OnProgress, map_ordered, write_records
from facegen.facesets.record import FaceRecord
from facegen.media import atomic_output
from facegen.system import open_binary, read_at

SHARD_BYTES = 256_000_000
_IMAGES = ("jpg", "jpeg", "png", "webp")
_MASK = "mask.png"
_MAX_BYTES = 512 << 20
"""A face's picture or metadata is smaller."""


def pack(
    faceset: Faceset, output: Path, *, shard_bytes: int = SHARD_BYTES, on_progress: OnProgress | None = None
) -> list[Path]:
    """Writes a faceset as shards `faceset-00000.tar` and so on; the same faceset always gives the same bytes.

    Raises:
        InputError: the folder holds shards already.
        ResourceError: it cannot be written.
    """
    output.mkdir(parents=True, exist_ok=True)
    if any(output.glob("*.tar")):
        raise InputError(f"Expected a folder without shards at {output}, found some; choose another.")

    def members(record: FaceRecord) -> list[tuple[str, bytes]]:
        key = Path(record.file_name).stem
        parts = [
            (f"{key}.{record.file_name.rsplit('.', 1)[-1].lower()}", faceset.path(record).read_bytes()),
            (f"{key}.json", orjson.dumps(record.to_json())),
        ]
        if record.mask_file_name:
            parts.append((f"{key}.{_MASK}", (faceset.folder / record.mask_file_name).read_bytes()))
        return parts

    paths: list[Path] = []
    ready = map_ordered(faceset.records, members, on_progress, "Packing faces")
    member_files = next(ready, None)
    while member_files is not None:
        path = output / f"faceset-{len(paths):05d}.tar"
        with atomic_output(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as archive:
            written = 0
            while member_files is not None and written < shard_bytes:
                for name, data in member_files:
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(data), 0o644
                    archive.addfile(entry, io.BytesIO(data))
                    written += len(data)
                member_files = next(ready, None)
        paths.append(path)
    return paths


@dataclass(frozen=True, kw_only=True)
class _Location:
    """Location of the bytes of a file in a shard."""

    shard: int
    offset: int
    size: int


class PackedFaceset:
    """Faces that are read straight from shards, in any order, without unpacking; safe for several threads.

    Attributes:
        records: one a face, in the order of the shards.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._files: list[int] = []
        self.records: tuple[FaceRecord, ...] = ()
        self._images: list[_Location] = []
        self._masks: list[_Location | None] = []
        try:
            for number, path in enumerate(self._paths):
                self._index(number, path)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self.records)

    @classmethod
    def open(cls, folder: Path) -> PackedFaceset:
        """The shards of a folder, or one shard.

        Raises:
            InputError: there are none, or one is damaged.
        """
        paths = [folder] if folder.is_file() else sorted(folder.glob("*.tar"))
        if not paths:
            raise InputError(f"Expected tar shards in {folder}, found none; choose another folder.")
        return cls(paths)

    def _index(self, number: int, path: Path) -> None:
        images: dict[str, _Location] = {}
        masks: dict[str, _Location] = {}
        records: dict[str, FaceRecord] = {}
        try:
            self._files.append(open_binary(path))
            with tarfile.open(path, "r:") as archive:
                for entry in archive:
                    key, _, kind = entry.name.partition(".")
                    place = self._locate(number, entry)
                    if kind == "json":
                        records[key] = FaceRecord.from_json(orjson.loads(self._read(place)))
                    elif kind == _MASK:
                        masks[key] = place
                    elif kind in _IMAGES:
                        images[key] = place
        # a header with impossible numbers or dates is a ValueError, an OverflowError or a RecursionError of tarfile
        except (tarfile.TarError, EOFError, ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
            raise InputError(
                f"Expected a readable tar shard at {path}, but {str(error)[:200]}; pack the faceset again."
            ) from error
        whole = [key for key in images if key in records]
        self.records += tuple(records[key] for key in whole)
        self._images += [images[key] for key in whole]
        self._masks += [masks.get(key) for key in whole]

    def _locate(self, shard: int, entry: tarfile.TarInfo) -> _Location:
        size = os.fstat(self._files[shard]).st_size
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.issparse():
            raise ValueError(f"{entry.name!r:.80} is no plain file")
        if not 0 <= entry.size <= size - entry.offset_data or entry.size > _MAX_BYTES:
            raise ValueError(f"{entry.name!r:.80} is larger than it can be")
        return _Location(shard=shard, offset=entry.offset_data, size=entry.size)

    def _read(self, location: _Location) -> bytes:
        return read_at(self._files[location.shard], location.size, location.offset)

    def picture_bytes(self, number: int) -> bytes:
        """The encoded picture of a face."""
        return self._read(self._images[number])

    def mask_bytes(self, number: int) -> bytes | None:
        """The encoded mask of a face; None where there is none."""
        location = self._masks[number]
        return None if location is None else self._read(location)

    def picture(self, number: int) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        return _decode(self.picture_bytes(number), "RGB", self.records[number].file_name)

    def mask(self, number: int) -> np.ndarray | None:
        """(S, S) uint8; None where there is none."""
        data = self.mask_bytes(number)
        if data is None:
            return None
        return _decode(data, "L", f"the mask of {self.records[number].file_name}")

    def close(self) -> None:
        """Closes the shards."""
        for handle in self._files:
            os.close(handle)
        self._files = []


def _decode(data: bytes, mode: str, name: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"Expected a picture as {name!r} in the shards, but {error}; pack the faceset again."
        ) from error


def unpack(packed: Path, output: Path, on_progress: OnProgress | None = None) -> Faceset:
    """Makes a folder of shards again; pictures, masks and metadata come out as they went in.

    Raises:
        InputError: there are no shards, the folder is not empty, or a name leads out of it.
        ResourceError: it cannot be written.
    """
    if output.exists() and any(output.iterdir()):
        raise InputError(f"Expected a new or empty folder at {output}, found files in it; choose another.")
    faces = PackedFaceset.open(packed)
    if not len(faces):
        faces.close()
        raise InputError(f"Expected faces with their metadata in {packed}, found none; choose other shards.")
    output.mkdir(parents=True, exist_ok=True)

    def write(number: int) -> None:
        record = faces.records[number]
        for name, data in (
            (record.file_name, faces.picture_bytes(number)),
            (record.mask_file_name, faces.mask_bytes(number)),
        ):
            if name is None or data is None:
                continue
            target = output / name
            if not target.resolve().is_relative_to(output.resolve()):
                raise InputError(f"Expected names inside the faceset, found {name!r}; the shard is not to be trusted.")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            except OSError as error:
                raise ResourceError(f"Cannot write {target}: {error.strerror}; make room and unpack again.") from error

    try:
        for _ in map_ordered(range(len(faces)), write, on_progress, "Unpacking faces"):
            pass
        write_records(output / METADATA, faces.records)
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    finally:
        faces.close()
    return Faceset(output, faces.records)
