"""A line for each run that visitors of a shared studio start: who, what, when, with whose consent; no picture and no name of a file."""

import json
import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

_MOST_BYTES, _FILES = 5_000_000, 5


class Audit:
    """Writes `audit.jsonl`; a full file becomes `audit.jsonl.1` and so on, of which five are kept."""

    def __init__(self, path: Path) -> None:
        """Opens nothing yet.

        Args:
            path: the newest file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handler = RotatingFileHandler(
            path, maxBytes=_MOST_BYTES, backupCount=_FILES, encoding="utf-8", delay=True
        )
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def write(self, *, who: str, job: str, run: str, needs_consent: bool) -> None:
        """Adds a line.

        Args:
            who: the visitor's mark, or the name that signed in.
            job: the job's name.
            run: the run's name.
            needs_consent: whether it is one that starts only after consent was given.
        """
        line = {
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "who": who,
            "job": job,
            "run": run,
            "consent": "given" if needs_consent else "not needed",
        }
        self._handler.emit(logging.makeLogRecord({"msg": json.dumps(line), "args": None}))
        self._handler.close()  # opened anew by the next line, so that the file may be moved meanwhile
