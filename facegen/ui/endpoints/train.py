"""Named endpoints for trainings."""

from typing import Any

from facegen.catalog import find_task
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.training.settings import TrainSettings
from facegen.ui.endpoints.parameters import (
    TEXT,
    Endpoint,
    consent,
    describe_status,
    files,
    json_value,
    picture,
    plain_dict,
    run_name,
    schema_of,
    status,
    text,
)
from facegen.ui.handlers import require_consent
from facegen.ui.messages import strip_paths
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.train import trained, trainings


def endpoints(services: Services) -> list[Endpoint]:
    """Start a training, see how it stands, ask it for something, use what it made."""

    def train_start(
        visitor: Visitor, task: str, preset: str, data: Any, folder: str, settings: Any, consent: bool
    ) -> Any:
        """Put a training into the queue and return at once; `/train_status` takes the run's name.

        `data` are uploaded pictures or a .zip of them; where the studio is not shared, `folder` may name a folder of
        its machine instead. `settings` are key: value as `--set` takes them.
        """
        require_consent(consent)
        changes = tuple(f"{key}={value}" for key, value in plain_dict(settings, "settings").items())
        find_task(task)  # no such training: nothing is unpacked
        place = trainings.data_folder(services, visitor, folder, data)
        form = trainings.TrainForm(task=task, preset=preset, data=place, changes=changes)
        run = trainings.start(services, visitor, form)
        return {**_standing(run), "command": trainings.format_command(form)}

    def train_status(visitor: Visitor, name: str) -> Any:
        """How a training stands: last losses and figures, log, latest preview, exported files."""
        run = _training(services, visitor, name)
        newest, _ = trained.preview(run)
        files = [services.publish(visitor, path) for path in trained.exports(run)]
        standing = {**_standing(run), **trained.figures(run), "log": strip_paths(run.log_tail())}
        return standing, services.publish(visitor, newest) if newest else None, files

    def train_ask(visitor: Visitor, name: str, verb: str) -> Any:
        """Ask a training to save, pause, resume, export or stop."""
        run = _training(services, visitor, name)
        trainings.act(run, verb)
        return _standing(run)

    def train_use(visitor: Visitor, name: str) -> Any:
        """Let the exported model take its place in facegen; called again, give that back."""
        return trained.use(services, _training(services, visitor, name))

    request = [
        text("task", "What is trained, as `facegen train --help` lists it."),
        text("preset", "A preset of the task; nothing for its first."),
        files("data", "Pictures, or a .zip of them."),
        text("folder", "In place of data, a folder of the studio's machine, where the studio is not shared."),
        json_value(
            "settings",
            "TrainSettings by name, the task's own as task.NAME.",
            {**schema_of(TrainSettings), "additionalProperties": TEXT},
        ),
        consent(),
    ]
    standing = [
        status("How it stands, its last losses and figures by name, and the end of its log.", task=TEXT, log=TEXT),
        picture("The latest preview."),
        files("exports", "Files of the exported model."),
    ]
    verbs = text("verb", "One of save, pause, resume, export and stop.")
    return [
        Endpoint(function=train_start, inputs=request, outputs=[status(task=TEXT, command=TEXT)]),
        Endpoint(function=train_status, inputs=[run_name()], outputs=standing),
        Endpoint(function=train_ask, inputs=[run_name(), verbs], outputs=[status(task=TEXT)]),
        Endpoint(function=train_use, inputs=[run_name()], outputs=[text("said", "What was done, in a sentence.")]),
    ]


def _training(services: Services, visitor: Visitor, name: str) -> Run:
    run = services.run(visitor, name)
    if run.kind != "train":
        raise InputError(f"Expected the name of a training, found the {run.kind} {name}; see /runs.")
    return run


def _standing(run: Run) -> dict[str, Any]:
    return {"run": run.name, "task": run.request.get("task"), **describe_status(run)}
