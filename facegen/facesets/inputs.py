"""What an extraction is given: videos, pictures, and folders of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facegen import media
from facegen.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Input:
    """One video, or the pictures of one folder."""

    label: str
    """Name for people."""
    video: Path | None
    """The video, where it is one."""
    pictures: tuple[Path, ...]
    """The pictures otherwise."""
    length: int
    """Frames or pictures."""
    base: Path
    """The folder that names are given from."""
    names: Mapping[Path, str] = field(default_factory=dict)
    """What sources are called that lie elsewhere."""

    def name_of(self, path: Path) -> str:
        """What a source is called: its path below the folder that was named."""
        return self.names.get(path) or path.relative_to(self.base).as_posix()

    @property
    def key(self) -> str:
        """Tells this input, as it is now, from others."""
        files = [self.video] if self.video else self.pictures
        stats = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """The videos and pictures that some paths name; folders are searched deeply, hidden files left alone.

    Raises:
        InputError: a path is missing, or holds neither videos nor pictures.
    """
    found: list[Input] = []
    for path in map(Path, paths):
        if not path.exists():
            raise InputError(f"Expected a video, a picture or a folder at {path}, found nothing there; check the path.")
        files = (
            sorted(p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path)) if path.is_dir() else [path]
        )
        pictures = tuple(p for p in files if media.is_picture(p))
        videos = [p for p in files if p not in set(pictures) and media.is_video(p)]
        if not pictures and not videos:
            raise InputError(f"Expected videos or pictures in {path}, found neither; choose another input.")
        base = path if path.is_dir() else path.parent
        if pictures:
            found.append(Input(label=path.name, video=None, pictures=pictures, length=len(pictures), base=base))
        for video in videos:
            count = len(media.frame_times(video)[0])
            found.append(Input(label=video.name, video=video, pictures=(), length=count, base=base))
    return found


def _is_hidden(path: Path, base: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(base).parts)
