"""A search for the learning rate (Smith, arXiv:1506.01186): it rises step by step until the loss runs away."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from facegen.errors import TrainingError
from facegen.training.loader import BatchLoader
from facegen.training.settings import TrainSettings
from facegen.training.stepper import Stepper
from facegen.training.task import Task

LOWEST, HIGHEST = 1e-7, 1.0
SMOOTHING = 0.9
WINDOW = 2
"""Steps to each side over which the fall of the loss is measured."""
RUNAWAY = 3.0
"""The search ends where the smoothed loss is this many times its lowest value."""


@dataclass(frozen=True, kw_only=True)
class RateSearch:
    """What a search saw."""

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
        # the same pictures at every step: what changes in the loss is the rate's doing and not the draw's
        batches = loader.batches(0)
        for step in range(steps):
            rate = LOWEST * (HIGHEST / LOWEST) ** (step / max(1, steps - 1))
            loss = sum(stepper.step(batches, step, 0.0, rate).values())
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            value = mean / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(value) or (smoothed and value > RUNAWAY * min(smoothed)):
                break
            rates.append(rate)
            smoothed.append(value)
    finally:
        loader.close()
    return RateSearch(suggestion=_suggest(rates, smoothed), rates=tuple(rates), losses=tuple(smoothed))


def _suggest(rates: list[float], losses: list[float]) -> float:
    """The rate of steepest fall before the lowest loss, no more than a tenth of the rate at that lowest loss."""
    lowest = losses.index(min(losses)) if losses else 0
    # at the first, tiny rates the model stands still: what they show is the start, batch noise averaged out
    start = sum(losses[: len(losses) // 4 + 1]) / (len(losses) // 4 + 1) if losses else 0.0
    if lowest < 2 * WINDOW or losses[lowest] > 0.99 * start:
        raise TrainingError("The loss did not fall at any learning rate; look at the data and the losses.")
    falls = [(losses[i + WINDOW] - losses[i - WINDOW], rates[i]) for i in range(WINDOW, lowest - WINDOW + 1)]
    return min(min(falls)[1], rates[lowest] / 10)
