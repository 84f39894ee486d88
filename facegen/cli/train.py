"""`facegen train`: train what facegen can train; go on, compare, search, export."""

import dataclasses
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegen.errors import Cancelled, InputError

if TYPE_CHECKING:
    from facegen.runs import Run
    from facegen.training.info import TaskInfo
    from facegen.training.request import TrainRequest

RATE_STEPS = 50
"""Steps over which the rate is counted."""


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
    output: Annotated[Path, typer.Option(help="Where «compare» and «export» write.")] = Path("train-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Train a model, and stop with Ctrl-C whenever you like: --resume goes on from the last checkpoint."""
    if task in ("", "list"):
        _list(as_json)
        return
    if task == "compare":
        _compare(runs or [], output, as_json)
        return
    if task == "export":
        _export(runs or [], output, settings or [], as_json)
        return
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
        _search(info, request, search, trials, run, as_json)
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
        place = str(data.absolute()) if data else ""
        return info, make_request(info, preset=preset, data=place, changes=changes)
    request = read_request(resumed)
    if request.task != task:
        raise InputError(f"Expected a training of {task} in {resumed}, found one of {request.task}; resume that.")
    request = change_request(info, request, changes)
    return info, dataclasses.replace(request, data=str(data.absolute())) if data else request


def _train(info: "TaskInfo", request: "TrainRequest", place: Path | None, *, resume: bool, as_json: bool) -> None:
    from facegen.config import to_dict
    from facegen.runs import Run
    from facegen.training.launch import is_worker, process_number, train_in

    if process_number() and place is not None:
        train_in(place, info, request, resume=resume)
        return
    if is_worker() and place is None:
        raise InputError("Expected a run folder for several processes, found none; add --run DIR.")
    is_known = place is not None and (place / "request.json").exists()
    run = Run.open(place) if place is not None and is_known else Run.create("train", to_dict(request), path=place)
    if not run.argv and not is_worker():
        again = (sys.executable, "-m", "facegen", "train", request.task, "--run", str(run.path), "--resume")
        run.keep_command(again)
    typer.echo(f"Run folder: {run.path}", err=as_json)

    def say(line: str) -> None:
        typer.echo(line, err=as_json)
        run.write_log(line)

    with run.work():
        result = train_in(
            run.path,
            info,
            request,
            resume=resume,
            say=say,
            on_progress=_reporter(run),
        )
        if not result.is_complete:
            raise Cancelled(f"Stopped after step {result.step}; go on with --resume.")
    if as_json:
        files = {name: str(path) for name, path in result.files.items()}
        typer.echo(json.dumps({"run": str(run.path), "step": result.step, "measures": result.measures, "files": files}))


def _reporter(run: "Run") -> Callable[[float, str], None]:
    """Passes progress on to the run, with the rate of the last steps."""
    times: deque[float] = deque(maxlen=RATE_STEPS)

    def report(share: float, words: str) -> None:
        times.append(time.monotonic())
        seconds = times[-1] - times[0]
        run.update(share, words, rate=f"{(len(times) - 1) / seconds:.2f} steps/s" if seconds > 0 else None)

    return report


def _find_rate(info: "TaskInfo", request: "TrainRequest", as_json: bool) -> None:
    from facegen.config import from_dict
    from facegen.training.finder import find_rate

    task = from_dict(info.load(), request.task_settings)
    found = find_rate(task, request.settings, data=Path(request.data) if request.data else None)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found)))
        return
    for rate, loss in list(zip(found.rates, found.losses, strict=True))[::5]:
        typer.echo(f"{rate:9.2e}  {loss:.5f}")
    typer.echo(f"Suggested: --set lr={found.suggestion:.1e}")


def _search(
    info: "TaskInfo", request: "TrainRequest", texts: Sequence[str], trials: int, place: Path | None, as_json: bool
) -> None:
    from facegen.config import to_dict
    from facegen.runs import Run
    from facegen.training.launch import train_in
    from facegen.training.search import parse_choices, search

    choices = parse_choices(texts)
    run = Run.create("train", {**to_dict(request), "search": list(texts), "trials": trials}, path=place)

    def train_one(changed: "TrainRequest", folder: Path) -> None:
        result = train_in(folder, info, changed, say=lambda line: None, on_progress=run.update)
        if not result.is_complete:
            raise Cancelled("The search was stopped.")

    with run.work():
        found = search(
            info,
            request,
            choices,
            run.path,
            trials=trials,
            train=train_one,
            say=lambda line: typer.echo(line, err=as_json),
        )
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(trial) for trial in found]))
        return
    for rank, trial in enumerate(found, 1):
        words = "  ".join(f"{key}={value}" for key, value in trial.settings.items())
        typer.echo(f"{rank:3}  {'failed' if trial.value is None else f'{trial.value:.5f}':>9}  {words}  {trial.note}")
    typer.echo(f"Table: {run.path / 'search.csv'}")


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

    found = compare(runs, output)
    if as_json:
        files = {name: str(path) for name, path in found.files.items()}
        typer.echo(json.dumps({"differing": found.differing, "figures": found.figures, "files": files}))
        return
    for key, values in found.differing.items():
        typer.echo(f"{key}: " + ", ".join(f"{name} {value}" for name, value in values.items()))
    for name, figures in found.figures.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))
    for path in found.files.values():
        typer.echo(f"Wrote {path}.")


def _export(runs: Sequence[Path], output: Path, changes: Sequence[str], as_json: bool) -> None:
    from facegen.catalog import find_task
    from facegen.training.launch import export_from
    from facegen.training.request import change_request, read_request

    if len(runs) != 1:
        raise InputError(f"Expected one run folder to export, found {len(runs)}; name it after «export».")
    request = read_request(runs[0])
    info = find_task(request.task)
    made = export_from(runs[0], info, change_request(info, request, changes), output, use_best=True)
    typer.echo(json.dumps({name: str(path) for name, path in made.items()}) if as_json else f"Wrote {output}.")
