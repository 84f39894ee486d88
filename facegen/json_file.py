"""Reads JSON and JSON lines that a crash, another program or a stranger may have damaged.

Size, depth and numbers are bounded, and text is such that it can be a path and be printed; whatever else is found is one
`InputError`. `facegen.config` builds dataclasses from what is read here.
"""

import json
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegen.errors import InputError

MAX_BYTES = 256 << 20
"""A JSON file larger than this is refused."""
MOST_LINE_BYTES = 1 << 20
"""A longer line of a log is damaged."""
MOST_LINES = 2_000_000
"""More lines of a log are not read."""
MOST_DEPTH = 64
"""Objects and lists within each other."""
MOST_BITS = 256
"""Whole numbers beyond are refused; the state of a random generator takes 128."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass
class JsonLines:
    """What a log of JSON lines holds."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """Its whole lines, in order."""
    damaged: int = 0
    """Lines that were skipped; a last line that a crash cut short does not count."""


def parse_json(content: bytes | str, where: str) -> Any:
    """The value of a JSON text.

    Args:
        content: the text, UTF-8 where it is bytes.
        where: what it lies in, for the sentence of a refusal.

    Raises:
        InputError: it is no JSON, or nested too deeply, or holds a number or a text that nobody writes.
    """
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        value = json.loads(raw.decode("utf-8"))
        _check_values(value, may_hold_surrogates=_SURROGATE.search(raw) is not None)
    except RecursionError:
        raise _damage_error(where, "it is nested too deeply") from None
    except ValueError as error:  # no UTF-8, no JSON, more digits than Python reads, or refused here
        raise _damage_error(where, str(error)[:120]) from error
    return value


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        InputError: the file is missing, is too large, or `parse_json` refuses it.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise _damage_error(str(path), "it is no file")
        if status.st_size > MAX_BYTES:
            raise _damage_error(str(path), f"it has more than {MAX_BYTES >> 20} MB")
        return parse_json(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InputError(f"Expected a JSON file at {path}, found nothing there; check the path.") from None
    except OSError as error:
        raise _damage_error(str(path), error.strerror or "it cannot be read") from error


def read_object(path: Path, *, is_optional: bool = False) -> dict[str, Any]:
    """The object of a JSON file.

    Args:
        path: the file.
        is_optional: whether a missing file counts as an empty object.

    Raises:
        InputError: as `read_json`, or it holds something else than an object.
    """
    if is_optional and not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise _damage_error(str(path), f"it holds a {type(value).__name__} in place of an object")
    return value


def read_json_lines(path: Path) -> JsonLines:
    """The objects of a log, one a line; a damaged line is skipped and counted, a missing file has none.

    Raises:
        InputError: the file cannot be read at all.
    """
    found = JsonLines()
    try:
        if not path.is_file():
            return found
        with path.open("rb") as file:
            while len(found.rows) + found.damaged < MOST_LINES and (line := file.readline(MOST_LINE_BYTES)):
                if not line.endswith(b"\n"):
                    if not _skip_line(file):
                        break  # after a crash the last line may be cut
                    found.damaged += 1
                elif line.strip():
                    _add_line(found, line)
    except OSError as error:
        raise _damage_error(str(path), error.strerror or "it cannot be read") from error
    return found


def _add_line(found: JsonLines, line: bytes) -> None:
    try:
        row = parse_json(line, "a line")
    except InputError:
        row = None
    if isinstance(row, dict):
        found.rows.append(row)
    else:
        found.damaged += 1


def _skip_line(file: Any) -> bool:
    """Go to the end of a line that is too long; False where the file ends first."""
    while line := file.readline(MOST_LINE_BYTES):
        if line.endswith(b"\n"):
            return True
    return False


def _check_values(value: Any, *, may_hold_surrogates: bool) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise ValueError("it is nested too deeply")
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item, may_hold_surrogates)
            elif isinstance(item, int) and item.bit_length() > MOST_BITS:
                raise ValueError("it holds a number that is too large")
            elif isinstance(item, list):
                below += item
            elif isinstance(item, dict):
                below += item
                below += item.values()
        level = below


def _check_text(text: str, may_hold_surrogates: bool) -> None:
    if "\0" in text:
        raise ValueError("it holds a text with a zero character")
    if may_hold_surrogates and not text.isascii():
        text.encode("utf-8")  # half of a character cannot be printed


def _damage_error(where: str, reason: str) -> InputError:
    return InputError(f"Expected readable JSON in {where}, but {reason}; restore or delete the file.")
