"""The Train tab's right half: progress, results and comparison of trainings."""

import html
from typing import Any

import gradio as gr

from facegen.ui.handlers import Shell, log_box, note, progress_card, show_errors, step
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.train import trained, trainings

_VERBS = (("Save now", "save"), ("Pause", "pause"), ("Export", "export"), ("Stop", "stop"), ("Resume", "resume"))


def watch_training(services: Services, shell: Shell, timer: gr.Timer) -> gr.Dropdown:
    """Lay out what shows a training, refreshed at each tick.

    Returns:
        The widget that says which training is shown.
    """
    gr.HTML(step(None, "Watch a training", "It goes on when this page is closed."))
    chosen = gr.Dropdown([], label="Training", elem_id="train-chosen")
    card = gr.HTML(_NONE_YET, elem_id="train-card")
    with gr.Row(elem_classes="fg-buttons"):
        buttons = [
            (gr.Button(label, size="md", min_width=110, visible=False, elem_id=f"train-{verb}"), verb)
            for label, verb in _VERBS
        ]
    said = gr.HTML()
    # shown only with rows in it: from an empty table the plot would take its numbers for names
    plot = gr.LinePlot(
        trained.example_curves(), x="step", y="loss", color="line", height=260, show_label=False, elem_id="train-plot"
    )
    caption = gr.HTML()
    picture = gr.Image(
        interactive=False, visible=False, show_label=False, buttons=["fullscreen"], elem_id="train-preview"
    )
    with gr.Accordion("Previews through time", open=False):
        strip = gr.Image(interactive=False, show_label=False, buttons=["fullscreen"], elem_id="train-strip")
    files = gr.File(label="Exported model", file_count="multiple", interactive=False, visible=False)
    belongs = gr.HTML(elem_id="train-place")
    use = gr.Button("Use it", visible=False, elem_id="train-use")
    log = gr.Textbox(
        label="Last lines of its log",
        lines=8,
        max_lines=10,
        interactive=False,
        autoscroll=True,
        visible=False,
        elem_classes="fg-log",
    )
    seen = gr.State("")

    def refresh(visitor: Visitor, name: str | None) -> Any:
        names = [run.name for run in trainings.trainings(services, visitor)]
        name = name if name in names else (names[0] if names else None)
        return gr.Dropdown(names, value=name), *_standing(services, visitor, name)

    def show_made(visitor: Visitor, name: str | None) -> Any:
        return _made(services, visitor, name)

    @show_errors(1)
    def act(visitor: Visitor, name: str | None, verb: str) -> str:
        trainings.act(services.run(visitor, name or ""), verb)
        return note(_ANSWERS[verb])

    @show_errors(3)
    def take(visitor: Visitor, name: str | None) -> Any:
        run = services.run(visitor, name or "")
        words = trained.use(services, run)
        return note(words), *_place(services, visitor, name)

    fresh = [chosen, card, plot, log, seen, *(button for button, _ in buttons)]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    timer.tick(refresh, [shell.visitor, chosen], fresh, **quiet)
    chosen.input(refresh, [shell.visitor, chosen], fresh, **quiet)
    seen.change(show_made, [shell.visitor, chosen], [caption, picture, strip, files, belongs, use, said], **quiet)
    for button, verb in buttons:
        button.click(act, [shell.visitor, chosen, gr.State(verb)], said, **quiet)
    use.click(take, [shell.visitor, chosen], [said, belongs, use], **quiet)
    _compare(services, shell)
    return chosen


_NONE_YET = note("No training of yours yet. You see the losses of an example: four minutes on clips of Ada and Bea.")
_ANSWERS = {
    "save": "A checkpoint and a preview come after the step it is at.",
    "pause": "It writes a checkpoint and ends; Resume goes on from there.",
    "resume": "It goes on from its last checkpoint.",
    "export": "The model as it is now comes after the step it is at.",
    "stop": "It measures, exports and ends.",
}


def _standing(services: Services, visitor: Visitor, name: str | None) -> tuple[Any, ...]:
    """The card, the plot, the log, what all else depends on, and which buttons make sense."""
    if name is None:
        return (
            _NONE_YET,
            gr.LinePlot(trained.example_curves(), visible=True),
            gr.Textbox(visible=False),
            "",
            *(gr.Button(visible=False) for _ in _VERBS),
        )
    run = services.run(visitor, name)
    status, (newest, _) = run.status(), trained.preview(run)
    words = trained.estimate(run)
    hint = f'<div class="fg-hint">{html.escape(words)}</div>' if words else ""
    seen = f"{name}:{status.state}:{newest and newest.name}:{len(trained.exports(run))}"
    curves = trained.curves(run)
    ended = trained.summary(run) if status.state == "done" else ""
    wanted = ["resume"] if not status.is_active else [verb for _, verb in _VERBS if verb != "resume"]
    buttons = [gr.Button(visible=verb in wanted and status.state != "queued") for _, verb in _VERBS]
    plot = gr.LinePlot(curves, visible=len(curves) > 0)
    return progress_card(status, ended) + hint, plot, log_box(run, 8), seen, *buttons


def _made(services: Services, visitor: Visitor, name: str | None) -> tuple[Any, ...]:
    """Caption and picture of the preview, the strip, the files, where they belong; what was said before is over."""
    if not name:
        return "", gr.Image(visible=False), None, gr.File(visible=False), "", gr.Button(visible=False), ""
    run = services.run(visitor, name)
    newest, strip = trained.preview(run)
    made = [services.publish(visitor, path) for path in trained.exports(run)]
    caption = f'<div class="fg-hint">Latest preview, step {int(newest.stem)}</div>' if newest else ""
    return (
        caption,
        gr.Image(services.publish(visitor, newest) if newest else None, visible=newest is not None),
        services.publish(visitor, strip) if strip else None,
        gr.File(made or None, visible=bool(made)),
        *_place(services, visitor, name),
        "",
    )


def _place(services: Services, visitor: Visitor, name: str | None) -> tuple[Any, Any]:
    """Where the model belongs, and the button that brings it there or back."""
    found = trained.place(services, services.run(visitor, name or ""))
    label = "Go back to facegen's own" if found.is_in_use else "Use it"
    words = f'<div class="fg-hint">{html.escape(found.words)}</div>'
    return words, gr.Button(label, visible=bool(found.weight))


def _compare(services: Services, shell: Shell) -> None:
    with gr.Accordion("Compare trainings", open=False):
        several = gr.Dropdown([], label="Trainings", multiselect=True, elem_id="train-several")
        go = gr.Button("Compare", elem_id="train-compare")
        table = gr.HTML()
        curves = gr.Image(show_label=False, interactive=False, visible=False, buttons=["fullscreen"])
        previews = gr.Image(show_label=False, interactive=False, visible=False, buttons=["fullscreen"])

    def offer(visitor: Visitor) -> Any:
        return gr.Dropdown([run.name for run in trainings.trainings(services, visitor)])

    @show_errors(3)
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
