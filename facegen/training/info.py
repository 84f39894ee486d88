"""`TaskInfo`: description and presets of a task, read without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from facegen.jobs.files import settings_of

if TYPE_CHECKING:
    from facegen.training.task import Task

MODELS = ("start", "start_from", "generator", "teacher")
"""Settings of tasks that name another model on this machine."""
TASK_MODELS = settings_of(*MODELS, *(f"task.{name}" for name in MODELS))
"""Metadata of a field with settings of tasks: these name the run or the folder of another model."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """How a task's models stand on the Hub."""

    usage: str
    """A few lines of Python that use one; {repo} is where it stands."""
    intended: str
    """What it is for."""
    limits: str
    """What it cannot do."""
    tags: tuple[str, ...] = ()
    """By which the Hub finds it."""
    library: str = "facegen"
    """The library that loads it."""
    loader: str = ""
    """«module:function» from the folder to the model; nothing: the task's network with the weights of the one file."""
    writer: str = ""
    """«module:function» from the folder of an export to that of the repository; nothing: the files are copied."""


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """One thing that can be trained; a room lists its own in `tasks.py` as `TASKS: tuple[TaskInfo, ...]`."""

    name: str
    """What people type: «parser»."""
    summary: str
    """One sentence: what comes out."""
    needs: str
    """What the data folder must hold."""
    typical_time: str
    """How long a useful training takes, and on what."""
    path: str
    """Where the `Task` is: «facegen.faces.parse.task:ParserTask»."""
    presets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Named settings, as key=value; keys that begin with «task.» are the task's own. The first one is the default."""
    facesets: int = 0
    """How many facesets can be its data: none; one, as it is; or two, as folders a and b."""
    example_data: str = ""
    """A folder below ../shared/data that fits, for trying it out."""
    used_in: str = ""
    """The tab that the trained model belongs to."""
    replaces: Mapping[str, str] = field(default_factory=dict)
    """Name of an exported file -> the model file of facegen whose place it can take."""
    publication: Publication | None = None
    """How its models are published; None for those that serve facegen alone."""

    def load(self) -> type[Task]:
        """Imports the task's class."""
        module, _, name = self.path.partition(":")
        task: type[Task] = getattr(import_module(module), name)
        return task
