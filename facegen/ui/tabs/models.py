"""The Models tab: every weight file facegen knows, what it is for, its licence, and to fetch, verify and remove it."""

import html
from collections.abc import Iterable
from typing import Any

import gradio as gr

from facegen import hub
from facegen.catalog import find_weight, find_weights
from facegen.hub import SETS, WeightFile
from facegen.inference import try_accelerators
from facegen.jobs.job import count_text
from facegen.ui.handlers import note, progress_bar, show_errors, size
from facegen.ui.messages import to_browser_message
from facegen.ui.missing import accept_ticked, licence, licence_list, require_own
from facegen.ui.services import Services

_SECONDS = 1.0
_EVERY_JOB = "all"
_ACT = (
    "element.addEventListener('click', (event) => { const button = event.target.closest('[data-act]');"
    " if (button) trigger('click', {act: button.dataset.act, name: button.dataset.name}); });"
)
_SET_LABELS = {"best-permissive": "The best with free licences", "best": "The best of all", "fast": "The quickest"}


def build(services: Services, tab: gr.Tab) -> gr.Timer:
    """Lay out the tab; the list is made anew whenever the tab is opened.

    Returns:
        The timer that follows downloads; it is to run only while the tab is seen.
    """
    is_own = not services.settings.shared
    timer = gr.Timer(_SECONDS, active=False)
    gr.HTML(
        '<div class="fg-hint">What is bundled, or part of an installed package, is here and does every job. Models of '
        "the Hugging Face Hub do some jobs better; they are fetched only when you say so, and their checksums are "
        "compared.</div>"
    )
    with gr.Row(elem_classes="fg-buttons"):
        job = gr.Dropdown(
            [("every job", _EVERY_JOB), *((name.capitalize(), name) for name in hub.JOBS)],
            value=_EVERY_JOB, label="For", elem_id="models-job", min_width=140,
        )  # fmt: skip
        permissive = gr.Checkbox(
            label="Permissive licences only",
            info="Everybody may use these for anything.",
            elem_id="models-permissive",
            min_width=220,
        )
    gr.HTML(
        '<div class="fg-hint">Fetch several at once, or see what a GPU of this machine does for them:</div>',
        visible=is_own,
    )
    with gr.Row(elem_classes="fg-buttons", visible=is_own):
        sets = {
            name: gr.Button(_SET_LABELS[name], size="sm", min_width=150, elem_id=f"models-set-{name}") for name in SETS
        }
        try_out = gr.Button("Try the accelerators", size="sm", min_width=150, elem_id="models-accelerators")
    message = gr.HTML(elem_id="models-words")
    with gr.Column(visible=False, elem_id="models-terms") as question:
        terms = gr.HTML()
        accepted = gr.CheckboxGroup([], label="I accept the licence of", elem_id="models-accepted")
        with gr.Row(elem_classes="fg-buttons"):
            fetch = gr.Button("Fetch these", variant="primary", min_width=110, elem_id="models-fetch")
            leave = gr.Button("Not now", min_width=110)
    wanted = gr.State(())
    models = gr.HTML(_table(services, _EVERY_JOB, False), js_on_load=_ACT, elem_id="models-list")

    def refresh(job: str, permissive_only: bool) -> str:
        return _table(services, job, permissive_only)

    def follow(job: str, permissive_only: bool) -> Any:
        if not services.downloads.is_recent():
            return gr.skip(), gr.skip()
        words = services.downloads.describe_batch()
        return refresh(job, permissive_only), note(to_browser_message(words)) if words else gr.skip()

    @show_errors(5)
    def act(job: str, permissive_only: bool, event: gr.EventData) -> Any:
        require_own(services)
        weight = find_weight(event.name)
        quiet = (gr.skip(), gr.skip(), gr.skip(), ())
        match event.act:
            case "fetch":
                return _ask(services, (weight,))
            case "cancel":
                if download := services.downloads.get(weight):
                    download.cancel()
                return note(f"{weight.name}: stopped; «Fetch» goes on where it is."), *quiet
            case "remove":
                return note(f"{weight.name} was removed; {size(hub.remove(weight))} are free again."), *quiet
            case _:
                return note(hub.verify(weight) or f"{weight.name} is as it should be."), *quiet

    @show_errors(5)
    def fetch_set(name: str) -> Any:
        require_own(services)
        return _ask(services, find_weights(set_name=name))

    @show_errors(3)
    def begin(names: tuple[str, ...], ticked: list[str]) -> Any:
        require_own(services)
        weights = [find_weight(name) for name in names]
        accept_ticked(weights, ticked)
        services.downloads.start(weights)
        return note("The download has begun."), gr.Column(visible=False), ()

    def show_accelerators() -> str:
        rows = "".join(
            f"<tr><td><b>{html.escape(title)}</b></td><td>{html.escape(outcome)}</td></tr>"
            for title, outcome in try_accelerators().items()
        )
        return f'<table class="fg-table"><tbody>{rows}</tbody></table>'

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    answer = [message, question, terms, accepted, wanted]
    # one event for all of them: of several, an earlier answer could arrive last
    gr.on(
        [tab.select, job.change, permissive.change],
        refresh,
        [job, permissive],
        models,
        trigger_mode="always_last",
        **quiet,
    )
    timer.tick(follow, [job, permissive], [models, message], trigger_mode="once", **quiet)
    models.click(act, [job, permissive], answer, **quiet).then(refresh, [job, permissive], models, **quiet)
    for name, button in sets.items():
        button.click(fetch_set, gr.State(name), answer, **quiet).then(refresh, [job, permissive], models, **quiet)
    fetch.click(begin, [wanted, accepted], [message, question, wanted], **quiet).then(
        refresh, [job, permissive], models, **quiet
    )
    leave.click(lambda: (gr.Column(visible=False), ()), None, [question, wanted], **quiet)
    try_out.click(show_accelerators, None, message, api_visibility="private")
    return timer


