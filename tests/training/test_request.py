"""Requests, comparison, search, rate finder, and the command line over them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facegen.catalog import TASKS, find_task
from facegen.cli import build_app
from facegen.config import save, to_dict
from facegen.errors import InputError, TrainingError
from facegen.jobs import Run
from facegen.json_file import read_json
from facegen.training.compare import compare
from facegen.training.info import TaskInfo
from facegen.training.jobs import TRAIN
from facegen.training.launch import export_checkpoint, train_in_folder
from facegen.training.request import change_request, make_request, read_request
from facegen.training.search import _suggest, find_rate, parse_choices, search

AUTOENCODER = find_task("autoencoder")


def quiet(line: str) -> None:
    """Says nothing."""


@pytest.mark.parametrize("info", TASKS, ids=lambda info: info.name)
def test_every_preset_of_every_task_is_valid(info: TaskInfo, tmp_path: Path) -> None:
    assert "tiny" in info.presets
    for preset in info.presets:
        request = make_request(info, preset=preset)
        save(tmp_path / "train.json", request)
        assert read_request(tmp_path) == request
        info.load()().build_model()


def test_settings_reach_their_places() -> None:
    request = make_request(AUTOENCODER, changes=["lr=5e-5", "batch=7", "task.code=99", "optimiser.name=lion"])
    assert request.settings.optimiser.rate == 5e-5
    assert request.settings.optimiser.name == "lion"
    assert request.settings.batch_size == 7
    assert request.task_settings["code"] == 99


@pytest.mark.parametrize("change", ["colour=red", "task.colour=red", "lr=fast", "lr=-1", "batch"])
def test_wrong_settings_are_refused(change: str) -> None:
    with pytest.raises(InputError):
        make_request(AUTOENCODER, changes=[change])


def test_request_of_a_newer_facegen(tmp_path: Path) -> None:
    request = to_dict(make_request(AUTOENCODER))
    (tmp_path / "train.json").write_text(json.dumps({**request, "format": 99}))
    with pytest.raises(InputError, match="update facegen"):
        read_request(tmp_path)
    with pytest.raises(InputError, match=r"no train\.json"):
        read_request(tmp_path / "nowhere")


def test_empty_and_missing_data_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        request = make_request(AUTOENCODER, preset="tiny", data=str(tmp_path / name))
        with pytest.raises(InputError, match="found no"):
            train_in_folder(tmp_path / "run", AUTOENCODER, request, on_line=quiet)


def test_runs_are_compared(pictures: Path, tmp_path: Path) -> None:
    for name, rate in (("slow", "1e-4"), ("fast", "1e-2")):
        request = make_request(AUTOENCODER, preset="tiny", data=str(pictures), changes=["steps=4", f"lr={rate}"])
        train_in_folder(tmp_path / name, AUTOENCODER, request, on_line=quiet)
    found = compare([tmp_path / "slow", tmp_path / "fast"], tmp_path / "out")
    assert found.differing == {"settings.optimiser.rate": {"slow": 1e-4, "fast": 1e-2}}
    assert found.figures["fast"]["step"] == 4
    assert {name: path.is_file() for name, path in found.files.items()} == {
        "curves": True,
        "previews": True,
        "table": True,
    }
    with pytest.raises(InputError, match="two runs or more"):
        compare([tmp_path / "slow"], tmp_path / "out")


def test_search_ranks_and_survives_a_failing_trial(tmp_path: Path) -> None:
    request = make_request(AUTOENCODER, preset="tiny")

    def train(changed: object, folder: Path) -> None:
        rate = changed.settings.optimiser.rate  # type: ignore[attr-defined]
        if rate > 0.5:
            raise TrainingError("too fast")
        line = {"step": 1, "losses": {"face": 1.0}, "steps_per_second": 1.0}
        measured = {"step": 1, "measures": {"error": abs(rate - 1e-3)}}
        (folder / "losses.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(measured) + "\n")

    choices = parse_choices(["lr=1e-4,1e-3,0.9", "batch=4,8"])
    found = search(AUTOENCODER, request, choices, tmp_path, trials=6, train=train, on_line=quiet)
    assert len(found) == 6
    assert {trial.settings["lr"] for trial in found[:2]} == {"1e-3"}
    assert [trial.value for trial in found[4:]] == [None, None]
    rows = list(csv.DictReader((tmp_path / "search.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == list("123456")
    assert rows[0]["lr"] == "1e-3"
    assert rows[-1]["note"] == "too fast"
    with pytest.raises(InputError, match="key=value"):
        parse_choices(["lr"])


def test_rate_finder_suggests_a_usable_rate(pictures: Path) -> None:
    request = make_request(AUTOENCODER, preset="tiny")
    task = replace(AUTOENCODER.load()(), size=32, width=4, code=8)
    found = find_rate(task, request.settings, data=pictures, steps=200, on_line=quiet)
    assert 1e-6 < found.suggestion < 0.5
    assert len(found.rates) == len(found.losses)
    with pytest.raises(TrainingError, match="did not fall"):
        _suggest([1e-7, 1e-6, 1e-5, 1e-4], [1.0, 1.0, 1.0, 1.0])


def test_best_or_last_is_exported(pictures: Path, tmp_path: Path) -> None:
    request = make_request(AUTOENCODER, preset="tiny", data=str(pictures), changes=["steps=4", "save_every=2"])
    train_in_folder(tmp_path / "run", AUTOENCODER, request, on_line=quiet)
    made = export_checkpoint(tmp_path / "run", AUTOENCODER, request, tmp_path / "out", use_best=True)
    assert made["weights"].is_file()
    with pytest.raises(InputError, match="found none"):
        export_checkpoint(tmp_path, AUTOENCODER, request, tmp_path / "out", use_best=False)


def test_command_line(pictures: Path, tmp_path: Path) -> None:
    runner, app = CliRunner(), build_app(["train"])
    run = tmp_path / "run"
    arguments = ["train", "autoencoder", "--preset", "tiny", "--data", str(pictures), "--run", str(run)]
    done = runner.invoke(app, [*arguments, "--steps", "3", "--set", "task.code=9", "--json"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert summary["step"] == 3
    assert read_json(run / "status.json")["state"] == "done"
    kept = Run.open(run)
    assert "Total Iterations: " in kept.log_tail()
    assert TRAIN.read_request(kept) == read_request(run)
    again = runner.invoke(app, ["train", "autoencoder", "--run", str(run), "--resume", "--steps", "5", "--json"])
    assert json.loads(again.stdout.strip().splitlines()[-1])["step"] == 5
    assert read_request(run).task_settings["code"] == 9
    exported = runner.invoke(app, ["train", "export", str(run), "--output", str(tmp_path / "out"), "--json"])
    assert Path(json.loads(exported.stdout)["weights"]).is_file()
    listed = runner.invoke(app, ["train", "--json"])
    assert {item["name"] for item in json.loads(listed.stdout)} >= {"parser", "autoencoder"}


def test_resume_with_another_task_is_refused(pictures: Path, tmp_path: Path) -> None:
    save(tmp_path / "train.json", make_request(AUTOENCODER, data=str(pictures)))
    runner, app = CliRunner(), build_app(["train"])
    done = runner.invoke(app, ["train", "parser", "--run", str(tmp_path), "--resume"])
    assert isinstance(done.exception, InputError)


def test_a_second_setting_without_its_option_is_refused(pictures: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(pictures), "--run", str(tmp_path / "run"), "--set", "steps=2", "task.code=9"]
    done = CliRunner().invoke(build_app(["train"]), ["train", "autoencoder", *arguments])
    assert isinstance(done.exception, InputError)
    assert "--set task.code=9" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_what_does_not_fit_a_training_leaves_its_request(pictures: Path, tmp_path: Path) -> None:
    request = make_request(AUTOENCODER, preset="tiny", data=str(pictures), changes=["steps=2"])
    train_in_folder(tmp_path / "run", AUTOENCODER, request, on_line=quiet)
    wider = change_request(AUTOENCODER, request, ["task.code=33", "steps=4"])
    with pytest.raises(InputError, match="another model"):
        train_in_folder(tmp_path / "run", AUTOENCODER, wider, resume=True, on_line=quiet)
    assert read_request(tmp_path / "run") == request


def test_change_request_keeps_the_rest() -> None:
    request = make_request(AUTOENCODER, preset="tiny")
    changed = change_request(AUTOENCODER, request, ["steps=99"])
    assert changed.settings == replace(request.settings, steps=99)
    assert changed.task_settings == request.task_settings
