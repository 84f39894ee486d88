"""A training from what the widgets hold to the command, the run, its curves, and the place of its model."""

import json
import shlex
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from facegen import hub
from facegen.catalog import find_task
from facegen.cli.command import render
from facegen.config import from_dict, save, to_dict
from facegen.errors import InputError, ResourceError, WeightsError
from facegen.faces.parse import FACE, ParserNetConfig
from facegen.faces.parse.data import read_labelled
from facegen.faces.parse.parser import FaceParser
from facegen.faces.parse.task import ParserTask
from facegen.faces.weights import PARSER
from facegen.jobs import Run
from facegen.training.jobs import TRAIN
from facegen.training.logger import COMMANDS
from facegen.training.request import make_request
from facegen.training.settings import OptimiserSettings
from facegen.training.task import Task
from facegen.ui.profile import Profile
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import facesets
from facegen.ui.tabs.train import tab as train
from facegen.ui.tabs.train import trained, trainings
from facegen.ui.tabs.train.example_set import make_example_set
from tests.conftest import SHARED_DATA
from tests.factories import gradient_rgb


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "shown"))
    return Services()


@pytest.fixture
def limited(services: Services, monkeypatch: pytest.MonkeyPatch) -> Services:
    """A shared studio on a machine without a GPU, as on a free Space."""
    monkeypatch.setattr(trainings, "has_gpu", lambda: False)
    services.settings = replace(services.settings, shared=True)
    return services


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "some pictures"
    folder.mkdir()
    for number in range(6):
        Image.fromarray(gradient_rgb(32, 32, number / 6)).save(folder / f"{number}.png")
    return folder


def asked(pictures: Path, *changes: str) -> trainings.TrainForm:
    return trainings.TrainForm(task="autoencoder", preset="tiny", data=str(pictures), changes=changes)


def test_facesets_become_data(services: Services, facegen_home: Path) -> None:
    for name in ("her", "him"):
        folder = facesets.faceset_path(services, Visitor(), name)
        folder.mkdir(parents=True)
        (folder / "metadata.jsonl").write_text("")
    one = trainings.faceset_folder(services, Visitor(), "autoencoder", ("her", None))
    assert Path(one) == facesets.faceset_path(services, Visitor(), "her").resolve()
    pair = Path(trainings.faceset_folder(services, Visitor(), "saehd", ("him", "her")))
    assert (pair / "a").resolve().name == "him"
    assert (pair / "b" / "metadata.jsonl").is_file()
    for task, chosen, words in (("saehd", ("him", None), "two facesets"), ("parser", ("him", "her"), "no faceset")):
        with pytest.raises(InputError, match=words):
            trainings.faceset_folder(services, Visitor(), task, chosen)


def test_widgets_that_still_show_another_preset_do_not_count(services: Services, pictures: Path) -> None:
    with gr.Blocks():
        inputs, _ = train._ask(services)
    values = {id(component): component.value for component in inputs.components}
    values |= {id(inputs.task): "autoencoder", id(inputs.origin): train._FOLDER, id(inputs.folder): str(pictures)}

    def read(**changed: str) -> trainings.TrainForm:
        new = {id(getattr(inputs, name)): value for name, value in changed.items()}
        return inputs.read(services, Visitor(), tuple({**values, **new}[id(c)] for c in inputs.components))

    assert read(preset="tiny", filled="parser default").changes == ()
    assert read(preset="tiny", filled="autoencoder tiny").changes


def test_only_what_differs_from_the_preset_is_said() -> None:
    preset = trainings.preset_settings("autoencoder", "default")
    settings = {"steps": preset.steps, "minutes": 3, "optimiser.rate": 5e-4, "optimiser.name": preset.optimiser.name}
    made = trainings.changes("autoencoder", "default", settings, "task.size=96\n\n lr=1e-4 ")
    assert made == ("minutes=3.0", "optimiser.rate=0.0005", "task.size=96", "lr=1e-4")
    for wrong in ({"steps": 0}, {"optimiser.rate": -1.0}, {"colour": 1}):
        with pytest.raises(InputError):
            trainings.changes("autoencoder", "default", wrong, "")
    with pytest.raises(InputError, match="preset"):
        trainings.preset_settings("autoencoder", "huge")


