"""Every task of the room trains at its tiny preset, resumes and exports."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facegen import hub
from facegen.config import from_dict
from facegen.errors import InputError
from facegen.faces.parse import GLASSES, HAT
from facegen.generate import weights
from facegen.generate.dataset.packed import PackedFaces
from facegen.generate.retouch.retoucher import Retoucher
from facegen.generate.tasks import ATTRIBUTES, GENERATOR, REALISM, RETOUCHER
from facegen.hub import WeightFile
from facegen.media import write_picture
from facegen.restore.tasks import RESTORER
from facegen.training.info import TaskInfo
from facegen.training.loop import Trainer
from facegen.training.request import make_request
from tests.factories import noise_rgb
from tests.generate.faces import small_pack


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    packed, both, plain = (tmp_path_factory.mktemp(name) for name in ("packed", "both", "plain"))
    small_pack(24).write(packed)
    for kind in ("photographs", "generated"):
        (both / kind).mkdir()
        for number in range(12):
            write_picture(both / kind / f"{number}.png", noise_rgb(64, 64, number))
    for number in range(13):
        write_picture(plain / f"{number}.png", noise_rgb(64, 64, number))
    return {"attributes": packed, "generator": packed, "retoucher": packed, "realism": both, "restorer": plain}


@pytest.mark.parametrize("info", [ATTRIBUTES, GENERATOR, RETOUCHER, REALISM, RESTORER], ids=lambda info: info.name)
def test_a_tiny_training_runs_resumes_and_exports(info: TaskInfo, folders: dict[str, Path], tmp_path: Path) -> None:
    request = make_request(info, preset="tiny", changes=["device=cpu", "steps=4", "save_every=2"])
    task_class = info.load()
    task = from_dict(task_class, request.task_settings)
    said: list[str] = []
    trainer = Trainer(task, request.settings, tmp_path / "run", data=folders[info.name], on_line=said.append)
    done = trainer.train()
    assert done.is_complete
    assert done.files
    assert all(path.is_file() for path in done.files.values())
    longer = make_request(info, preset="tiny", changes=["device=cpu", "steps=5", "save_every=5"])
    again = Trainer(task, longer.settings, tmp_path / "run", data=folders[info.name], on_line=said.append)
    assert again.train(resume=True).step == 5


def test_a_generator_goes_on_from_exported_weights(folders: dict[str, Path], tmp_path: Path) -> None:
    tiny = ["device=cpu", "steps=1", "save_every=1"]
    first = make_request(GENERATOR, preset="tiny", changes=tiny)
    task = from_dict(GENERATOR.load(), first.task_settings)
    done = Trainer(task, first.settings, tmp_path / "a", data=folders["generator"], on_line=lambda _: None).train()
    start = str(next(iter(done.files.values())).parent)
    second = make_request(GENERATOR, preset="tiny", changes=[*tiny, f"task.start={start}"])
    task = from_dict(GENERATOR.load(), second.task_settings)
    again = Trainer(task, second.settings, tmp_path / "b", data=folders["generator"], on_line=lambda _: None).train()
    assert again.is_complete
    with pytest.raises(InputError, match="diffusers"):
        from_dict(GENERATOR.load(), {**second.task_settings, "start": str(tmp_path)}).build_model()


@pytest.mark.parametrize(("info", "file"), [(ATTRIBUTES, weights.ATTRIBUTES), (RETOUCHER, weights.RETOUCHER)])
def test_a_training_begins_with_bundled_weights(info: TaskInfo, file: WeightFile) -> None:
    start = str(hub.fetch(file))
    fresh, begun, again = (from_dict(info.load(), {"start": path}).build_model() for path in ("", start, start))
    fresh, begun = fresh.state_dict(), begun.state_dict()
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert all(bool((value == begun[name]).all()) for name, value in again.state_dict().items())
    assert any(bool((value != begun[name]).any()) for name, value in fresh.items())


@pytest.mark.slow
def test_a_retoucher_of_256_pixels_trains_on_several_datasets_and_draws_once(tmp_path: Path) -> None:
    for name, count in (("a", 24), ("b", 20)):
        small_pack(count, 1, has_large=True).write(tmp_path / "data" / name)
    changes = ["device=cpu", "task.network.fine=[32,32]", "steps=2", "save_every=2"]
    request = make_request(RETOUCHER, preset="tiny", changes=changes)
    task = from_dict(RETOUCHER.load(), request.task_settings)
    trainer = Trainer(task, request.settings, tmp_path / "run", data=tmp_path / "data", on_line=lambda _: None)
    done = trainer.train()
    drawn = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("data/*/drawings-*.npy"))]
    assert len(drawn) == 2
    longer = make_request(RETOUCHER, preset="tiny", changes=[*changes, "steps=3"])
    again = Trainer(task, longer.settings, tmp_path / "run", data=tmp_path / "data", on_line=lambda _: None)
    assert again.train(resume=True).step == 3
    assert drawn == [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("data/*/drawings-*.npy"))]
    made = Retoucher("cpu", done.files["retoucher"]).retouch(np.zeros((1, 128, 128, 3), np.uint8), [0])
    assert made.shape == (1, 256, 256, 3)
    small_pack(24).write(tmp_path / "small")
    with pytest.raises(InputError, match="--large"):
        task.build_data(tmp_path / "small", torch.device("cpu"))


def test_faces_are_held_back_whatever_file_they_came_from() -> None:
    pack = small_pack(40)
    others = replace(pack, names=tuple(name.replace(".png", ".webp") for name in pack.names))
    jpegs = replace(pack, names=tuple(name.replace(".png", ".jpg") for name in pack.names))
    assert (others.is_held_out(0.3) == jpegs.is_held_out(0.3)).all()


def test_rare_kinds_are_known_by_what_the_parser_sees() -> None:
    classes = np.zeros((40, 19), np.float32)
    classes[7, GLASSES] = classes[9, HAT] = 0.01
    found = np.flatnonzero(replace(small_pack(40), classes=classes).is_rare())
    assert {7, 9} <= set(found)
    assert len(found) <= 4


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="facegen generate dataset"):
        PackedFaces.read(tmp_path)
    small_pack(4).write(tmp_path)
    np.save(tmp_path / "shapes.npy", np.zeros((3, 468, 3), np.float32))
    with pytest.raises(InputError, match="found 3 in shapes"):
        PackedFaces.read(tmp_path)
