"""Unpacks archives that strangers made: all of it is checked before anything is written, and a refusal leaves nothing."""

import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facegen.errors import InputError, ResourceError
from facegen.system import read_at

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_PART_BYTES = 200
_MOST_PARTS = 16
_MOST_PATH_BYTES = 1000
_CHUNK_BYTES = 1 << 20
_ENTRY_OVERHEAD = 600
"""Bytes that an entry may take in an archive's directory, on average."""
_FREE_BYTES = 256 << 20
"""What stays free of the disk."""


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What an archive may hold."""

    entries: int = 50_000
    """Files and folders in it."""
    bytes: int = 8 << 30
    """Of all files, unpacked."""
    ratio: int = 100
    """Unpacked bytes for each packed one; pictures hardly shrink at all."""
    small_bytes: int = 4 << 20
    """Files up to this size may shrink by more."""


def unpack_zip(
    path: Path, folder: Path, suffixes: Collection[str] | None = None, limits: ArchiveLimits | None = None
) -> list[Path]:
    """Unpack a ZIP archive with its folders.

    Args:
        path: the archive.
        folder: where its files go; made where it is missing.
        suffixes: endings of the files that are unpacked, in small letters with the dot; None: all.
        limits: what the archive may hold.

    Returns:
        The files.

    Raises:
        InputError: it is no ZIP archive, is damaged, encrypted or packed in an unusual way, is larger than `limits`
            say, or names something outside the folder. Nothing of it stays.
        ResourceError: the disk does not suffice. Nothing of it stays.
    """
    limits = limits or ArchiveLimits()
    made: list[Path] = []
    with _translate_errors(path.name), path.open("rb") as file:
        _check_directory(file.fileno(), path.name, limits)
        try:
            with zipfile.ZipFile(file) as archive:
                entries = _check_entries(archive, path, folder, limits)
                for entry, name in entries:
                    if suffixes is None or name.suffix.lower() in suffixes:
                        made.append(folder / name)
                        _write_entry(archive, entry, folder / name, path.name)
        except BaseException:
            for place in made:
                place.unlink(missing_ok=True)
            raise
    return made


def _check_directory(handle: int, where: str, limits: ArchiveLimits) -> None:
    """Refuse a directory with too many entries before it is read into memory."""
    size = os.fstat(handle).st_size
    length = min(size, 65_557)
    tail = read_at(handle, length, size - length)
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) < place + 22:
        raise InputError(f"Expected a zip archive, found something else in {where!r}; pack it again.")
    count, directory = struct.unpack_from("<HI", tail, place + 10)
    if count > limits.entries or directory > limits.entries * _ENTRY_OVERHEAD:
        raise _too_many(where, limits)


def _too_many(where: str, limits: ArchiveLimits) -> InputError:
    return InputError(f"Expected at most {limits.entries} files in {where!r}, found more; pack fewer at a time.")


def _check_entries(
    archive: zipfile.ZipFile, path: Path, folder: Path, limits: ArchiveLimits
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files of an archive with their names, all of them checked."""
    where = path.name
    entries = archive.infolist()
    if len(entries) > limits.entries:
        raise _too_many(where, limits)
    found: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for entry in entries:
        name = check_name(entry.filename, where)
        if entry.is_dir():
            continue
        if entry.flag_bits & 0x1:
            raise InputError(f"Expected an archive without a password, found {where!r} encrypted; pack it again.")
        if entry.compress_type not in _METHODS:
            raise InputError(f"Expected a usual ZIP archive, found {where!r} packed in another way; pack it again.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"Expected files and folders in {where!r}, found a link {entry.filename!r}; leave it out.")
        if name in found:
            raise InputError(f"Expected each name once in {where!r}, found {entry.filename!r} twice; pack it again.")
        is_bomb = entry.file_size > limits.ratio * max(1, entry.compress_size)
        if is_bomb and entry.file_size > limits.small_bytes:
            raise InputError(
                f"Expected files that unpack to at most {limits.ratio} times their size in {where!r}, found "
                f"{entry.filename!r}; leave it out."
            )
        found[name] = entry
    total, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if total > limits.bytes or total > max(limits.small_bytes, limits.ratio * packed):
        raise InputError(
            f"Expected {where!r} to unpack to at most {min(limits.bytes, limits.ratio * packed) / 1e9:.1f} GB, found "
            f"{total / 1e9:.1f} GB; pack fewer files at a time."
        )
    free = shutil.disk_usage(_nearest_existing(folder)).free - _FREE_BYTES
    if total > free:
        raise ResourceError(
            f"Expected {total / 1e9:.1f} GB of free disk to unpack {where!r}, found {max(0, free) / 1e9:.1f} GB; free some."
        )
    return [(entry, name) for name, entry in found.items()]


def check_name(text: str, where: str) -> PurePosixPath:
    """The name of an entry as a path below the folder that it is unpacked into.

    Raises:
        InputError: it leads elsewhere, or no file system takes it.
    """
    name = PurePosixPath(text.replace("\\", "/"))
    is_long = len(name.parts) > _MOST_PARTS or len(text) > _MOST_PATH_BYTES
    is_long = is_long or any(len(part.encode(errors="replace")) > _PART_BYTES for part in name.parts)
    is_odd = not text.isprintable() or not name.parts or ":" in name.parts[0]
    if is_long or is_odd or name.is_absolute() or ".." in name.parts:
        raise InputError(f"Expected names inside the archive's folder in {where!r}, found {text!r:.80}; pack it again.")
    return name


def _write_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, where: str) -> None:
    left = entry.file_size
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        target = place.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(
            f"Expected each name once in {where!r}, found {entry.filename!r} twice; pack it again."
        ) from error
    with archive.open(entry) as source, target:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile("an entry is larger than it says")
            try:
                target.write(chunk)
            except OSError as error:
                raise ResourceError(f"Cannot unpack {where!r}: {error.strerror}; free some space.") from error
    if left:
        raise zipfile.BadZipFile("an entry is smaller than it says")


@contextmanager
def _translate_errors(where: str) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise InputError(
            f"Expected a whole zip archive, found {where!r} damaged ({str(error)[:100]}); pack it again."
        ) from error
    except OSError as error:  # bz2, too, says so of damaged data
        raise InputError(
            f"Expected a readable zip archive, but {where!r} is not ({str(error)[:100]}); pack it again."
        ) from error


def _nearest_existing(folder: Path) -> Path:
    return folder if folder.exists() else _nearest_existing(folder.parent)