def test_the_command_shown_is_the_one_that_runs(services: Services, pictures: Path) -> None:
    shown = trainings.format_command(asked(pictures, "lr=1e-4"))
    assert shown == f"facegen train autoencoder --preset tiny --data '{pictures}' --set lr=1e-4"
    run = trainings.start(services, Visitor(), asked(pictures, "lr=1e-4"))
    run.cancel()
    command = shlex.join(render(TRAIN, TRAIN.read_request(run)))
    assert command == shown.replace("lr=1e-4", "optimiser.rate=0.0001")


def test_memory_and_disk_are_looked_at_before(
    services: Services, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEGEN_HOME", str(tmp_path / "not" / "yet" / "there"))
    assert "million parameters" in trainings.check(services, asked(pictures))
    with pytest.raises(ResourceError, match="free memory"):
        trainings.check(services, asked(pictures, "task.code=4096", "task.size=256", "task.width=256"))
    with pytest.raises(ResourceError, match="free disk"):
        trainings.check(services, asked(pictures, "task.width=64", "keep=1000", "keep_hourly=1000", "task.size=128"))
    for wrong in (asked(tmp_path / "nowhere"), asked(pictures, "colour=red"), asked(pictures, "task.size=fast")):
        with pytest.raises(InputError):
            trainings.check(services, wrong)


def test_a_shared_machine_without_a_gpu_limits_itself(limited: Services, pictures: Path) -> None:
    assert trainings.first_settings(limited, "parser", "default").minutes == trainings.SHARED_FIRST_MINUTES
    for minutes in (0, 31):
        with pytest.raises(InputError, match="shared machine"):
            trainings.check(limited, asked(pictures, f"minutes={minutes}"))
    visitor = Visitor()
    with pytest.raises(InputError, match="a file of yours"):
        trainings.start(limited, visitor, asked(pictures, "minutes=1"))
    own = Path(trainings.data_folder(limited, visitor, None, [str(path) for path in sorted(pictures.iterdir())]))
    Run.create("train", to_dict(asked(own)), owner=visitor.mark)
    with pytest.raises(InputError, match="your last training"):
        trainings.start(limited, visitor, asked(own, "minutes=1"))
    with pytest.raises(InputError, match="upload"):
        trainings.data_folder(limited, visitor, str(pictures), None)


def test_elsewhere_nothing_is_limited(services: Services, pictures: Path) -> None:
    assert not trainings.is_limited(services)
    assert trainings.first_settings(services, "parser", "default").minutes == 0
    assert trainings.data_folder(services, Visitor(), str(pictures), None) == str(pictures)


def test_an_empty_folder_is_refused_before_anything_starts(services: Services, tmp_path: Path) -> None:
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(InputError, match="found an empty one"):
        trainings.data_folder(services, Visitor(), str(tmp_path / "empty"), None)


def test_uploads_are_unpacked_within_their_folder(pictures: Path, tmp_path: Path) -> None:
    good, bad, empty, broken = (tmp_path / f"{name}.zip" for name in ("good", "bad", "empty", "broken"))
    with zipfile.ZipFile(good, "w") as archive:
        archive.write(pictures / "0.png", "images/0.png")
        archive.writestr("images/run.sh", "rm -rf /")
    with zipfile.ZipFile(bad, "w") as archive:
        archive.write(pictures / "0.png", "../0.png")
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("notes.txt", "none")
    broken.write_bytes(b"PK but not really")
    made = trainings.unpack(tmp_path / "made", [str(good), str(pictures / "1.png")])
    assert sorted(str(path.relative_to(made)) for path in made.rglob("*.*")) == ["1.png", "images/0.png"]
    for wrong, words in ((bad, "inside the archive"), (empty, "found none"), (broken, "zip archive")):
        with pytest.raises(InputError, match=words):
            trainings.unpack(tmp_path / wrong.stem, [str(wrong)])
        assert not (tmp_path / wrong.stem).exists()
    assert not (tmp_path / "0.png").exists()


def test_an_upload_is_unpacked_once_and_goes_with_a_refusal(services: Services, pictures: Path) -> None:
    visitor, upload = Visitor(), [str(pictures / "0.png")]
    place = trainings.data_folder(services, visitor, None, upload)
    assert trainings.data_folder(services, visitor, None, upload) == place
    with pytest.raises(InputError, match="something to train"):
        trainings.start(services, visitor, trainings.TrainForm(task="nothing", preset="tiny", data=place))
    assert not Path(place).exists()


def test_example_sets_of_two_kinds_of_pictures_and_of_clips(tmp_path: Path) -> None:
    folder = make_example_set(tmp_path / "realism", "realism")
    kinds = {path.parent.name for path in folder.rglob("*.png")}
    assert kinds == {"photographs", "generated"}
    clips = make_example_set(tmp_path / "motion", "motion")
    assert {path.name for path in clips.iterdir()} == {"ada.mp4", "bea.mp4", "carl.mp4"}


@pytest.mark.timeout(240)
@pytest.mark.slow
@pytest.mark.parametrize("task", [info.name for info in trainings.list_tasks()])
def test_every_task_has_an_example_set_that_it_learns_from(task: str, tmp_path: Path) -> None:
    request = make_request(find_task(task), preset="tiny", data=str(make_example_set(tmp_path / task, task)))
    settings: Task = from_dict(find_task(task).load(), request.task_settings)
    data = settings.build_data(Path(request.data), torch.device("cpu"))
    assert len(data) >= 2


def together(call: Callable[[], Any]) -> list[Any]:
    """What four calls at once return."""
    gate = threading.Barrier(4)

    def begin() -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(4) as pool:
        return [done.result() for done in [pool.submit(begin) for _ in range(4)]]


def test_clicks_in_a_row_share_one_folder(services: Services, pictures: Path, tmp_path: Path) -> None:
    for name in ("her", "him"):
        folder = facesets.faceset_path(services, Visitor(), name)
        folder.mkdir(parents=True)
        (folder / "metadata.jsonl").write_text("")
    visitor, upload = Visitor(), [str(path) for path in sorted(pictures.iterdir())]
    for call in (
        lambda: trainings.data_folder(services, visitor, None, upload),
        lambda: trainings.faceset_folder(services, visitor, "saehd", ("him", "her")),
        lambda: str(make_example_set(tmp_path / "examples" / "motion", "motion")),
    ):
        (place,) = set(together(call))
        assert any(Path(place).iterdir())
        assert [path.name for path in Path(place).parent.iterdir() if ".part" in path.name] == []


def test_an_example_set_is_made_on_the_spot(services: Services, tmp_path: Path) -> None:
    folder = make_example_set(tmp_path / "home" / "examples", "parser")
    data, skipped = read_labelled(folder, 256)
    assert (len(data), skipped) == (64, ())
    share = np.isin(data.labels.numpy(), FACE).mean((1, 2))
    assert 0.1 < share.min() < share.max() < 0.6
    assert make_example_set(folder, "parser") == folder
    plain = make_example_set(tmp_path / "plain", "autoencoder")
    assert len(list(plain.glob("*.png"))) == 64
    with pytest.raises(InputError, match="choose other data"):
        make_example_set(tmp_path / "other", "dancing")


@pytest.mark.timeout(120)
def test_a_training_from_start_to_end(services: Services, pictures: Path) -> None:
    visitor = Visitor()
    run = trainings.start(services, visitor, asked(pictures, "steps=30", "device=cpu"))
    assert trainings.trainings(services, visitor)[0].name == run.name
    while run.status().is_active:
        time.sleep(0.2)
    assert run.status().state == "done", run.log_tail()
    curves = trained.curves(run)
    assert set(curves["line"]) == {"face", "face, smoothed"}
    assert list(curves["step"].unique()) == list(range(1, 31))
    newest, strip = trained.preview(run)
    assert newest is not None
    assert (newest.stem, strip is not None) == ("00000030", True)
    assert [path.name for path in trained.exports(run)] == ["autoencoder.json", "autoencoder.safetensors"]
    assert "steps a second this training needs about" in run.log_tail()
    assert trained.estimate(run) == ""
    assert trained.summary(run).startswith("30 steps: loss face 0.")
    assert trained.figures(run)["figures"]["step"] == 30
    assert trained.place(services, run).words == "A test of this machine: no tab uses it."
    with pytest.raises(InputError, match="found none"):
        trained.use(services, run)
    with pytest.raises(InputError, match="found .* done"):
        trainings.act(run, "save")


def test_verbs_reach_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create("train", {"task": "autoencoder"})
    monkeypatch.setattr(Run, "status", lambda self: replace(run._read_status(), state="running"))
    for verb in ("save", "pause", "export", "stop"):
        trainings.act(run, verb)
    assert sorted(path.stem for path in run.path.glob("*.control")) == sorted(COMMANDS)
    with pytest.raises(InputError, match="'explode'"):
        trainings.act(run, "explode")


def exported_parser(task: ParserTask) -> Run:
    """A training of the parser that has exported its (untrained) network."""
    run = Run.create("train", {"task": "parser"})
    folder = run.path / "exports" / "final"
    folder.mkdir(parents=True)
    task.export(task.build_model(), folder)
    return run


def test_a_parser_trained_here_becomes_the_parser_in_use(services: Services) -> None:
    bundled = hub.fetch(PARSER)
    run = exported_parser(ParserTask(network=ParserNetConfig.tiny()))
    assert not trained.place(services, run).is_in_use
    assert "is the parser of the Swap tab" in trained.use(services, run)
    own = hub.fetch(PARSER)
    assert own != bundled
    assert own.read_bytes() == (run.path / "exports" / "final" / "parser.safetensors").read_bytes()
    found = FaceParser("cpu").parse(np.zeros((1, 256, 256, 3), np.uint8))
    assert found.shape == (1, 19, 256, 256)
    run.delete()
    assert hub.fetch(PARSER) == own
    own.write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="weights reset parser"):
        hub.fetch(PARSER)
    hub.use_default(PARSER)
    assert hub.fetch(PARSER) == bundled


