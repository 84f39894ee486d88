"""A search over settings: one training for each trial, and a table that says what won."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from facegen.config import save
from facegen.errors import InputError, TrainingError
from facegen.training.compare import last_figures
from facegen.training.info import TaskInfo
from facegen.training.logger import read_losses
from facegen.training.request import TrainRequest, Trial, change_request


def parse_choices(texts: Sequence[str]) -> dict[str, list[str]]:
    """«lr=1e-4,5e-5» to a list of values by name.

    Raises:
        InputError: a text is not of that form.
    """
    choices: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        choices[key] = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not choices[key]:
            raise InputError(f"Expected a search as key=value,value found {text!r}; write it like lr=1e-4,5e-5.")
    return choices


def search(
    info: TaskInfo,
    request: TrainRequest,
    choices: dict[str, list[str]],
    folder: Path,
    *,
    trials: int,
    train: Callable[[TrainRequest, Path], None],
    on_line: Callable[[str], None] = print,
) -> list[Trial]:
    """Trains with different settings; every combination where `trials` allows it, else the most promising ones (TPE).

    Args:
        info: the task.
        request: where each trial starts from.
        choices: values by setting.
        folder: gets `trial-000/` and so on, and `search.csv`, renewed after each trial.
        trials: how many trainings at most.
        train: does one training in one folder.
        on_line: called with each line meant for the user.

    Returns:
        The trials, best first.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    combinations = 1
    for values in choices.values():
        combinations *= len(values)
    seed = request.settings.seed
    sampler: Any = (
        optuna.samplers.GridSampler(choices, seed=seed)
        if combinations <= trials
        else optuna.samplers.TPESampler(seed=seed)
    )
    study = optuna.create_study(direction="minimize", sampler=sampler)
    done: list[Trial] = []

    def run(trial: optuna.Trial) -> float:
        chosen = {key: trial.suggest_categorical(key, values) for key, values in choices.items()}
        changed = change_request(info, request, [f"{key}={value}" for key, value in chosen.items()])
        trial_folder = folder / f"trial-{trial.number:03d}"
        trial_folder.mkdir(parents=True, exist_ok=True)
        save(trial_folder / "train.json", changed)
        description = ", ".join(f"{key}={value}" for key, value in chosen.items())
        on_line(f"Trial {trial.number + 1} of {min(trials, combinations)}: {description}")
        try:
            train(changed, trial_folder)
        except TrainingError as error:
            done.append(Trial(number=trial.number, settings=chosen, value=None, note=str(error)))
            _write_table(done, folder / "search.csv")
            raise optuna.TrialPruned from error
        value = result_of(trial_folder)
        done.append(Trial(number=trial.number, settings=chosen, value=value, note=""))
        _write_table(done, folder / "search.csv")
        on_line(f"Trial {trial.number + 1}: {value:.5f}")
        return value

    study.optimize(run, n_trials=min(trials, combinations))
    return rank_trials(done)


def result_of(folder: Path) -> float:
    """What a training came to: the task's first measure, or the sum of its last losses."""
    lines = read_losses(folder)
    measures = [line["measures"] for line in lines if "measures" in line]
    if measures:
        return float(next(iter(measures[-1].values())))
    figures = last_figures(lines)
    return sum(value for name, value in figures.items() if name.startswith("loss "))


def rank_trials(trials: list[Trial]) -> list[Trial]:
    """Best first, failed ones last."""
    return sorted(trials, key=lambda trial: (trial.value is None, trial.value or 0.0, trial.number))


def _write_table(trials: list[Trial], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = list(trials[0].settings)
        table.writerow(["rank", "trial", *names, "value", "note"])
        for rank, trial in enumerate(rank_trials(trials), 1):
            value = "" if trial.value is None else f"{trial.value:.6g}"
            table.writerow([rank, trial.number, *(trial.settings[name] for name in names), value, trial.note])
