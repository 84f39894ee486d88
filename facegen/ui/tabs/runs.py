"""The Runs tab: all runs with progress, log and results."""

import html
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.catalog import find_job
from facegen.errors import InputError
from facegen.jobs import Run
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.ui.examples import EXAMPLE_CLICK, EXAMPLES, example_cards
from facegen.ui.handlers import (
    Shell,
    duration,
    log_box,
    note,
    progress_bar,
    progress_card,
    require_consent,
    result_words,
    show_errors,
    size,
    starting_card,
)
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor
from facegen.ui.tabs.train import trained

_SECONDS = 1.5
_LISTED = 50
_CHOOSE = (
    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-run]');"
    " if (button) trigger('click', {run: button.dataset.run}); });"
)


_FIRST_WORDS = (
    "Swaps, talks, facesets and trainings appear here, with progress and results. One works at a time, the others wait "
    "for their turn; all go on when this page is closed."
)
_EXAMPLE = '<div class="fg-hint">No run yet. Begin one with people who do not exist:</div>' + example_cards(
    [(example.name, example.title, example.portraits) for example in EXAMPLES if example.name == "picture"]
)


_BEGUN = "It was begun; its result appears below."


def build(services: Services, shell: Shell, tab: gr.Tab) -> gr.Timer:
    """Lay out the tab and wire it.

    Returns:
        The timer that keeps the tab fresh; it is to run only while the tab is seen.
    """
    timer = gr.Timer(_SECONDS, active=False)
    chosen, seen = gr.State(""), gr.State("")
    words = gr.HTML(note(_FIRST_WORDS), elem_id="runs-words")
    example = gr.HTML(_EXAMPLE, js_on_load=EXAMPLE_CLICK, elem_id="runs-example")
    table = gr.HTML("", js_on_load=_CHOOSE, elem_id="runs-list")
    with gr.Column(visible=False, elem_id="runs-detail") as detail:
        card = gr.HTML()
        with gr.Row(elem_classes="fg-buttons"):
            cancel = gr.Button("Cancel", variant="stop", min_width=110, elem_id="runs-cancel")
            resume = gr.Button("Resume", min_width=110, elem_id="runs-resume")
            start = gr.Button("Start now", min_width=110, elem_id="runs-start")
            delete = gr.Button("Delete …", min_width=110, elem_id="runs-delete")
        with gr.Row(visible=False, elem_classes="fg-buttons") as question:
            delete_text = gr.HTML()
            confirm = gr.Button("Delete it", variant="stop", min_width=110, elem_id="runs-confirm")
            keep = gr.Button("Keep it", min_width=110)
        video = gr.Video(label="Result", interactive=False, visible=False, buttons=[], height=360)
        picture = gr.Image(label="Result", interactive=False, visible=False, buttons=[], height=360)
        files = gr.File(label="Files", interactive=False, visible=False, file_count="multiple")
        log = gr.Textbox(
            label="Last lines of its log",
            lines=14,
            max_lines=14,
            interactive=False,
            autoscroll=True,
            elem_classes="fg-log",
        )

    def refresh(visitor: Visitor, name: str) -> Any:
        runs = services.runs(visitor)
        return gr.HTML(visible=not runs), _list(runs, name), *_detail(services, visitor, name)

    @show_errors(2)
    async def begin_example(visitor: Visitor, consent: bool, event: gr.EventData) -> AsyncIterator[Any]:
        require_consent(consent)
        yield starting_card(), gr.skip()
        sources, target = services.examples.files(event.example)
        run = services.start(visitor, SWAP, SwapRequest(sources=tuple(sources), target=target, output=""))
        yield gr.skip(), run.name

    def choose(visitor: Visitor, event: gr.EventData) -> Any:
        return event.run, *refresh(visitor, event.run), gr.Row(visible=False)

    def results(visitor: Visitor, seen: str) -> Any:
        # not `chosen`: that run may have been deleted
        return _results(services, visitor, seen.rpartition(":")[0])

    @show_errors(1)
    def act(visitor: Visitor, name: str, verb: str) -> str:
        run = services.run(visitor, name)
        if verb == "start" and not services.settings.shared:
            run.start()
        else:
            run.cancel() if verb == "cancel" else services.resume(run)
        return note(f"{name}: {verb} was requested.")

    @show_errors(3)
    def ask(visitor: Visitor, name: str) -> Any:
        words = f"Delete {name} with all its files ({size(services.run(visitor, name).size_bytes())})?"
        return gr.skip(), f'<div class="fg-hint">{html.escape(words)}</div>', gr.Row(visible=True)

    @show_errors(3)
    def remove(visitor: Visitor, name: str) -> Any:
        services.run(visitor, name).delete()
        return note(f"{name} was deleted."), "", gr.Row(visible=False)

    fresh = [example, table, detail, card, log, seen, cancel, resume, start, delete]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    for moment in (tab.select, timer.tick):
        moment(refresh, [shell.visitor, chosen], fresh, trigger_mode="once", **quiet)
    begun = example.click(
        begin_example, [shell.visitor, shell.consent], [words, chosen], show_progress="full", show_progress_on=words,
        api_visibility="private", concurrency_limit=None,
    )  # fmt: skip
    begun.success(refresh, [shell.visitor, chosen], fresh, **quiet).then(
        lambda name: note(_BEGUN) if name else gr.skip(), chosen, words, **quiet
    )
    table.click(choose, shell.visitor, [chosen, *fresh, question], **quiet)
    seen.change(results, [shell.visitor, seen], [video, picture, files], **quiet)
    for button, verb in ((cancel, "cancel"), (resume, "resume"), (start, "start")):
        done = button.click(act, [shell.visitor, chosen, gr.State(verb)], words, **quiet)
        done.then(refresh, [shell.visitor, chosen], fresh, **quiet)
    delete.click(ask, [shell.visitor, chosen], [words, delete_text, question], **quiet)
    keep.click(lambda: gr.Row(visible=False), None, question, **quiet)
    confirm.click(remove, [shell.visitor, chosen], [words, delete_text, question], **quiet).then(
        refresh, [shell.visitor, chosen], fresh, **quiet
    )
    return timer


