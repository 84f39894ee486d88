"""The one list of model files."""

import re
from pathlib import PurePosixPath

import pytest

from facegen import hub
from facegen.catalog import TASKS, WEIGHTS, find_task, find_weight
from facegen.errors import InputError
from facegen.hub import JOBS, MAIN, SETS, Bundled, Hub, WeightFile
from tests.conftest import REPOSITORY

every_weight = pytest.mark.parametrize("weight", WEIGHTS, ids=lambda weight: weight.name)


def test_names_are_unique() -> None:
    names = [weight.name for weight in WEIGHTS]
    assert len(set(names)) == len(names) > 0


@every_weight
def test_entry_is_complete(weight: WeightFile) -> None:
    assert find_weight(weight.name) is weight
    assert re.fullmatch(r"[a-z0-9-]+", weight.name)
    assert weight.licence
    assert not PurePosixPath(weight.filename).is_absolute()
    assert ".." not in PurePosixPath(weight.filename).parts
    assert weight.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", weight.sha256)
    assert weight.purpose
    assert weight.jobs
    assert set(weight.jobs) <= set(JOBS)
    assert set(weight.sets) <= set(SETS)
    if isinstance(weight.source, Hub):
        assert weight.source.revision == MAIN or re.fullmatch(r"[0-9a-f]{40}", weight.source.revision)
        assert weight.is_permissive or weight.terms.endswith(".")
        assert weight.is_permissive or "best-permissive" not in weight.sets
    else:
        assert weight.sha256 is not None
    if isinstance(weight.source, Bundled):
        assert (REPOSITORY / "weights" / weight.card).is_file()


@every_weight
def test_what_needs_no_download_is_there_with_the_right_bytes(weight: WeightFile) -> None:
    if isinstance(weight.source, Hub):
        pytest.skip("comes from the Hub")
    assert hub.is_present(weight)
    assert hub.fetch(weight).stat().st_size == weight.size


def test_bundled_weights_stay_small() -> None:
    sizes = [path.stat().st_size for path in (REPOSITORY / "weights").rglob("*") if path.is_file()]
    assert max(sizes, default=0) < 10e6
    assert sum(sizes) < 80e6


def test_unknown_name() -> None:
    with pytest.raises(InputError, match="choose from"):
        find_weight("nothing")


def test_tasks_are_complete_and_load() -> None:
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names) > 0
    for task in TASKS:
        assert find_task(task.name) is task
        assert task.summary.endswith(".")
        assert task.needs
        assert task.typical_time
        assert "tiny" in task.presets
        assert hasattr(task.load(), "build_model")
    with pytest.raises(InputError, match="choose from"):
        find_task("nothing")
