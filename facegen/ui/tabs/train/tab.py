"""The Train tab: what to train, on what, how, and the command that will run; beside it the training while it runs."""

import html
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from facegen.catalog import find_task
from facegen.config import home
from facegen.errors import InputError
from facegen.training.settings import OptimiserSettings, TrainSettings
from facegen.ui.handlers import Shell, note, require_consent, show_errors, step
from facegen.ui.messages import to_browser_message
from facegen.ui.options import Widgets, widgets
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import facesets
from facegen.ui.tabs.train import dataset, trainings, two_people
from facegen.ui.tabs.train.example_set import TASKS as EXAMPLE_SET_TASKS
from facegen.ui.tabs.train.example_set import make_example_set
from facegen.ui.tabs.train.watch import watch_training

MATTER = ("steps", "minutes", "batch_size")
OPTIMISER_MATTER = ("name", "rate")
LABELS = {
    "minutes": "Minutes (0: no limit)",
    "name": "Optimiser",
    "rate": "Learning rate",
    "ema_decay": "Running average",
    "lr_dropout": "lr dropout",
}
FIRST_TASK = "parser"
OUTCOMES = {
    "saehd": "A swap for two people, with every setting",
    "dfrf": "One person who says anything, from a video of them",
    "motion": "Mouths that move to speech as in your clips",
    "finish": "Light and inner mouth of talking portraits",
    "generator": "Faces that do not exist, like those of your photographs",
    "retoucher": "What drawn faces look like as photographs",
    "attributes": "Reading the five sliders from a picture",
    "realism": "Telling photographs from drawn faces",
    "restorer": "Details for small or blurred faces",
    "harmonization": "Light, shine and detail of swapped faces",
    "delighting": "Shadows and shine of source pictures",
    "parser": "Which part of a picture is skin, hair, eye or lip",
    "mask": "Masks as you draw them",
    "autoencoder": "A quick check that training works here",
}
"""What a task is good for, in the words of somebody who wants it."""
_SECONDS = 2.0
_FACESET_LABELS = ("Person A: who is in the video", "Person B: whose face it gets")
_FOLDER, _UPLOAD = "A folder on this machine", "Upload"
_FACESET = "Facesets"
_EXAMPLE, _MADE = "Local example data", "Example set, made here"


@dataclass(frozen=True, kw_only=True)
class TrainInputs:
    """The widgets of a training."""

    task: gr.Radio
    preset: gr.Dropdown
    filled: gr.Textbox
    """Task and preset whose settings the widgets show; the page needs a moment to show those of another."""
    origin: gr.Radio
    folder: gr.Textbox
    upload: gr.File
    facesets: tuple[gr.Dropdown, gr.Dropdown]
    """The faceset; for a pair, those of the person in the video and of whose face it gets."""
    groups: tuple[tuple[str, Widgets], ...]
    """Prefix of the keys, widgets."""
    more: gr.Textbox

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        grouped = [component for _, group in self.groups for component in group.components]
        own = [self.task, self.preset, self.filled, self.origin, self.folder, self.upload, *self.facesets, self.more]
        return [*own, *grouped]

    def read(self, services: Services, visitor: Visitor, values: tuple[Any, ...]) -> trainings.TrainForm:
        """What the widgets' values say.

        Raises:
            InputError: a value does not fit.
        """
        task, preset, filled, origin, folder, upload, first, second, more, *rest = values
        if filled != _pair(task, preset):
            rest = self.settings_of(services, task, preset)
        settings: dict[str, Any] = {}
        for prefix, group in self.groups:
            settings |= {f"{prefix}{key}": value for key, value in group.settings(rest[: len(group.names)]).items()}
            rest = rest[len(group.names) :]
        changes = trainings.changes(task, preset, settings, more or "")
        if origin == _FACESET:
            data = trainings.faceset_folder(services, visitor, task, (first, second))
        else:
            data = _data(services, visitor, task, origin, folder, upload)
        return trainings.TrainForm(task=task, preset=preset, data=data, changes=changes)

    def settings_of(self, services: Services, task: str, preset: str) -> list[Any]:
        """What the widgets of the groups propose for a preset."""
        settings = trainings.first_settings(services, task, preset)
        return [
            getattr(settings.optimiser if prefix else settings, name)
            for prefix, group in self.groups
            for name in group.names
        ]


def build(services: Services, shell: Shell) -> gr.Timer:
    """Lay out the tab and wire it.

    Returns:
        The timer that keeps the tab fresh; it is to run only while the tab is seen.
    """
    timer = gr.Timer(_SECONDS, active=False)
    two_people.build(services, shell)
    with gr.Row(equal_height=False, elem_classes="fg-columns"):
        with (
            gr.Column(scale=5, min_width=300),
            gr.Accordion("Advanced: any model of facegen, with every setting", open=False, elem_id="train-advanced"),
        ):
            inputs, about = _ask(services)
            below = _ask_start(services)
            if not services.settings.shared:
                dataset.build(services, shell, timer, inputs.folder)
        with gr.Column(scale=6, min_width=300):
            chosen = watch_training(services, shell, timer)
    _wire_ask(services, shell, inputs, about, below, chosen)
    return timer


