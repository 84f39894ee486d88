"""Hyperparameter search, one training per trial; and the learning rate range test (Smith, arXiv:1506.01186).

In the range test the rate rises exponentially until the loss diverges.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facegen.config import save
from facegen.errors import InputError, TrainingError
from facegen.training.compare import last_figures
from facegen.training.info import TaskInfo
from facegen.training.loader import BatchLoader
from facegen.training.logger import read_losses
from facegen.training.request import TrainRequest, Trial, change_request
from facegen.training.settings import TrainSettings
from facegen.training.stepper import Stepper
from facegen.training.task import Task


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
    finished: list[Trial] = []

    def run(trial: optuna.Trial) -> float:
        trial_settings = {key: trial.suggest_categorical(key, values) for key, values in choices.items()}
        changed = change_request(info, request, [f"{key}={value}" for key, value in trial_settings.items()])
        trial_folder = folder / f"trial-{trial.number:03d}"
        trial_folder.mkdir(parents=True, exist_ok=True)
        save(trial_folder / "train.json", changed)
        description = ", ".join(f"{key}={value}" for key, value in trial_settings.items())
        on_line(f"Trial {trial.number + 1} of {min(trials, combinations)}: {description}")
        try:
            train(changed, trial_folder)
        except TrainingError as error:
            finished.append(Trial(number=trial.number, settings=trial_settings, value=None, note=str(error)))
            _write_table(finished, folder / "search.csv")
            raise optuna.TrialPruned from error
        value = read_value(trial_folder)
        finished.append(Trial(number=trial.number, settings=trial_settings, value=value, note=""))
        _write_table(finished, folder / "search.csv")
        on_line(f"Trial {trial.number + 1}: {value:.5f}")
        return value

    study.optimize(run, n_trials=min(trials, combinations))
    return rank_trials(finished)


def read_value(folder: Path) -> float:
    """The value that a trial is ranked by: the task's first measure, or the sum of its last losses."""
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


MIN_RATE, MAX_RATE = 1e-7, 1.0
SMOOTHING = 0.9
WINDOW = 2
"""Steps to each side over which the slope of the loss is measured."""
DIVERGENCE_FACTOR = 3.0
"""The search ends where the smoothed loss is this many times its lowest value."""


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """Result of a learning rate range test."""

    suggestion: float
    """A rate at which the loss falls fast and is still safe."""
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Smoothed; one for each rate."""


def find_rate(
    task: Task,
    settings: TrainSettings,
    *,
    data: Path | None = None,
    steps: int = 100,
    on_line: Callable[[str], None] = print,
) -> RateSearch:
    """Trains a fresh model for at most `steps` steps at exponentially rising rates; nothing is kept.

    Raises:
        TrainingError: the loss never fell, so that no rate can be suggested.
    """
    flat = replace(settings.optimiser, rate=1.0, schedule="constant", warmup_steps=0, lr_dropout=1.0)
    stepper = Stepper(task, replace(settings, optimiser=flat), on_line)
    accumulate = settings.accumulate
    loader = BatchLoader(
        task.build_data(data, stepper.device),
        seed=settings.seed,
        batch_size=settings.batch_size,
        slots=accumulate,
        local_slots=range(accumulate),
        progress=lambda _step: 0.0,
    )
    rates: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    try:
        # the same batch at every step, so that the loss changes with the rate alone
        batches = loader.batches(0)
        for step in range(steps):
            rate = MIN_RATE * (MAX_RATE / MIN_RATE) ** (step / max(1, steps - 1))
            loss = sum(stepper.step(batches, step, 0.0, rate).values())
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            value = mean / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(value) or (smoothed and value > DIVERGENCE_FACTOR * min(smoothed)):
                break
            rates.append(rate)
            smoothed.append(value)
    finally:
        loader.close()
    return RateSearch(suggestion=_suggest(rates, smoothed), rates=tuple(rates), losses=tuple(smoothed))


def _suggest(rates: list[float], losses: list[float]) -> float:
    """The rate of steepest fall before the lowest loss, no more than a tenth of the rate at that lowest loss."""
    lowest = losses.index(min(losses)) if losses else 0
    # at the first, tiny rates the model does not change: their mean is the loss at the start
    start = sum(losses[: len(losses) // 4 + 1]) / (len(losses) // 4 + 1) if losses else 0.0
    if lowest < 2 * WINDOW or losses[lowest] > 0.99 * start:
        raise TrainingError("The loss did not fall at any learning rate; look at the data and the losses.")
    falls = [(losses[i + WINDOW] - losses[i - WINDOW], rates[i]) for i in range(WINDOW, lowest - WINDOW + 1)]
    return min(min(falls)[1], rates[lowest] / 10)