def test_using_is_undone_by_asking_again(services: Services) -> None:
    run = exported_parser(ParserTask(network=ParserNetConfig.tiny()))
    trained.use(services, run)
    assert trained.place(services, run).is_in_use
    assert "can be the parser" in trained.use(services, run)
    assert hub.custom_file(PARSER) is None


def test_visitors_of_a_shared_studio_do_not_change_its_models(services: Services) -> None:
    services.settings = Profile(shared=True)
    run = exported_parser(ParserTask(network=ParserNetConfig.tiny()))
    with pytest.raises(InputError, match="weights use parser"):
        trained.use(services, run)


def test_two_trainings_are_laid_side_by_side(services: Services, pictures: Path) -> None:
    names = []
    for rate in (1e-4, 1e-3):
        run = Run.create("train", {"task": "autoencoder"})
        request = make_request(find_task("autoencoder"), preset="tiny", data=str(pictures))
        settings = replace(request.settings, optimiser=OptimiserSettings(rate=rate))
        save(run.path / "train.json", replace(request, settings=settings))
        lines = [{"step": step, "losses": {"face": 1 / step}} for step in (1, 2, 3)]
        (run.path / "losses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        names.append(run.name)
    found = trainings.compare(services, Visitor(), names)
    assert found.differing == {"settings.optimiser.rate": {names[0]: 1e-4, names[1]: 1e-3}}
    assert found.files["curves"].stat().st_size > 1000
    with pytest.raises(InputError, match="two runs"):
        trainings.compare(services, Visitor(), names[:1])


def test_example_data_lies_beside_the_checkout() -> None:
    assert trainings.EXAMPLE_DATA == SHARED_DATA