# -- layout ----------------------------------------------------------------------------------------------------------


def _ask(services: Services) -> tuple[TrainInputs, gr.HTML]:
    tasks = sorted(trainings.list_tasks(), key=lambda info: list(OUTCOMES).index(info.name))
    first = next(info for info in tasks if info.name == FIRST_TASK)
    gr.HTML(step(1, "What for?", "Each makes one of facegen's own models anew, from your data."))
    task = gr.Radio(
        [(f"{OUTCOMES[info.name]} ({info.name})", info.name) for info in tasks],
        value=first.name,
        show_label=False,
        elem_id="train-task",
    )
    about = gr.HTML(describe_task(first.name), elem_id="train-about")
    gr.HTML(step(2, "On what?"))
    origins = _origins(services, first.name)
    origin = gr.Radio(origins, value=origins[0], show_label=False, elem_id="train-origin")
    folder = gr.Textbox(
        label="Data folder", placeholder="/path/to/pictures", visible=origins[0] == _FOLDER, elem_id="train-folder"
    )
    upload = gr.File(
        label="Pictures, or one .zip of a folder",
        file_count="multiple",
        visible=origins[0] == _UPLOAD,
        height=140,
        elem_id="train-upload",
    )
    with gr.Row():
        sets = tuple(
            gr.Dropdown([], label=label, visible=False, min_width=160, elem_id=f"train-faceset-{letter}")
            for label, letter in zip(_FACESET_LABELS, "ab", strict=True)
        )
    gr.HTML(step(3, "How?", "The preset is a good start."))
    preset = gr.Dropdown(list(first.presets), value=next(iter(first.presets), None), label="Preset")
    filled = gr.Textbox(_pair(first.name, next(iter(first.presets))), visible="hidden")
    groups, more = _ask_settings(task, trainings.first_settings(services, first.name, next(iter(first.presets))))
    inputs = TrainInputs(
        task=task,
        preset=preset,
        filled=filled,
        origin=origin,
        folder=folder,
        upload=upload,
        facesets=(sets[0], sets[1]),
        groups=groups,
        more=more,
    )
    return inputs, about


def _ask_settings(task: gr.Radio, now: TrainSettings) -> tuple[tuple[tuple[str, Widgets], ...], gr.Textbox]:
    common = [item.name for item in fields(TrainSettings) if item.name not in (*MATTER, "optimiser")]
    optimiser = [item.name for item in fields(OptimiserSettings) if item.name not in OPTIMISER_MATTER]
    groups = [
        ("", widgets(TrainSettings, MATTER, labels=LABELS, first=now)),
        ("optimiser.", widgets(OptimiserSettings, OPTIMISER_MATTER, labels=LABELS, first=now.optimiser)),
    ]
    with gr.Accordion("More: the optimiser", open=False):
        groups.append(("optimiser.", widgets(OptimiserSettings, optimiser, labels=LABELS, first=now.optimiser)))
    with gr.Accordion("More: numbers, checkpoints, device", open=False):
        groups.append(("", widgets(TrainSettings, common, labels=LABELS, first=now)))
    with gr.Accordion("More: settings of this task", open=False):
        more = gr.Textbox(
            label="key=value, one a line", lines=3, placeholder="task.size=64", info="They win over everything above."
        )
        known = gr.HTML()
        gr.Button("Which are there?", size="sm").click(
            _own_settings, task, known, show_progress="minimal", api_visibility="private"
        )
    return tuple(groups), more


def _ask_start(services: Services) -> tuple[gr.HTML, gr.Button, gr.Button]:
    gr.HTML(step(4, "Start"))
    if trainings.is_limited(services):
        gr.HTML(
            note(
                f"This shared machine has no GPU: one training for each visitor, of at most "
                f"{trainings.SHARED_MINUTES:g} minutes. That shows how it works, and suffices for the smallest models; "
                "for the others download facegen or duplicate this Space with a GPU."
            ),
            elem_id="train-limits",
        )
    with gr.Row(elem_classes="fg-buttons"):
        start = gr.Button("Start training", variant="primary", min_width=110, elem_id="train-start")
        words = "Check" if services.settings.shared else "Show command"
        look = gr.Button(words, min_width=110, elem_id="train-check")
    return gr.HTML(elem_id="train-words"), start, look


# -- asking ----------------------------------------------------------------------------------------------------------


