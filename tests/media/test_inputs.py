"""Every clip and picture that people really have: each row of the tables in docs/media.md is tried.

A new row goes to the module of its table (`timing_rows.py`, `container_rows.py`, `still_rows.py`, `colour_rows.py`) and to docs/media.md.
"""

import re
from pathlib import Path

import pytest

from facegen.errors import InputError
from tests.conftest import REPOSITORY
from tests.media import colour_rows, container_rows, still_rows, timing_rows
from tests.media.table import JOBS, Row

TABLES = {
    "Times, sound and damage": timing_rows.ROWS,
    "Containers and names": container_rows.ROWS,
    "Stills, transparency and names": still_rows.ROWS,
    "Colour and geometry": colour_rows.ROWS,
}
TRIALS = [
    pytest.param(row, job, id=f"{row.input}-{job}") for rows in TABLES.values() for row in rows for job in row.jobs
]


@pytest.mark.parametrize(("row", "job"), TRIALS)
def test_a_row_of_the_table_is_true(row: Row, job: str, tmp_path: Path) -> None:
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    source, output = row.make(tmp_path / "in"), tmp_path / "out" / f"result{row.suffix}"
    if row.is_refused:
        with pytest.raises(InputError) as caught:
            JOBS[job](source, output)
        assert row.is_said_by((str(caught.value),)), str(caught.value)
        assert not output.exists()
        return
    notices = JOBS[job](source, output)
    assert row.is_said_by(notices), notices
    row.check(source, output)


@pytest.mark.parametrize("heading", TABLES)
def test_the_page_lists_every_row(heading: str) -> None:
    page = (REPOSITORY / "docs" / "media.md").read_text(encoding="utf-8")
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", section, re.MULTILINE)[1:]
    assert sorted(listed) == sorted((row.input, row.result, row.said) for row in TABLES[heading])
