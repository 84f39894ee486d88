"""The benchmarks of visitors and of faults, in short: nothing is lost, nothing goes to somebody else, each fault is told."""

from pathlib import Path

import pytest

from benchmarks.faults import run_faults
from benchmarks.soak import soak

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.timeout(1500)
def test_visitors_get_their_own_and_all_that_was_accepted(tmp_path: Path) -> None:
    figures = soak(tmp_path, visitors=4, minutes=0.5, think_seconds=3)
    for kind in ("wrong deliveries", "lost", "errors", "failed"):
        assert figures[kind] == [], kind
    assert figures["runs done"] == figures["runs"] > 0
    assert {row["small thing"] for row in figures["rows"]} >= {"slider", "status"}


@pytest.mark.timeout(2400)
def test_what_meets_a_fault_ends_well_or_says_why(tmp_path: Path) -> None:
    rows = run_faults(tmp_path, kills=4, others=1)
    assert {row.fault: row.wrong for row in rows if row.wrong} == {}
    assert sum(row.finished + row.explained for row in rows) == sum(row.runs for row in rows) >= 8
