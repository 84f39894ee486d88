"""What every benchmark hands in: a table on the screen and a JSON file that says where, when and of which code it was measured."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.calibrate import yardstick
from benchmarks.freshness import code_digests
from facegen.config import write_json
from facegen.device import usable_cores

RESULTS = Path(__file__).parent / "results"
_RESAMPLES = 2000


def report(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    measures: Sequence[str] = ("facegen",),
    figures: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Print the rows as a table and write them, with the machine and its yardstick, to results/NAME.json.

    Args:
        name: the benchmark's name, also that of the file.
        rows: one mapping a line of the table; the keys of the first are the columns. JSON values.
        measures: files and folders of the repository whose change makes these figures old.
        figures: further values that are not part of the table, such as medians held against a bound.
        notes: sentences on how it was measured.

    Returns:
        The path of the JSON file.
    """
    print(f"\n{name}\n{table(rows)}")
    for key, value in (figures or {}).items():
        print(f"{key}: {_cell(value)}")
    for note in notes:
        print(note)
    machine = _machine()
    print(
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, yardstick {machine['yardstick']}"
    )
    path = RESULTS / f"{name}.json"
    content = {"name": name, "rows": [dict(row) for row in rows], "figures": dict(figures or {}), "notes": list(notes)}
    content |= {"machine": machine, "measured": time.strftime("%Y-%m-%d %H:%M %z"), "code": code_digests(measures)}
    write_json(path, content)
    return path


def estimate(groups: Sequence[Sequence[float]], statistic: Callable[[np.ndarray], Any] = np.mean) -> dict[str, Any]:
    """A statistic over all values and its 95 % interval by a bootstrap over groups (Efron 1979, percentiles).

    Values of one clip or one person are alike, so whole groups are drawn, not values.

    Args:
        groups: the values of each clip or person; not all empty.
        statistic: of the values joined, first axis; NaN where some drawn groups do not tell.

    Returns:
        `measured`, and `interval`: (low, high).
    """
    arrays = [np.asarray(group, np.float64) for group in groups if len(group)]
    random = np.random.default_rng(0)
    drawn = [
        float(statistic(np.concatenate([arrays[n] for n in random.integers(0, len(arrays), len(arrays))])))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.nanpercentile(drawn, (2.5, 97.5))
    measured = float(statistic(np.concatenate(arrays)))
    return {"measured": round(measured, 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def repeated(values: Sequence[float]) -> dict[str, Any]:
    """Median of repeated measurements of one thing, such as times, with its 95 % interval over the repeats."""
    return estimate([[value] for value in values], np.median)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as an aligned table in Markdown."""
    if not rows:
        return "(no rows)"
    columns = list(rows[0])
    cells = [columns, *([_cell(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _machine() -> dict[str, Any]:
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
        "yardstick": yardstick(),
    }


def processor() -> str:
    """The name of the processor, as the system states it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
