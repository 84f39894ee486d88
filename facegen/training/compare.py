"""Compares trainings: loss curves in one plot, previews in a row, settings that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegen.config import to_dict, write_json
from facegen.errors import InputError
from facegen.training.logger import read_losses, smooth_curve
from facegen.training.request import read_request


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Settings that differ, last figures, and the files of a comparison."""

    differing: dict[str, dict[str, Any]]
    """Setting -> run -> value, for the settings that are not the same in all."""
    figures: dict[str, dict[str, float]]
    """Run -> last step, last losses and last measures."""
    files: dict[str, Path]
    """"curves" and "previews" (pictures), "table" (JSON)."""


def compare(folders: Sequence[Path], output: Path) -> Comparison:
    """Compares the trainings in run folders.

    Args:
        folders: two or more run folders.
        output: folder for the pictures and the table.

    Raises:
        InputError: fewer than two, or one that is no training.
    """
    if len(folders) < 2:
        raise InputError(f"Expected two runs or more to compare, found {len(folders)}; name their folders.")
    names = _names(folders)
    settings = {name: flatten(to_dict(read_request(folder))) for name, folder in zip(names, folders, strict=True)}
    lines = {name: read_losses(folder) for name, folder in zip(names, folders, strict=True)}
    keys = sorted({key for values in settings.values() for key in values})
    differing = {
        key: {name: settings[name].get(key) for name in names}
        for key in keys
        if len({repr(settings[name].get(key)) for name in names}) > 1
    }
    figures = {name: last_figures(lines[name]) for name in names}
    output.mkdir(parents=True, exist_ok=True)
    files = {"curves": output / "curves.png", "table": output / "comparison.json"}
    _draw_curves(lines, files["curves"])
    if _draw_previews(dict(zip(names, folders, strict=True)), output / "previews.jpg"):
        files["previews"] = output / "previews.jpg"
    write_json(files["table"], {"differing": differing, "figures": figures})
    return Comparison(differing=differing, figures=figures, files=files)


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def last_figures(lines: list[dict[str, Any]]) -> dict[str, float]:
    """The last step, losses and measures of a run's lines."""
    figures: dict[str, float] = {}
    for line in lines:
        figures["step"] = line["step"]
        figures.update({f"loss {name}": value for name, value in line.get("losses", {}).items()})
        figures.update(line.get("measures", {}))
    return figures


def _names(folders: Sequence[Path]) -> list[str]:
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _draw_curves(lines: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """The sum of the losses of each run over its steps, raw and smoothed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (name, run_lines) in enumerate(lines.items()):
        points = [(line["step"], sum(line["losses"].values())) for line in run_lines if "losses" in line]
        steps, values = [step for step, _ in points], [value for _, value in points]
        axes.plot(steps, values, color=f"C{number % 10}", alpha=0.25, linewidth=0.8)
        axes.plot(steps, smooth_curve(values), color=f"C{number % 10}", label=name)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def _draw_previews(folders: dict[str, Path], path: Path) -> bool:
    """The last preview of each run under its name; False where no run has one."""
    from PIL import Image, ImageDraw

    rows = []
    for name, folder in folders.items():
        previews = sorted((folder / "previews").glob("[0-9]*.jpg"))
        if previews:
            with Image.open(previews[-1]) as image:
                rows.append((f"{name}, step {int(previews[-1].stem)}", image.convert("RGB").copy()))
    if not rows:
        return False
    bar = 22
    sheet = Image.new("RGB", (max(i.width for _, i in rows), sum(i.height + bar for _, i in rows)), (255, 255, 255))
    draw, top = ImageDraw.Draw(sheet), 0
    for caption, image in rows:
        draw.text((6, top + 4), caption, fill=(0, 0, 0))
        sheet.paste(image, (0, top + bar))
        top += image.height + bar
    sheet.save(path, quality=92)
    return True
