"""Decodes what visitors send once before a run takes it, so that a refusal is said at once."""

from pathlib import Path

from facegen.jobs.files import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES

_MOST_KEPT = 10_000


class Trials:
    """What was tried."""

    def __init__(self, *, is_held: bool) -> None:
        """Nothing was tried yet.

        Args:
            is_held: whether files are tried at all, as in a studio that several people use.
        """
        self._is_held = is_held
        self._tried: set[tuple[str, int, int]] = set()

    def check(self, path: str) -> None:
        """Try a file; does nothing where there is no such file, or no picture, clip or sound.

        Raises:
            InputError: it cannot be decoded.
        """
        from facegen.media.trial import try_media

        suffix = Path(path).suffix.lower()
        if not self._is_held or suffix not in (*SOUND_SUFFIXES, *PICTURE_SUFFIXES, *VIDEO_SUFFIXES):
            return
        if not Path(path).is_file():
            return
        stat = Path(path).stat()
        stamp = (path, stat.st_size, stat.st_mtime_ns)
        if stamp in self._tried:
            return
        try_media(path, "sound" if suffix in SOUND_SUFFIXES else "picture or video")
        if len(self._tried) >= _MOST_KEPT:
            self._tried.clear()
        self._tried.add(stamp)
