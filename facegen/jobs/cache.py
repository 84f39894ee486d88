"""Cache of measurements on files: a folder of entries keyed by content, pruned by last use and size."""

import functools
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegen.config import home
from facegen.errors import InputError

OLD_FOLDERS = ("analyses", "measured", "prepared", "finish", "spoken")
"""Where an earlier facegen kept such things; nothing reads them any more."""


def file_fingerprint(path: str | Path) -> str:
    """The SHA-256 of a file's content, whatever its name; of a folder, that of its files' names and contents.

    A file is read once as long as it does not change.

    Raises:
        InputError: there is no such file, or it is empty or cannot be read.
    """
    from facegen.media.source import check_readable, translate_read_errors

    path = Path(path)
    if path.is_dir():
        entries = (f"{item.name}\0{_folder_entry(item)}\n" for item in sorted(path.iterdir()) if item.is_file())
        return hashlib.sha256("".join(entries).encode(errors="surrogateescape")).hexdigest()
    stat = check_readable(path).stat()
    with translate_read_errors(path, "a file"):
        return _digest(str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino)


def _folder_entry(file: Path) -> str:
    """The fingerprint of a file in a folder; one that is empty or cannot be read, such as `.gitkeep`, counts by its name."""
    try:
        return file_fingerprint(file)
    except InputError:
        return ""


@functools.lru_cache(256)
def _digest(path: str, _size: int, _changed_ns: int, _inode: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Cache:
    """One kind of kept entries, files or folders, in `cache/NAME` of facegen's home."""

    name: str
    summary: str
    """What is kept, for people."""
    most_entries: int = 200
    """The entries used last that stay."""
    most_bytes: int = 2_000_000_000
    """What they may take in all; the entry used last always stays."""

    @property
    def folder(self) -> Path:
        """Where the entries lie."""
        return home() / "cache" / self.name

    def path(self, *key: object, suffix: str = "") -> Path:
        """Where the entry of a key is, or would be; a key is made of fingerprints and settings."""
        digest = hashlib.sha256(repr(key).encode(errors="surrogateescape")).hexdigest()[:32]
        return self.folder / f"{digest}{suffix}"

    def get(self, path: Path, make: Callable[[Path], None]) -> Path:
        """The entry at `path`, marked as used; made first where it is missing.

        Args:
            path: from `path`.
            make: writes a file at the path that it is given; whatever goes wrong in it leaves nothing behind.

        Raises:
            ResourceError: the entry cannot be written.
        """
        from facegen.media.output import atomic_output

        if path.exists():
            os.utime(path)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_output(path) as temporary:
            make(temporary)
        self.prune()
        return path

    def entries(self) -> list[tuple[Path, int]]:
        """All entries with their sizes in bytes, used last first."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in self.folder.iterdir():
            try:
                found.append((path.stat().st_mtime, path, size_bytes(path)))
            except FileNotFoundError:
                continue
        return [(path, size) for _, path, size in sorted(found, key=lambda item: -item[0])]

    def prune(self) -> None:
        """Remove what was not used for longest, until the bounds hold."""
        total = 0
        for number, (path, size) in enumerate(self.entries()):
            total += size
            if number and (number >= self.most_entries or total > self.most_bytes):
                _remove(path)

    def clear(self) -> int:
        """Remove every entry; returns the bytes freed."""
        found = self.entries()
        for path, _ in found:
            _remove(path)
        return sum(size for _, size in found)


def size_bytes(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; links are not followed."""
    if not path.is_dir():
        return path.lstat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue  # a temporary file of work that goes on
    return total


def clear_old_folders() -> int:
    """Remove what an earlier facegen kept; returns the bytes freed."""
    freed = 0
    for name in OLD_FOLDERS:
        folder = home() / name
        if folder.is_dir() and not folder.is_symlink():
            freed += size_bytes(folder)
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
