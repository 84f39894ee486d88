"""A base over several people: batches of one at a time, weights that a person's training begins with."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from facegen.config import from_dict, load, override, to_dict
from facegen.errors import InputError
from facegen.talk.dfrf.dataset import PeopleDataset
from facegen.talk.dfrf.folder import PreparedFolder
from facegen.talk.dfrf.model import initialize
from facegen.talk.dfrf.preparation import prepare_people
from facegen.talk.dfrf.task import DfrfTask
from facegen.talk.renderers.field import find_field
from facegen.talk.tasks import DFRF
from facegen.training.launch import train_in_folder
from facegen.training.request import make_request
from facegen.training.task import BatchSpec

CPU = torch.device("cpu")


@pytest.fixture
def people(prepared: PreparedFolder, tmp_path: Path) -> Path:
    """The folder of a base: the same person twice, under two names."""
    folder = tmp_path / "people"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / name).symlink_to(prepared.path, target_is_directory=True)
    return folder


def _trained(folder: Path, run: Path, *changes: str) -> DfrfTask:
    request = make_request(DFRF, preset="tiny", data=str(folder), changes=["steps=2", "save_every=2", *changes])
    train_in_folder(run, DFRF, request, on_line=lambda _line: None)
    return load(DfrfTask, run / "exports" / "final" / "field.json")


def test_every_batch_is_of_one_person(people: Path) -> None:
    data = override(DfrfTask(), ["references=2"]).build_data(people, CPU)
    assert isinstance(data, PeopleDataset)
    first, second = data.people
    assert len(data) == len(first) + len(second)
    generator = torch.Generator()
    for places, person, own in (([3, 4], first, [3, 4]), ([len(first) + 3, 4], second, None)):
        batch = data.batch(BatchSpec(indices=torch.tensor(places), generator=generator, step=0, progress=0.0))
        assert batch["target"].shape[0] == 2
        alone = own or [3, (4 - len(first)) % len(second)]
        wanted = person.batch(BatchSpec(indices=torch.tensor(alone), generator=generator, step=0, progress=0.0))
        assert torch.equal(batch["target"], wanted["target"])


def test_a_person_starts_from_a_base(people: Path, prepared: PreparedFolder, tmp_path: Path) -> None:
    base = tmp_path / "base"
    _trained(people, base, "task.fast.plane_size=8")
    with pytest.raises(InputError, match="base over 2"):
        find_field(base)
    sizes = ["references=2", "surface=true", "fast.channels=4", "fast.width=16", "fast.features=7", "fast.samples=4"]
    task = override(DfrfTask(), [*sizes, "fast.plane_size=16", f"start={base}"])
    begun = task.build_model().state_dict()
    held = override(DfrfTask(), [*sizes, "fast.plane_size=8", f"start={base}"]).build_model().state_dict()
    planes = F.interpolate(held["field.planes"], (16, 16), mode="bilinear", align_corners=True)
    assert torch.allclose(begun["field.planes"], planes)
    assert all(torch.equal(begun[name], value) for name, value in held.items() if name != "field.planes")
    # what was trained needs the base no more
    assert _trained(prepared.path, tmp_path / "person", f"task.start={base}").start == ""


def test_a_base_must_fit(tmp_path: Path) -> None:
    weights = override(DfrfTask(), ["references=3"]).build_model().state_dict()
    with pytest.raises(InputError, match="number of references"):
        initialize(override(DfrfTask(), ["references=2"]).build_model(), weights)
    with pytest.raises(InputError, match="name of a run"):
        override(DfrfTask(), ["start=nobody"]).build_model()
    with pytest.raises(InputError, match="to start from"):
        override(DfrfTask(), [f"start={tmp_path}"]).build_model()


def test_a_folder_without_people_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="several for a base"):
        prepare_people(tmp_path)


def test_settings_of_the_last_release_are_read() -> None:
    task = override(DfrfTask(), ["reference.width=64"])
    with pytest.warns(FutureWarning, match="reference"):
        assert override(DfrfTask(), ["faithful.width=64"]) == task
    saved = to_dict(task)
    saved["faithful"] = saved.pop("reference")
    with pytest.warns(FutureWarning, match="reference"):
        assert from_dict(DfrfTask, saved) == task
