"""Results of a training: curves, previews, exported model, and the weights file that it can replace."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from facegen import hub
from facegen.catalog import find_task, find_weight
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.ui.examples import training_rows
from facegen.ui.services import Services
from facegen.ui.tabs.train.trainings import has_gpu

_PLOTTED = 300


def curves(run: Run) -> pandas.DataFrame:
    """The losses of a training as (step, value, line) rows, each raw and smoothed, thinned to what a plot can show."""
    from facegen.training.logger import read_losses, smooth_curve

    rows: list[tuple[int, float, str]] = []
    lines = [line for line in read_losses(run.path) if "losses" in line]
    every = max(1, len(lines) // _PLOTTED)
    for name in dict.fromkeys(name for line in lines for name in line["losses"]):
        points = [(line["step"], line["losses"][name]) for line in lines if name in line["losses"]]
        smooth = smooth_curve([value for _, value in points])
        for number, ((step, value), mean) in enumerate(zip(points, smooth, strict=True)):
            if number % every == 0 or number == len(points) - 1:
                rows += [(step, value, name), (step, mean, f"{name}, smoothed")]
    return pandas.DataFrame(rows, columns=["step", "loss", "line"])


def example_curves() -> pandas.DataFrame:
    """Those of the stored example."""
    return pandas.DataFrame([(s, v, f"loss {n}") for s, n, v in training_rows()], columns=["step", "loss", "line"])


def figures(run: Run) -> dict[str, Any]:
    """The last step, losses and measures of a training, and what it said about its pace."""
    from facegen.training.compare import last_figures
    from facegen.training.logger import read_losses

    return {"figures": last_figures(read_losses(run.path)), "estimate": estimate(run)}


def preview(run: Run) -> tuple[Path | None, Path | None]:
    """The newest preview of a training, and the strip of earlier ones."""
    made = sorted((run.path / "previews").glob("[0-9]*.jpg"))
    strip = run.path / "previews" / "strip.jpg"
    return (made[-1] if made else None), (strip if strip.exists() else None)


def exports(run: Run) -> list[Path]:
    """The files of the newest export."""
    made = sorted((folder for folder in (run.path / "exports").glob("*") if folder.is_dir()), key=_age)
    return sorted(path for path in made[-1].iterdir() if path.is_file()) if made else []


def _age(path: Path) -> float:
    return path.stat().st_mtime


def summary(run: Run) -> str:
    """How far a training came and how good it was, in a line; empty for another kind of run."""
    if run.kind != "train":
        return ""
    found = figures(run)["figures"]
    if "step" not in found:
        return ""
    measures = [f"{name} {value:.3g}" for name, value in found.items() if name != "step"]
    return f"{found['step']} steps: " + ", ".join(measures[:4])


def estimate(run: Run) -> str:
    """What a running training said after its first steps about its pace, and the memory it takes; empty at its end."""
    if not run.status().is_active:
        return ""
    log = run.path / "log.txt"
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    said = [line.strip() for line in text.splitlines() if " steps a second this training needs about " in line]
    stats = run.stats()
    memory = f"Memory in use: {stats[-1]['memory_bytes'] / 1e9:.2f} GB." if stats else ""
    device = "Device: NVIDIA GPU." if has_gpu() else "Device: CPU."
    return " ".join([*said[-1:], device, memory]).strip()


@dataclass(frozen=True, kw_only=True)
class ModelUse:
    """Where the model of a training belongs."""

    words: str
    """For people to read."""
    weight: str = ""
    """The model file whose place it can take; empty where there is none, or nothing to take it with."""
    is_in_use: bool = False
    """Whether it has taken that place."""


def place(services: Services, run: Run) -> ModelUse:
    """Where the model of a training belongs, and whether it is there."""
    info = find_task(run.request["task"])
    tab = info.used_in.capitalize()
    if not info.replaces:
        words = f"Belongs to the {tab} tab." if info.used_in else "A test of this machine: no tab uses it."
        return ModelUse(words=words)
    (name, weight), *_ = info.replaces.items()
    if not any(path.name == name for path in exports(run)):
        return ModelUse(words=f"Once exported, it can be the {weight} of the {tab} tab.")
    if services.settings.shared:
        return ModelUse(words=f"Download it; at home, facegen weights use {weight} {name} makes it the {weight}.")
    own = hub.custom_file(find_weight(weight))
    if own and own.origin == run.name:
        return ModelUse(words=f"It is the {weight} of the {tab} tab now.", weight=weight, is_in_use=True)
    return ModelUse(words=f"It can be the {weight} of the {tab} tab.", weight=weight)


def use(services: Services, run: Run) -> str:
    """Let the exported model of a training take its place in facegen, or, if it has it, give that back.

    Returns:
        What was done, in a sentence.

    Raises:
        InputError: it has no place to take.
    """
    found = place(services, run)
    if not found.weight:
        raise InputError(f"Expected a training with an exported model that facegen uses, found none: {found.words}")
    weight = find_weight(found.weight)
    if found.is_in_use:
        hub.use_default(weight)
    else:
        (name,) = (
            name for name, replaced in find_task(run.request["task"]).replaces.items() if replaced == weight.name
        )
        hub.use_custom(weight, next(path for path in exports(run) if path.name == name), origin=run.name)
    services.models.renew()
    return place(services, run).words
