"""What a work on a video has finished: closed segments of a few seconds, so that a run that was cut off goes on from there."""

import shutil
from pathlib import Path

from facegen.config import read_json, write_json
from facegen.media.segments import last_index, list_segments


class Journal:
    """The finished segments in a run folder, and whose they are."""

    def __init__(self, folder: Path, key: str) -> None:
        """Open the journal of one work; what another one left in the folder is dropped.

        Args:
            folder: the run folder; journal.json and segments/ live in it.
            key: what recognises the request.

        Raises:
            ResourceError: the folder cannot be written.
        """
        self._path = folder / "journal.json"
        self.folder = folder / "segments"
        entry = read_json(self._path) if self._path.exists() else {}
        if entry.get("key") != key:
            shutil.rmtree(self.folder, ignore_errors=True)
            entry = {"key": key, "is_complete": False}
            write_json(self._path, entry)
        for unfinished in self.folder.glob(".*.part"):
            unfinished.unlink()
        self._entry = entry

    @property
    def segments(self) -> tuple[Path, ...]:
        """The finished segments, in order."""
        return list_segments(self.folder)

    @property
    def is_complete(self) -> bool:
        """Whether the clip ends with the last segment."""
        return bool(self._entry["is_complete"])

    def next_index(self, first: int) -> int:
        """Index in the target of the frame to go on with; `first` where nothing is finished."""
        segments = self.segments
        return last_index(segments[-1]) + 1 if segments else first

    def finish(self) -> None:
        """Enter that the clip ends with the last segment.

        Raises:
            ResourceError: the journal cannot be written.
        """
        self._entry = {**self._entry, "is_complete": True}
        write_json(self._path, self._entry)

    def clear(self) -> None:
        """Delete the segments and the list, once the result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._path.unlink(missing_ok=True)
