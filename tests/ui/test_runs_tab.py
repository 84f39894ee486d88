"""The Runs tab offers what a run can still do, and nothing else."""

from pathlib import Path

import pytest

from facegen.jobs import Run
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs import runs


def _offered(run: Run) -> list[bool]:
    """Whether Cancel, Resume, Start now and Delete are seen."""
    shown = runs._detail(Services(), Visitor(), run.name)
    return [button.visible for button in shown[-4:]]


def test_resume_is_offered_where_something_is_left_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_HOME", str(tmp_path))
    done, cancelled = Run.create("swap", {}), Run.create("swap", {})
    with done.work():
        pass
    cancelled.enqueue()
    assert _offered(cancelled) == [True, False, True, True]
    cancelled.cancel()
    assert _offered(done) == [False, False, False, True]
    assert _offered(cancelled) == [False, True, False, True]
