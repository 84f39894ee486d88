"""Many input files for one job: their expansion, names of their outputs, runs with retries, and a summary.

A file that fails never stops the rest. The summary (CSV) is written anew after each file, so that it is true whenever the
work ends; given again, it tells what is done already.
"""

import csv
import functools
import io
import os
import re
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from facegen.errors import Cancelled, FacegenError, InputError, ResourceError, WeightsError

BatchState = Literal["queued", "running", "done", "failed", "cancelled", "refused", "deleted"]
_PLACEHOLDER = re.compile(r"\{(stem|source|suffix|number)\}")
PLACEHOLDERS = "{stem}, {source}, {suffix} or {number}"


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One file of a batch: a line of its summary."""

    file: str
    """What was given."""
    output: str = ""
    """What is made of it."""
    state: BatchState = "queued"
    """How it stands; refused where it cannot be done at all, so that trying again is of no use."""
    text: str = ""
    """What was done, or why not, in a sentence."""
    attempts: int = 0
    """How often it was tried."""
    seconds: float = 0.0
    """Wall-clock time of the last attempt."""
    key: str = ""
    """Recognises the request and the content of its files."""


def expand_files(paths: Iterable[str], suffixes: Sequence[str]) -> list[str]:
    """The files themselves, and those in folders (not in folders below) whose suffix is among `suffixes`, by name.

    Raises:
        InputError: a folder holds none.
    """
    found: dict[str, None] = {}
    for path in paths:
        if not os.path.isdir(path):
            found[path] = None
            continue
        names = sorted(os.listdir(path))
        inside = [name for name in names if Path(name).suffix.lower() in suffixes and not name.startswith(".")]
        if not inside:
            raise InputError(f"Expected files ending in {', '.join(suffixes[:4])} or the like in {path}, found none.")
        found |= dict.fromkeys(os.path.join(path, name) for name in inside)
    return list(found)


def is_folder_name(output: str) -> bool:
    """Whether an output names a folder for results: one that exists, or a name that has no suffix and gets none."""
    if os.path.isdir(output) or output.endswith(os.sep):
        return True
    return output != "" and Path(output).suffix == "" and "{suffix}" not in output


def name_output(pattern: str, *, file: str, source: str, number: int, default: str) -> str:
    """The output of one file.

    Args:
        pattern: with placeholders: `{stem}` is the file's name without its suffix, `{source}` that of the source, `{number}`
            counts from 1 with three digits, `{suffix}` is the one that fits the file.
        file: what is worked on.
        source: what is put into it.
        number: of the file.
        default: the name that a run would give the result.
    """
    values = {
        "stem": Path(file).stem,
        "source": Path(source).stem,
        "number": f"{number:03d}",
        "suffix": Path(default).suffix,
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], pattern)


def check_outputs(files: Sequence[str], outputs: Sequence[str]) -> None:
    """Refuse outputs that overwrite each other or one of the files.

    Raises:
        InputError: two files have the same output, or one file is another's output.
    """
    places = Counter(os.path.abspath(output) for output in outputs)
    (place, count), *_ = places.most_common(1)
    if count > 1:
        raise InputError(
            f"Expected a result of its own for each file, found {place} for {count} of them; use {{stem}} or {{number}} in --output."
        )
    taken = sorted({os.path.abspath(file) for file in files} & set(places))
    if taken:
        raise InputError(f"Expected new files as outputs, found the input {taken[0]}; choose another --output.")


def run_batch(
    rows: Sequence[BatchRow],
    work: Callable[[int], str],
    *,
    retries: int = 1,
    at_once: int = 1,
    on_change: Callable[[list[BatchRow]], None] = lambda _rows: None,
) -> list[BatchRow]:
    """Work on each row that is queued, and again on those that failed, after the rest.

    Args:
        rows: the files.
        work: does the row of an index and returns what was done, in a sentence.
        retries: how often a failed one is tried again; what was refused is not.
        at_once: rows in work at a time, each in a thread of its own where there are several.
        on_change: called with all rows after each.

    Returns:
        The rows as they stand at the end.

    Raises:
        Cancelled: somebody stopped the work; `KeyboardInterrupt` passes, too.
    """
    standing, changing = list(rows), threading.Lock()

    def do(index: int, attempt: int) -> None:
        started = time.perf_counter()
        row = replace(standing[index], attempts=attempt, state="cancelled", text="Cancelled.")
        try:
            row = replace(row, state="done", text=work(index))
        except Cancelled:
            raise
        except (InputError, WeightsError) as error:
            row = replace(row, state="refused", text=str(error))
        except FacegenError as error:
            row = replace(row, state="failed", text=str(error))
        except Exception as error:
            traceback.print_exc()
            row = replace(row, state="failed", text=f"{type(error).__name__}: {error}")
        finally:
            with changing:
                standing[index] = replace(row, seconds=round(time.perf_counter() - started, 2))
                on_change(standing)

    for attempt in range(1, retries + 2):
        waiting = [index for index, row in enumerate(standing) if row.state in ("queued", "failed")]
        if at_once == 1:
            for index in waiting:
                do(index, attempt)
        elif waiting:
            _do_together(waiting, functools.partial(do, attempt=attempt), at_once)
    return standing


def _do_together(indices: Sequence[int], do: Callable[[int], None], at_once: int) -> None:
    pool = ThreadPoolExecutor(at_once, "batch")
    try:
        for future in as_completed([pool.submit(do, index) for index in indices]):
            future.result()
    except BaseException:
        # what works is stopped by whoever stopped this: a cluster that is closed
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def summary_csv(rows: Iterable[BatchRow]) -> str:
    """The rows as CSV with a head line; a formula in a file's name stays text in a spreadsheet."""
    text = io.StringIO()
    names = [item.name for item in fields(BatchRow)]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        table.writerow([f"'{value}" if str(value)[:1] in ("=", "+", "-", "@") else value for value in values])
    return text.getvalue()


def write_summary(path: Path, rows: Iterable[BatchRow]) -> None:
    """Write the summary, whole or not at all.

    Raises:
        ResourceError: the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(summary_csv(rows), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(f"Cannot write {path}: {error.strerror}; choose another place.") from error


def read_done(path: Path) -> Mapping[str, str]:
    """What an earlier summary says is done and what still is there: the text by key; empty where there is none.

    Raises:
        InputError: the file is something else.
    """
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file)
            if table.fieldnames != [item.name for item in fields(BatchRow)]:
                raise InputError(
                    f"Expected a summary of an earlier call in {path}, found another file; choose another."
                )
            return {
                row["key"]: row["text"]
                for row in table
                if row["state"] == "done" and row["key"] and os.path.exists(row["output"].removeprefix("'"))
            }
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected a summary that can be read at {path}, but {error}; choose another.") from error