def _ask(services: Services, weights: Iterable[WeightFile]) -> tuple[Any, ...]:
    """Begin to fetch what is missing, or ask for the licences that it takes."""
    missing = [weight for weight in weights if not hub.is_present(weight)]
    waiting = [weight for weight in missing if not hub.is_accepted(weight)]
    hidden = gr.Column(visible=False), "", gr.CheckboxGroup(choices=[], value=[]), ()
    if not missing:
        return note("All of it is here."), *hidden
    if not waiting:
        services.downloads.start(missing)
        return note("The download has begun."), *hidden
    total = sum(weight.size or 0 for weight in missing)
    names = [weight.name for weight in waiting]
    question = note(
        f"{count_text(len(missing), 'file')}, {size(total)}: some are under terms of their own, to be accepted by name."
    )
    return (
        question,
        gr.Column(visible=True),
        licence_list(waiting),
        gr.CheckboxGroup(choices=names, value=[]),
        tuple(w.name for w in missing),
    )


def _table(services: Services, job: str, permissive_only: bool) -> str:
    """The list as HTML."""
    weights = find_weights(job=None if job == _EVERY_JOB else job, permissive_only=permissive_only)
    head = "<tr><th>Model</th><th>State</th><th>Licence</th><th>Size</th><th>From</th></tr>"
    rows = "".join(_row(services, weight) for weight in weights)
    return f'<table class="fg-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def _row(services: Services, weight: WeightFile) -> str:
    amount = size(weight.size) if weight.size else "not stated"
    return (
        f'<tr><td><b>{html.escape(weight.name)}</b><div class="fg-hint">{html.escape(weight.purpose)}</div></td>'
        f"<td>{_state(services, weight)}</td>"
        f'<td data-label="Licence">{licence(weight)}</td><td class="fg-short" data-label="Size">{amount}</td>'
        f'<td data-label="From">{_origin(weight)}</td></tr>'
    )


def _state(services: Services, weight: WeightFile) -> str:
    """How a file stands, with what can be done about it."""
    state, download = hub.state_of(weight), services.downloads.get(weight)
    label = {"own": "your own", "present": "present", "partial": "begun", "absent": "not here"}[state]
    chip = f'<span class="fg-chip {"present" if state in ("own", "present") else "absent"}">{label}</span>'
    if services.settings.shared or state == "own" or not isinstance(weight.source, hub.Hub):
        return chip
    if download is not None and download.is_active:
        course = download.transfer
        return (
            f'<span class="fg-chip running">on its way</span> {_button("cancel", weight, "Cancel")}'
            f'<div class="fg-hint">{html.escape(course.text)}</div>{progress_bar(course.fraction)}'
        )
    failed = f'<div class="fg-hint">{html.escape(download.error)}</div>' if download is not None else ""
    if state == "present":
        return f"{chip} {_button('verify', weight, 'Verify')} {_button('remove', weight, 'Remove')}"
    return f"{chip} {_button('fetch', weight, 'Fetch')}{failed}"


def _button(act: str, weight: WeightFile, label: str) -> str:
    name = html.escape(weight.name)
    return (
        f'<button type="button" class="fg-link" data-act="{act}" data-name="{name}" '
        f'aria-label="{label} {name}">{label}</button>'
    )


def _origin(weight: WeightFile) -> str:
    match weight.source:
        case hub.Bundled():
            return "bundled with facegen"
        case hub.Package(distribution=name):
            return f"package {html.escape(name)}"
        case hub.Hub(repo_id=repository, revision=revision):
            shown = f"{html.escape(repository)} @ {html.escape(revision[:8])}"
            link = f"{hub.endpoint()}/{repository}/tree/{revision}"
            return f'Hub, <a href="{html.escape(link)}" target="_blank" rel="noopener">{shown}</a>'
