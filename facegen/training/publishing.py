"""Trained models on the Hub: a folder with a filled-in model card goes there, and comes back as a model.

A repository holds the files of an export, `facegen.json`, which says how to rebuild the model, and README.md, its card.
"""

from __future__ import annotations

import json
import operator
import shutil
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facegen import __version__, hub
from facegen.config import from_dict
from facegen.errors import InputError
from facegen.training.compare import last_figures
from facegen.training.info import MODELS, TaskInfo
from facegen.training.logger import read_losses
from facegen.training.request import TrainRequest

if TYPE_CHECKING:
    from torch import nn

_PERMISSIVE_IDS = {name: name.lower() for name in hub.PERMISSIVE_LICENCES}


def write_repository(
    run: Path, info: TaskInfo, request: TrainRequest, folder: Path, *, repo_id: str, licence: str, data: str
) -> Path:
    """Write what is published of a training into a new folder.

    Args:
        run: folder of the training, with an export.
        info: its task.
        request: the training's.
        folder: must not exist.
        repo_id: «owner/name», for the card.
        licence: under which it is published, as SPDX names it or in words.
        data: a sentence on what it was trained on, and who agreed to that.

    Raises:
        InputError: the task cannot be published, or nothing was exported.
    """
    publication = info.publication
    if publication is None:
        raise InputError(f"Expected a training that can be published, found {info.name}; it serves facegen alone.")
    for name, words in (("licence", licence), ("data", data)):
        if not words.strip():
            raise InputError(f"Expected the {name} of what is published, found nothing; say it with --{name}.")
    exported = newest_export(run)
    folder.mkdir(parents=True)
    if publication.writer:
        _load_function(publication.writer)(exported, folder)
    else:
        for path in exported.iterdir():
            if path.suffix in (".safetensors", ".json"):
                shutil.copy2(path, folder)
    settings = {name: "" if name in MODELS else value for name, value in request.task_settings.items()}
    figures = last_figures(read_losses(run))
    index = {
        "facegen": __version__,
        "task": info.name,
        "settings": settings,
        "files": [
            {
                "name": path.relative_to(folder).as_posix(),
                "sha256": hub.sha256_of(path),
                "size": path.stat().st_size,
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ],
    }
    (folder / "README.md").write_text(_card(info, request, figures, repo_id, licence, data), encoding="utf-8")
    (folder / hub.INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def newest_export(run: Path) -> Path:
    """The folder of the newest export of a run.

    Raises:
        InputError: there is none.
    """
    made = [path for path in (run / "exports").glob("*") if path.is_dir()]
    if not made:
        raise InputError(f"Expected an exported training in {run.name}, found none; export it first.")
    return max(made, key=lambda path: path.stat().st_mtime)


def load_published(folder: Path, index: Mapping[str, Any], find_task: Callable[[str], TaskInfo]) -> Any:
    """The model of a published training, ready to be used: what `Publication.loader` of its task gives.

    Args:
        folder: with the files.
        index: of `facegen.json`.
        find_task: the task of a name.

    Raises:
        InputError: it is of no task that can be published, or its files do not belong together.
    """
    info = find_task(str(index.get("task")))
    if info.publication is None:
        raise InputError(f"Expected a published training, found one of {info.name}; use another repository.")
    if info.publication.loader:
        return _load_function(info.publication.loader)(folder)
    return _load_network(info, index, folder)


def _load_network(info: TaskInfo, index: Mapping[str, Any], folder: Path) -> nn.Module:
    """The task's network with the weights of the one file there is."""
    from safetensors.torch import load_file

    from facegen.training.checkpoint import load_weights

    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise InputError(f"Expected one file of weights in {folder}, found {len(files)}; use another repository.")
    model = from_dict(info.load(), index.get("settings", {})).build_model()
    load_weights(model, {name: value.float() for name, value in load_file(files[0]).items()}, folder)
    return model.eval().requires_grad_(False)


def _load_function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    function: Callable[..., Any] = operator.attrgetter(name)(import_module(module))
    return function


def _card(
    info: TaskInfo, request: TrainRequest, figures: Mapping[str, float], repo_id: str, licence: str, data: str
) -> str:
    publication = info.publication
    assert publication is not None
    plain = _PERMISSIVE_IDS.get(licence)
    terms = [f"license: {plain}"] if plain else ["license: other", f"license_name: {json.dumps(licence)}"]
    tags = "\n".join(f"- {tag}" for tag in ("facegen", f"facegen-{info.name}", *publication.tags))
    changed = json.dumps({"settings": _scalars(request), "task": request.task_settings}, indent=1, ensure_ascii=False)
    measured = "\n".join(f"| {name} | {value:.5g} |" for name, value in figures.items())
    return f"""---
{chr(10).join(terms)}
library_name: {publication.library}
tags:
{tags}
---

# {repo_id.rpartition("/")[2]}

{info.summary} Trained with [facegen](https://pypi.org/project/facegen/) {__version__}, task «{info.name}»{f", preset «{request.preset}»" if request.preset else ""}.

## How to use it

```python
{publication.usage.format(repo=repo_id).strip()}
```

## Training data

{data.strip()}

## Figures

The last ones of the training; losses are those of its batches, measures those on held-back data.

| figure | value |
|---|---|
{measured}

## Intended use

{publication.intended}

## Limits

{publication.limits} It may fail more often on people, light and poses that its data lacks.

## Licence

{licence.strip()}

## Settings

```json
{changed}
```
"""


def _scalars(request: TrainRequest) -> dict[str, Any]:
    settings = request.settings
    return {name: getattr(settings, name) for name in ("steps", "batch_size", "ema_decay", "seed")}
