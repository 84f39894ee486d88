"""`facegen train`: trains, resumes, compares, searches and exports the tasks of the catalog."""

import dataclasses
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegen.cli.command import Device, use_device
from facegen.config import to_dict
from facegen.errors import InputError
from facegen.training.jobs import TRAIN

if TYPE_CHECKING:
    from facegen.training.info import TaskInfo
    from facegen.training.request import TrainRequest


def train(
    task: Annotated[
        str, typer.Argument(help="What to train; «compare» or «export» for finished runs; empty: list.")
    ] = "",
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders, for «compare» and «export».")] = None,
    preset: Annotated[str, typer.Option(help="Named settings to start from.")] = "",
    data: Annotated[Path | None, typer.Option(help="Data folder.")] = None,
    run: Annotated[Path | None, typer.Option(help="Run folder; by default a new one in facegen's home.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in all.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Minutes in all.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --run.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; repeatable.")
    ] = None,
    export_every: Annotated[int | None, typer.Option(min=0, help="Steps between exports of a usable model.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that train together.")] = 1,
    find_rate: Annotated[bool, typer.Option("--find-rate", help="Only search for a learning rate.")] = False,
    search: Annotated[
        list[str] | None, typer.Option(metavar="KEY=A,B", help="Train with each of these values; repeatable.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trainings that --search may do.")] = 10,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where «compare» and «export» write.")] = Path(
        "train-output"
    ),
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Train a model, and stop with Ctrl-C whenever you like: --resume goes on from the last checkpoint."""
    use_device(device)
    if task in ("", "list"):
        _list(as_json)
        return
    if task == "compare":
        _compare(runs or [], output, as_json)
        return
    if task == "export":
        _export(runs or [], output, settings or [], as_json)
        return
    if runs:
        remedy = f"give each setting its own option, --set {runs[0]}" if "=" in str(runs[0]) else "name a run by --run"
        raise InputError(f"Expected nothing after the task {task}, found {runs[0]}; {remedy}.")
    changes = [
        *(settings or []),
        *([f"steps={steps}"] if steps else []),
        *([f"minutes={minutes}"] if minutes is not None else []),
        *([f"export_every={export_every}"] if export_every is not None else []),
    ]
    from facegen.training.launch import is_worker, launch_processes

    info, request = _request(task, preset, data, run if resume else None, changes)
    if find_rate:
        _find_rate(info, request, as_json)
    elif search:
        _search(dataclasses.replace(request, search=tuple(search), trials=trials), run, as_json)
    elif processes > 1 and not is_worker():
        launch_processes(processes, sys.argv[1:])
    else:
        _train(info, request, run, resume=resume, as_json=as_json)


def _request(
    task: str, preset: str, data: Path | None, resumed: Path | None, changes: Sequence[str]
) -> "tuple[TaskInfo, TrainRequest]":
    from facegen.catalog import find_task
    from facegen.training.request import change_request, make_request, read_request

    info = find_task(task)
    if resumed is None or not (resumed / "train.json").exists():
        data_path = str(data.absolute()) if data else ""
        return info, make_request(info, preset=preset, data=data_path, changes=changes)
    request = read_request(resumed)
    if request.task != task:
        raise InputError(f"Expected a training of {task} in {resumed}, found one of {request.task}; resume that.")
    request = change_request(info, request, changes)
    return info, dataclasses.replace(request, data=str(data.absolute())) if data else request


def _train(info: "TaskInfo", request: "TrainRequest", folder: Path | None, *, resume: bool, as_json: bool) -> None:
    from facegen.training.checkpoint import list_checkpoints
    from facegen.training.launch import is_worker, process_rank, train_in_folder

    if process_rank() and folder is not None:
        train_in_folder(folder, info, request, resume=resume)
        return
    if is_worker() and folder is None:
        raise InputError("Expected a run folder for several processes, found none; add --run DIR.")
    if folder is not None and not resume and (checkpoints := list_checkpoints(folder / "checkpoints")):
        raise InputError(
            f"Expected an empty run folder, found a training of {checkpoints[-1].step} steps in {folder}; resume it or choose "
            "another folder."
        )
    run = TRAIN.open_run(request, folder) if folder is not None else TRAIN.create_run(request)
    typer.echo(f"Run folder: {run.path}", err=as_json)
    pipeline = TRAIN.load_pipeline()(on_line=functools.partial(typer.echo, err=as_json))
    result = pipeline(request, run)
    if as_json:
        typer.echo(json.dumps(to_dict(result)))


def _search(request: "TrainRequest", folder: Path | None, as_json: bool) -> None:
    run = TRAIN.create_run(request, path=folder)
    result = TRAIN.load_pipeline()(on_line=functools.partial(typer.echo, err=as_json))(request, run)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(trial) for trial in result.trials]))
        return
    for rank, trial in enumerate(result.trials, 1):
        text = "  ".join(f"{key}={value}" for key, value in trial.settings.items())
        typer.echo(f"{rank:3}  {'failed' if trial.value is None else f'{trial.value:.5f}':>9}  {text}  {trial.note}")
    typer.echo(f"Table: {result.files['table']}")


def arguments(request: "TrainRequest") -> list[str]:
    """Command-line arguments of a training: task, preset, data, and settings that differ from the preset."""
    from facegen.catalog import find_task
    from facegen.training.request import changes_from_preset

    command = command_arguments(
        request.task, request.preset, request.data, changes_from_preset(find_task(request.task), request)
    )
    search = [word for text in request.search for word in ("--search", text)]
    return [*command, *search, *(["--trials", str(request.trials)] if request.search else [])]


def command_arguments(task: str, preset: str, data: str, changes: Sequence[str]) -> list[str]:
    """The same from the unchecked values of a form, without loading torch."""
    command = [task, *(["--preset", preset] if preset else []), *(["--data", data] if data else [])]
    return [*command, *(word for change in changes for word in ("--set", change))]


def _find_rate(info: "TaskInfo", request: "TrainRequest", as_json: bool) -> None:
    from facegen.config import from_dict
    from facegen.training.search import find_rate

    task = from_dict(info.load(), request.task_settings)
    result = find_rate(task, request.settings, data=Path(request.data) if request.data else None)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(result)))
        return
    for rate, loss in list(zip(result.rates, result.losses, strict=True))[::5]:
        typer.echo(f"{rate:9.2e}  {loss:.5f}")
    typer.echo(f"Suggested: --set lr={result.suggestion:.1e}")


def _list(as_json: bool) -> None:
    from facegen.catalog import TASKS

    if as_json:
        typer.echo(
            json.dumps([{**dataclasses.asdict(info), "presets": list(info.presets)} for info in TASKS], indent=2)
        )
        return
    for info in TASKS:
        typer.echo(f"{info.name:14} {info.summary}\n{'':14} Needs: {info.needs}\n{'':14} Time: {info.typical_time}.")
        typer.echo(f"{'':14} Presets: {', '.join(info.presets)}")


def _compare(runs: Sequence[Path], output: Path, as_json: bool) -> None:
    from facegen.training.compare import compare

    comparison = compare(runs, output)
    if as_json:
        files = {name: str(path) for name, path in comparison.files.items()}
        typer.echo(json.dumps({"differing": comparison.differing, "figures": comparison.figures, "files": files}))
        return
    for key, values in comparison.differing.items():
        typer.echo(f"{key}: " + ", ".join(f"{name} {value}" for name, value in values.items()))
    for name, figures in comparison.figures.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    for path in comparison.files.values():
        typer.echo(f"Wrote {path}.")


def _export(runs: Sequence[Path], output: Path, changes: Sequence[str], as_json: bool) -> None:
    from facegen.catalog import find_task
    from facegen.training.launch import export_checkpoint
    from facegen.training.request import change_request, read_request

    if len(runs) != 1:
        raise InputError(f"Expected one run folder to export, found {len(runs)}; name it after «export».")
    request = read_request(runs[0])
    info = find_task(request.task)
    files = export_checkpoint(runs[0], info, change_request(info, request, changes), output, use_best=True)
    typer.echo(json.dumps({name: str(path) for name, path in files.items()}) if as_json else f"Wrote {output}.")