def _list(runs: list[Run], chosen: str) -> str:
    if not runs:
        return ""
    rows = "".join(_row(run, run.name == chosen) for run in runs[:_LISTED])
    more = f'<div class="fg-hint">and {len(runs) - _LISTED} older ones</div>' if len(runs) > _LISTED else ""
    head = "<tr><th>Name</th><th>State</th><th>Progress</th><th>Begun</th><th>Size</th></tr>"
    return f'<table class="fg-table"><thead>{head}</thead><tbody>{rows}</tbody></table>{more}'


def _row(run: Run, is_chosen: bool) -> str:
    status = run.status()
    facts = [f"{status.progress:.0%}", status.rate or ""]
    facts += [f"{duration(status.eta_seconds)} left"] if status.eta_seconds is not None else []
    words = " · ".join(html.escape(fact) for fact in facts if fact)
    bar = progress_bar(status.progress) if status.is_active else ""
    mark = ' class="chosen"' if is_chosen else ""
    name = html.escape(run.name)
    return (
        f'<tr{mark}><td><button type="button" class="fg-link" data-run="{name}">{name}</button>'
        f'<div class="fg-hint">{html.escape(title(run))}</div></td>'
        f'<td><span class="fg-chip {status.state}">{status.state}</span></td>'
        f'<td data-label="Progress">{words}{bar}</td><td class="fg-short" data-label="Begun">{_when(run.created)}</td>'
        f'<td class="fg-short" data-label="Size">{size(run.size_bytes())}</td></tr>'
    )


def title(run: Run) -> str:
    """What a run is about, in a few words: the target of a swap, the task of a training."""
    try:
        return find_job(run.kind).describe(run.request)
    except InputError:
        return run.kind


def _when(seconds: float) -> str:
    return time.strftime("%d %b, %H:%M", time.localtime(seconds))


def _detail(services: Services, visitor: Visitor, name: str) -> tuple[Any, ...]:
    """Whether the details are seen, the card, the log, what `results` depends on, and which buttons make sense."""
    if name not in {run.name for run in services.runs(visitor)}:
        return gr.Column(visible=False), "", "", "", *[gr.skip() for _ in range(4)]
    run = services.run(visitor, name)
    status = run.status()
    is_startable = status.state == "queued" and run.can_run and not services.settings.shared
    is_resumable = status.state in ("cancelled", "failed") and run.can_run
    wanted = (status.is_active, is_resumable, is_startable)
    buttons = [gr.Button(visible=is_wanted) for is_wanted in (*wanted, status.state != "running")]
    ended = "" if status.state != "done" else trained.summary(run)
    return (
        gr.Column(visible=True),
        progress_card(status, result_words(run) or ended),
        log_box(run, 14),
        f"{name}:{status.state}",
        *buttons,
    )


def _results(services: Services, visitor: Visitor, name: str) -> tuple[Any, Any, Any]:
    """Updates of the video, the picture and the list of files."""
    paths = [services.publish(visitor, path) for path in _made(services, services.run(visitor, name))] if name else []
    video = next((path for path in paths if path.lower().endswith(VIDEO_SUFFIXES)), None)
    picture = next((path for path in paths if path.lower().endswith(PICTURE_SUFFIXES)), None)
    return (
        gr.Video(video, visible=video is not None),
        gr.Image(picture if video is None else None, visible=video is None and picture is not None),
        gr.File(paths or None, visible=bool(paths)),
    )


def _made(services: Services, run: Run) -> list[Path]:
    """The files that a run made for people: its results, or a training's exported model and its strip of previews."""
    if run.kind != "train":
        return services.results(run)
    strip = trained.preview(run)[1]
    return [*trained.exports(run), *([strip] if strip else [])]
