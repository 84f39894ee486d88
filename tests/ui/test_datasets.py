"""The dataset line of the Train tab, apart from widgets."""

from pathlib import Path

import pytest

from facegen.config import write_json
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.train.dataset import describe_dataset, start_dataset


def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    services, visitor = Services(), Visitor()
    with pytest.raises(InputError, match="data folder"):
        start_dataset(services, visitor, str(tmp_path / "missing"), "", True, 3, "")
    with pytest.raises(InputError, match="empty"):
        start_dataset(services, visitor, str(tmp_path), "", True, 3, "")
    (tmp_path / "face.png").write_bytes(b"any")
    with pytest.raises(InputError, match="female>=0.9999"):
        start_dataset(services, visitor, str(tmp_path), "nice ones", True, 3, "")
    assert not services.runs(visitor)


def test_the_numbers_of_the_steps_are_told_once_it_is_done() -> None:
    run = Run.create("dataset", {})
    assert "ready" not in describe_dataset(run)
    with run.work():
        (run.results / "dataset").mkdir(parents=True)
        write_json(run.results / "dataset" / "steps.json", {"rows": [["final set", 12, "all"]], "skipped": []})
    assert ">12</td>" in describe_dataset(run)
