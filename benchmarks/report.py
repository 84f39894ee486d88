"""What every benchmark hands in: a table on the screen and a JSON file that says where and when it was measured."""

import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.calibrate import yardstick
from facegen.config import write_json
from facegen.device import usable_cores

RESULTS = Path(__file__).parent / "results"


def report(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    figures: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Print the rows as a table and write them, with the machine and its yardstick, to results/NAME.json.

    Args:
        name: the benchmark's name, also that of the file.
        rows: one mapping a line of the table; the keys of the first are the columns. JSON values.
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
    write_json(path, {**content, "machine": machine, "measured": time.strftime("%Y-%m-%d %H:%M %z")})
    return path


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
