"""The Train tab: what to train, on what, how; the command that will run; and the training while it runs."""

import html
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.training.settings import OptimiserSettings, TrainSettings
from facegen.ui import trainings
from facegen.ui.handlers import note, progress_card, shown, step
from facegen.ui.options import Widgets, widgets
from facegen.ui.services import Services, Visitor, consented
from facegen.ui.shell import Shell

MATTER = ("steps", "minutes", "batch_size")
OPTIMISER_MATTER = ("name", "rate")
LABELS = {
    "minutes": "Minutes (0: no limit)",
    "name": "Optimiser",
    "rate": "Learning rate",
    "ema_decay": "Running average",
    "lr_dropout": "lr dropout",
}
_SECONDS = 2.0
_FOLDER, _UPLOAD, _EXAMPLE = "A folder on this machine", "Upload", "Local example data"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The widgets that a training is asked with."""

    task: gr.Radio
    preset: gr.Dropdown
    origin: gr.Radio
    folder: gr.Textbox
    upload: gr.File
    groups: tuple[tuple[str, Widgets], ...]
    """Prefix of the keys, widgets."""
    more: gr.Textbox

    @property
    def components(self) -> list[Any]:
        """All of them, in the order in which `read` takes their values."""
        grouped = [component for _, group in self.groups for component in group.components]
        return [self.task, self.preset, self.origin, self.folder, self.upload, self.more, *grouped]

    def read(self, services: Services, visitor: Visitor, values: tuple[Any, ...]) -> trainings.Asked:
        """What the widgets' values say.

        Raises:
            InputError: a value does not fit.
        """
        task, preset, origin, folder, upload, more, *rest = values
        settings: dict[str, Any] = {}
        for prefix, group in self.groups:
            settings |= {f"{prefix}{key}": value for key, value in group.settings(rest[: len(group.names)]).items()}
            rest = rest[len(group.names) :]
        changes = trainings.changes(task, preset, settings, more or "")
        data = _data(services, visitor, task, origin, folder, upload)
        return trainings.Asked(task=task, preset=preset, data=data, changes=changes)


def build(services: Services, shell: Shell) -> gr.Timer:
    """Lay out the tab and wire it.

    Returns:
        The timer that keeps the tab fresh; it is to run only while the tab is seen.
    """
    timer = gr.Timer(_SECONDS, active=False)
    with gr.Row(equal_height=False, elem_classes="fg-columns"):
        with gr.Column(scale=5, min_width=300):
            inputs, about = _ask(services)
            words, start, look = _ask_start(services)
        with gr.Column(scale=6, min_width=300):
            _watch(services, shell, timer)
    _wire_ask(services, shell, inputs, about, (words, start, look))
    return timer


# -- layout ----------------------------------------------------------------------------------------------------------


def _ask(services: Services) -> tuple[Inputs, gr.HTML]:
    tasks = trainings.offered()
    first = tasks[0]
    gr.HTML(step(1, "What?", "A model that facegen itself uses, or a test of this machine."))
    task = gr.Radio(
        [(info.name, info.name) for info in tasks], value=first.name, show_label=False, elem_id="train-task"
    )
    about = gr.HTML(_about(first.name), elem_id="train-about")
    gr.HTML(step(2, "On what?"))
    origins = [_UPLOAD] if services.settings.shared else [_FOLDER, _UPLOAD]
    origins += [_EXAMPLE] if trainings.EXAMPLE_DATA.is_dir() and not services.settings.shared else []
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
    gr.HTML(step(3, "How?", "The preset is a good start."))
    preset = gr.Dropdown(list(first.presets), value=next(iter(first.presets), None), label="Preset")
    groups, more = _ask_settings(task, trainings.preset_settings(first.name, next(iter(first.presets))))
    origin.change(
        lambda chosen: (gr.Textbox(visible=chosen == _FOLDER), gr.File(visible=chosen == _UPLOAD)),
        origin,
        [folder, upload],
        show_progress="hidden",
        api_visibility="private",
    )
    inputs = Inputs(task=task, preset=preset, origin=origin, folder=folder, upload=upload, groups=groups, more=more)
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
    if services.settings.shared and not trainings.has_gpu():
        gr.HTML(
            note(
                "This shared machine has no GPU: trainings end after at most "
                f"{trainings.SHARED_MINUTES:g} minutes. That is enough for the small tasks; for the others run facegen "
                "at home or duplicate this Space with a GPU."
            )
        )
    with gr.Row(elem_classes="fg-buttons"):
        start = gr.Button("Start training", variant="primary", min_width=110, elem_id="train-start")
        look = gr.Button("Show command and check", min_width=110, elem_id="train-check")
    return gr.HTML(elem_id="train-words"), start, look


# -- asking ----------------------------------------------------------------------------------------------------------


def _wire_ask(
    services: Services, shell: Shell, inputs: Inputs, about: gr.HTML, below: tuple[gr.HTML, gr.Button, gr.Button]
) -> None:
    words, start, look = below
    grouped = [component for _, group in inputs.groups for component in group.components]

    def choose(task: str) -> Any:
        presets = list(next(info.presets for info in trainings.offered() if info.name == task))
        return _about(task), gr.Dropdown(presets, value=presets[0] if presets else None)

    @shown(1 + len(grouped))
    def fill(task: str, preset: str) -> Any:
        settings = trainings.preset_settings(task, preset)
        values = [
            getattr(settings.optimiser if prefix else settings, name)
            for prefix, group in inputs.groups
            for name in group.names
        ]
        return _about(task), *values

    @shown(1)
    def check(visitor: Visitor, *values: Any) -> str:
        asked = inputs.read(services, visitor, values)
        return _command(asked) + note(trainings.check(services, asked))

    @shown(1)
    def begin(visitor: Visitor, consent: bool, *values: Any) -> str:
        consented(consent)
        asked = inputs.read(services, visitor, values)
        run = trainings.start(services, visitor, asked)
        return _command(asked) + note(f"{run.name} was begun; it is shown beside.")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    inputs.task.change(choose, inputs.task, [about, inputs.preset], **private)
    inputs.preset.change(fill, [inputs.task, inputs.preset], [about, *grouped], **private)
    look.click(check, [shell.visitor, *inputs.components], words, **private)
    start.click(begin, [shell.visitor, shell.consent, *inputs.components], words, **private)


def _about(task: str) -> str:
    info = next(info for info in trainings.offered() if info.name == task)
    return _facts([("Makes", info.summary), ("Needs", info.needs), ("Takes", info.typical_time)])


def _own_settings(task: str) -> str:
    return _facts(list(trainings.own_settings(task).items()))


def _facts(rows: list[tuple[str, str]]) -> str:
    lines = "".join(f"<tr><td><b>{html.escape(key)}</b></td><td>{html.escape(text)}</td></tr>" for key, text in rows)
    return f'<table class="fg-table fg-facts"><tbody>{lines}</tbody></table>'


def _command(asked: trainings.Asked) -> str:
    words = html.escape(trainings.shown_command(asked))
    return f'<div class="fg-hint">The command that does it:</div><pre class="fg-command"><code>{words}</code></pre>'


def _data(services: Services, visitor: Visitor, task: str, origin: str, folder: str, upload: list[str] | None) -> str:
    if origin == _UPLOAD:
        if not upload:
            raise InputError("Expected pictures or a .zip, found nothing uploaded; add the data first.")
        return str(trainings.unpack(services.data_folder(visitor), upload))
    if services.settings.shared:
        raise InputError("Expected an upload on this shared studio, found a folder of the machine; upload the data.")
    if origin == _EXAMPLE:
        found = trainings.example_folder(next(info for info in trainings.offered() if info.name == task))
        if found is None:
            raise InputError(f"Expected example data for {task}, found none on this machine; name a folder.")
        return str(found)
    if not folder or not Path(folder).expanduser().is_dir():
        raise InputError(f"Expected a data folder, found {folder or 'nothing'!r}; write the path of a folder.")
    return str(Path(folder).expanduser())


# -- watching --------------------------------------------------------------------------------------------------------


def _watch(services: Services, shell: Shell, timer: gr.Timer) -> None:
    gr.HTML(step(5, "Watch", "Everything goes on when this page is closed."))
    chosen = gr.Dropdown([], label="Training", elem_id="train-chosen")
    card = gr.HTML(note("No training yet."), elem_id="train-card")
    with gr.Row(elem_classes="fg-buttons"):
        buttons = [
            (gr.Button(label, size="md", min_width=110, elem_id=f"train-{verb}"), verb)
            for label, verb in (
                ("Save now", "save"),
                ("Pause", "stop"),
                ("Resume", "resume"),
                ("Export", "export"),
                ("Stop and export", "end"),
            )
        ]
    plot = gr.LinePlot(x="step", y="loss", color="line", height=260, show_label=False, elem_id="train-plot")
    picture = gr.Image(label="Latest preview", interactive=False, visible=False, buttons=["fullscreen"])
    with gr.Accordion("Previews through time", open=False):
        strip = gr.Image(interactive=False, show_label=False, buttons=["fullscreen"])
    files = gr.File(label="Exported model", file_count="multiple", interactive=False, visible=False)
    log = gr.Textbox(label="Last lines of its log", lines=6, max_lines=10, interactive=False, elem_classes="fg-log")
    seen = gr.State("")

    def refresh(visitor: Visitor, name: str | None) -> Any:
        names = [run.name for run in trainings.trainings(services, visitor)]
        name = name if name in names else (names[0] if names else None)
        return gr.Dropdown(names, value=name), *_standing(services, visitor, name)

    def show_pictures(visitor: Visitor, name: str | None) -> Any:
        return _pictures(services, visitor, name)

    @shown(1)
    def act(visitor: Visitor, name: str | None, verb: str) -> str:
        trainings.act(services.run(visitor, name or ""), verb)
        return note(f"{name}: asked for; it answers after the step it is at.")

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    timer.tick(refresh, [shell.visitor, chosen], [chosen, card, plot, log, seen], **quiet)
    chosen.input(refresh, [shell.visitor, chosen], [chosen, card, plot, log, seen], **quiet)
    seen.change(show_pictures, [shell.visitor, chosen], [picture, strip, files], **quiet)
    for button, verb in buttons:
        button.click(act, [shell.visitor, chosen, gr.State(verb)], card, **quiet)
    _compare(services, shell, chosen)


def _standing(services: Services, visitor: Visitor, name: str | None) -> tuple[Any, ...]:
    """The card, the plot, the log, and what the pictures depend on."""
    if name is None:
        return note("No training yet."), None, "", ""
    run = services.run(visitor, name)
    status, (newest, _) = run.status(), trainings.preview(run)
    words = trainings.estimate(run)
    hint = f'<div class="fg-hint">{html.escape(words)}</div>' if words else ""
    seen = f"{name}:{status.state}:{newest and newest.name}:{len(trainings.exports(run))}"
    return progress_card(status) + hint, trainings.curves(run), run.log_tail(20), seen


def _pictures(services: Services, visitor: Visitor, name: str | None) -> tuple[Any, ...]:
    if not name:
        return gr.Image(visible=False), None, gr.File(visible=False)
    run = services.run(visitor, name)
    newest, strip = (services.publish(visitor, path) if path else None for path in trainings.preview(run))
    made = [services.publish(visitor, path) for path in trainings.exports(run)]
    return gr.Image(newest, visible=bool(newest)), strip, gr.File(made or None, visible=bool(made))


def _compare(services: Services, shell: Shell, chosen: gr.Dropdown) -> None:
    with gr.Accordion("Compare trainings", open=False):
        several = gr.Dropdown([], label="Trainings", multiselect=True, elem_id="train-several")
        go = gr.Button("Compare", elem_id="train-compare")
        table = gr.HTML()
        curves = gr.Image(show_label=False, interactive=False, visible=False, buttons=["fullscreen"])
        previews = gr.Image(show_label=False, interactive=False, visible=False, buttons=["fullscreen"])

    def offer(visitor: Visitor) -> Any:
        return gr.Dropdown([run.name for run in trainings.trainings(services, visitor)])

    @shown(3)
    def compare(visitor: Visitor, names: list[str] | None) -> Any:
        found = trainings.compare(services, visitor, names or [])
        shown_files = {name: str(path) for name, path in found.files.items()}
        preview = shown_files.get("previews")
        curve = gr.Image(shown_files["curves"], visible=True)
        return _differences(found), curve, gr.Image(preview, visible=preview is not None)

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
    several.focus(offer, shell.visitor, several, **private)
    go.click(compare, [shell.visitor, several], [table, curves, previews], **private)


def _differences(found: Any) -> str:
    names = list(found.figures)
    rows = {**found.differing}
    for name, figures in found.figures.items():
        for key, value in figures.items():
            rows.setdefault(key, {})[name] = f"{value:.4g}"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td>{html.escape(key)}</td>"
        + "".join(f"<td>{html.escape(str(values.get(name, '')))}</td>" for name in names)
        + "</tr>"
        for key, values in rows.items()
    )
    return f'<table class="fg-table"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>'
