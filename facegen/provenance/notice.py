"""The plain sentence that every output carries in its container's comment, for readers that know nothing of C2PA."""

import mmap
from pathlib import Path

from facegen import __version__

_WORDS = "Synthetic: made with facegen"

NOTICE = f"{_WORDS} {__version__}"
"""What media's writers put into the comment of a picture or video."""


def has_notice(path: Path) -> bool:
    """Whether the bytes of a file, of any container, hold the notice.

    Every container that facegen writes keeps its comment as plain text, so looking at the bytes needs no parser of
    each. The notice is a courtesy, not evidence: anyone can write it or take it out.
    """
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_WORDS.encode()) >= 0
