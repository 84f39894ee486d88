"""Files of strangers are opened in a process with limits before the studio opens them: each file, and each frame, once."""

from pathlib import Path
from typing import Literal

from facegen.guarded import Limits, run_guarded
from facegen.jobs.files import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from facegen.ui.examples import FILES

_LIMITS = Limits(memory_mb=2000, cpu_seconds=30, wall_seconds=90.0)
_WHOLE_LIMITS = Limits(memory_mb=2000, cpu_seconds=240, wall_seconds=480.0)
"""Where all frames of a clip are decoded."""
_MOST_KEPT = 10_000


class Trials:
    """What was tried."""

    def __init__(self, *, is_held: bool) -> None:
        """Nothing was tried yet.

        Args:
            is_held: whether files are tried at all, as in a studio that several people use.
        """
        self._is_held = is_held
        self._tried: set[tuple[str, int, int, str]] = set()

    def check(self, path: str | Path | None, frame: int | float | Literal["all"] = 0) -> None:
        """Try what the studio is about to decode; does nothing where there is no such file, or no picture, clip or sound.

        Args:
            path: the upload.
            frame: of a clip, the index of the frame that is looked at, its second (a float), or «all».

        Raises:
            InputError: it cannot be decoded within the limits.
        """
        if not self._is_held or not path or "\0" in str(path):
            return
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in (*SOUND_SUFFIXES, *PICTURE_SUFFIXES, *VIDEO_SUFFIXES) or not path.is_file():
            return
        stat, which = path.stat(), ""
        if suffix in VIDEO_SUFFIXES:
            which = f"{frame:.6f}" if isinstance(frame, float) else str(frame)
        stamp = (str(path), stat.st_size, stat.st_mtime_ns, which)
        if stamp in self._tried or path.is_relative_to(FILES):
            return
        kind = "sound" if suffix in SOUND_SUFFIXES else "picture or video"
        limits = _WHOLE_LIMITS if frame == "all" else _LIMITS
        run_guarded("facegen.media.trial:try_media", str(path), kind, which, what=repr(path.name), limits=limits)
        if len(self._tried) >= _MOST_KEPT:
            self._tried.clear()
        self._tried.add(stamp)
