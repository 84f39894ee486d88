"""The finished segments of a video, a few seconds each, from which an interrupted run resumes."""

import shutil
from pathlib import Path

from facegen.config import write_json
from facegen.errors import InputError
from facegen.json_file import read_object
from facegen.media.segments import last_index, list_segments


class Journal:
    """The finished segments in a run folder, and the key of the request that they belong to."""

    def __init__(self, folder: Path, key: str) -> None:
        """Opens the journal of a request; segments of another request are deleted.

        Args:
            folder: the run folder; journal.json and segments/ live in it.
            key: identifies the request.

        Raises:
            ResourceError: the folder cannot be written.
        """
        self._path = folder / "journal.json"
        self.folder = folder / "segments"
        try:
            entry = read_object(self._path, is_optional=True)
        except InputError:  # damaged: nothing of it can be trusted, and the work begins again
            entry = {}
        if entry.get("key") != key or not isinstance(entry.get("is_complete"), bool):
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
        """Index in the target of the next frame to encode; `first` where nothing is finished."""
        segments = self.segments
        return last_index(segments[-1]) + 1 if segments else first

    def finish(self) -> None:
        """Records that the clip ends with the last segment.

        Raises:
            ResourceError: the journal cannot be written.
        """
        self._entry = {**self._entry, "is_complete": True}
        write_json(self._path, self._entry)

    def clear(self) -> None:
        """Deletes the segments and the journal, once the result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._path.unlink(missing_ok=True)