def _wire_ask(
    services: Services,
    shell: Shell,
    inputs: TrainInputs,
    about: gr.HTML,
    below: tuple[gr.HTML, gr.Button, gr.Button],
    chosen: gr.Dropdown,
) -> None:
    words, start, look = below
    grouped = [inputs.filled, *(component for _, group in inputs.groups for component in group.components)]

    def fill(task: str, preset: str) -> list[Any]:
        return [_pair(task, preset), *inputs.settings_of(services, task, preset)]

    def choose(task: str, origin: str) -> Any:
        presets = list(next(info.presets for info in trainings.list_tasks() if info.name == task))
        origins = _origins(services, task)
        form = gr.Radio(origins, value=origin if origin in origins else origins[0])
        return describe_task(task), gr.Dropdown(presets, value=presets[0]), form, *fill(task, presets[0])

    def show_origin(visitor: Visitor, task: str, origin: str) -> Any:
        names = facesets.names(services, visitor) if origin == _FACESET else []
        count = find_task(task).facesets if origin == _FACESET else 0
        chosen = [
            gr.Dropdown(
                names,
                value=names[place] if place < min(count, len(names)) else None,
                label=_FACESET_LABELS[place] if count > 1 else "Faceset",
                visible=place < count,
            )
            for place in range(2)
        ]
        return gr.Textbox(visible=origin == _FOLDER), gr.File(visible=origin == _UPLOAD), *chosen

    @show_errors(1)
    def check(visitor: Visitor, *values: Any) -> str:
        form = inputs.read(services, visitor, values)
        return _command(services, form) + note(trainings.check(services, form, visitor))

    @show_errors(2)
    def begin(visitor: Visitor, consent: bool, *values: Any) -> Any:
        require_consent(consent)
        form = inputs.read(services, visitor, values)
        run = trainings.start(services, visitor, form)
        names = [other.name for other in trainings.trainings(services, visitor)]
        return _command(services, form) + note(
            f"{run.name} was begun; watch it under «Watch a training»."
        ), gr.Dropdown(names, value=run.name)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    form = [inputs.folder, inputs.upload, *inputs.facesets]
    inputs.task.change(
        choose, [inputs.task, inputs.origin], [about, inputs.preset, inputs.origin, *grouped], **private
    ).then(show_origin, [shell.visitor, inputs.task, inputs.origin], form, **private)
    inputs.origin.input(show_origin, [shell.visitor, inputs.task, inputs.origin], form, **private)
    inputs.preset.input(fill, [inputs.task, inputs.preset], grouped, **private)
    look.click(check, [shell.visitor, *inputs.components], words, **private)
    start.click(begin, [shell.visitor, shell.consent, *inputs.components], [words, chosen], **private)


def _origins(services: Services, task: str) -> list[str]:
    """Where the data of a task can come from."""
    info, shared = find_task(task), services.settings.shared
    return [
        *([] if shared else [_FOLDER]),
        _UPLOAD,
        *([_FACESET] if info.facesets else []),
        *([_EXAMPLE] if trainings.example_folder(info) and not shared else []),
        *([_MADE] if task in EXAMPLE_SET_TASKS else []),
    ]


def _pair(task: str, preset: str) -> str:
    return f"{task} {preset}"


def describe_task(task: str) -> str:
    """What a task makes, what it needs and how long it takes (HTML)."""
    info = next(info for info in trainings.list_tasks() if info.name == task)
    return _facts([("Makes", info.summary), ("Needs", to_browser_message(info.needs)), ("Takes", info.typical_time)])


def _own_settings(task: str) -> str:
    return _facts(list(trainings.own_settings(task).items()))


def _facts(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><td><b>{html.escape(key)}</b></td><td>{html.escape(text)}</td></tr>" for key, text in rows)
    return f'<table class="fg-table fg-facts"><tbody>{lines}</tbody></table>'


def _command(services: Services, form: trainings.TrainForm) -> str:
    """The command of a training (HTML); nothing in a shared studio, whose folders are not the visitor's."""
    if services.settings.shared:
        return ""
    words = html.escape(trainings.format_command(form))
    return f'<div class="fg-hint">The command that does it:</div><pre class="fg-command"><code>{words}</code></pre>'


def _data(services: Services, visitor: Visitor, task: str, origin: str, folder: str, upload: list[str] | None) -> str:
    if origin == _EXAMPLE and not services.settings.shared:
        found = trainings.example_folder(next(info for info in trainings.list_tasks() if info.name == task))
        if found is None:
            raise InputError(f"Expected example data for {task}, found none on this machine; name a folder.")
        return str(found)
    if origin == _MADE:
        return str(make_example_set(home() / "data" / f"examples-{task}", task))
    return trainings.data_folder(services, visitor, folder, upload if origin == _UPLOAD else None)
