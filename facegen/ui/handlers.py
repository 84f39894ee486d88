"""Event handlers' common parts: consent, errors, and status cards (HTML)."""

import functools
import html
import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

from facegen.errors import FacegenError, InputError
from facegen.jobs import Run, RunStatus
from facegen.ui.messages import strip_paths, to_browser_message

if TYPE_CHECKING:
    from facegen.ui.missing import HubOptions

CONSENT = (
    "I have the consent of everyone whose face I use here, and I will not use the results to deceive or to harm anyone."
)

_LOADING = "The models are being loaded …"
_OTHER_CHOICE = "(card) => /data-needs=|fg-status (queued|running)/.test(card ?? '') ? card : ''"
"""Script: what a status says ends with another choice, unless it waits for consent or its run is at work."""


@dataclass(frozen=True, kw_only=True)
class Shell:
    """The widgets above the tabs."""

    visitor: gr.State
    """Holds the page's `Visitor`."""

    consent: gr.Checkbox
    """Ticked once a visit; every event that makes something takes it as an input."""

    hub_options: "HubOptions"
    """What the page offers of models that may be still on the Hub."""


class ConsentError(InputError):
    """Something was to be made without consent; what was asked for goes on once the box is ticked."""


def require_consent(consent: object) -> None:
    """Hold a request that makes something against the consent of its visit.

    Raises:
        ConsentError: it was not given.
    """
    if consent is not True:
        raise ConsentError(
            "Expected your consent, found it missing; tick the sentence at the top (or pass consent=True)."
        )


def show_errors(outputs: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Show a FacegenError of an event handler in its status card; anything else surfaces as a bug.

    Args:
        outputs: how many outputs the event has; the first one is the status (HTML), the others keep what they show.
    """

    def refused(error: FacegenError) -> Any:
        card = refusal(error)
        return card if outputs == 1 else (card, *[gr.skip() for _ in range(outputs - 1)])

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isasyncgenfunction(handler):

            @functools.wraps(handler)
            async def stream(*args: Any) -> Any:
                try:
                    async for step in handler(*args):
                        yield step
                except FacegenError as error:
                    yield refused(error)

            return stream

        @functools.wraps(handler)
        def call(*args: Any) -> Any:
            try:
                return handler(*args)
            except FacegenError as error:
                return refused(error)

        return call

    return decorate


def api_errors(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Answer a FacegenError of a named endpoint with its sentence, which `gradio_client` raises at the caller's."""

    def refusal(error: FacegenError) -> gr.Error:
        return gr.Error(to_browser_message(str(error)), print_exception=False)

    if inspect.isasyncgenfunction(endpoint):

        @functools.wraps(endpoint)
        async def stream(*args: Any) -> Any:
            try:
                async for step in endpoint(*args):
                    yield step
            except FacegenError as error:
                raise refusal(error) from error

        return stream

    @functools.wraps(endpoint)
    def call(*args: Any) -> Any:
        try:
            return endpoint(*args)
        except FacegenError as error:
            raise refusal(error) from error

    return call


def build_status(job: str, first: str) -> tuple[gr.HTML, gr.HTML]:
    """The status of a job, at first without words, and below it what is missing, shown while the status says nothing.

    Args:
        job: the tab's.
        first: said on opening the page.
    """
    status = gr.HTML(elem_id=f"{job}-status", elem_classes="fg-job")
    return status, gr.HTML(note(first), elem_id=f"{job}-ready", elem_classes="fg-ready")


def end_status(chosen: Any, status: gr.HTML) -> None:
    """Empty a status as soon as another file is chosen: in the page, so that no answer under way to it is lost."""
    chosen.change(None, status, status, js=_OTHER_CHOICE, show_progress="hidden", api_visibility="private")


def reveal(button: gr.Button, *boxes: Any) -> Callable[..., Any]:
    """What binds an event to a click that first shows the boxes of its result; nothing is in them before."""

    def show() -> Any:
        shown = [type(box)(visible=True) for box in boxes]
        return shown if len(shown) > 1 else shown[0]

    opened = button.click(show, None, list(boxes), show_progress="hidden", api_visibility="private")
    then: Callable[..., Any] = opened.then
    return then


def refusal(error: FacegenError) -> str:
    """What a handler answers that met an error (HTML)."""
    return consent_card() if isinstance(error, ConsentError) else notice(str(error))


def notice(sentence: str) -> str:
    """A refusal as a card (HTML), which the page brings into sight."""
    words = html.escape(to_browser_message(sentence))
    return (
        f'<div class="fg-status notice" role="alert" data-at="{time.time()}"><div class="fg-text">{words}</div></div>'
    )


def consent_card() -> str:
    """The refusal for want of consent (HTML); the page marks the box, and presses the button again once it is ticked."""
    return (
        f'<div class="fg-status notice" role="alert" data-needs="consent" data-at="{time.time()}"><div class="fg-text">'
        "Your consent is missing: tick the marked box, and this goes on by itself.</div></div>"
    )


def note(sentence: str) -> str:
    """A plain remark as a card (HTML)."""
    return f'<div class="fg-status" role="status"><div class="fg-text">{html.escape(sentence)}</div></div>'


def note_list(title: str, parts: Iterable[str]) -> str:
    """A plain remark of several parts as a card (HTML); each is a text of its own, so that each is translated."""
    words = "; ".join(f"<span>{html.escape(part)}</span>" for part in parts)
    return f'<div class="fg-status" role="status"><div class="fg-text">{html.escape(title)} {words}.</div></div>'


def starting_card() -> str:
    """A status from the click until its run is there (HTML)."""
    bar = progress_bar(0.0)
    return f'<div class="fg-status queued" role="status"><div class="fg-line"><b>Starting …</b></div>{bar}</div>'


def loading() -> str:
    """A status as long as models are being loaded (HTML)."""
    return (
        '<div class="fg-status queued" role="status"><div class="fg-line"><b>Starting …</b></div>'
        f'<div class="fg-text">{_LOADING}</div>{progress_bar(0.0)}</div>'
    )


def step(number: int | None, title: str, hint: str = "") -> str:
    """The heading of one step of a job (HTML); of what is no step, without a number."""
    mark = f"<b>{number}</b>" if number else ""
    return f'<div class="fg-step">{mark}<h2>{html.escape(title)}</h2><span>{html.escape(hint)}</span></div>'


def progress_card(status: RunStatus, words: str = "") -> str:
    """How a run stands, as a card with a bar (HTML).

    Args:
        status: of the run.
        words: what is said in place of the status's own text, where there is something.
    """
    facts = [f"{status.progress:.0%}"] if status.state == "running" else []
    facts += [status.rate] if status.rate and status.state in ("running", "done") else []
    facts += [f"{duration(status.eta_seconds)} left"] if status.eta_seconds is not None else []
    spans = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts)
    text = to_browser_message(words or status.text)
    if status.is_active and not status.progress and not text:
        text = _LOADING
    bar = progress_bar(status.progress) if status.is_active else ""
    return (
        f'<div class="fg-status {status.state}" role="status" data-state="{status.state}"><div class="fg-line">'
        f"<b>{status.state.capitalize()}</b>{spans}</div>"
        f'<div class="fg-text">{html.escape(text)}</div>{bar}</div>'
    )


def result_words(run: Run) -> str:
    """The summary of a finished run with its notices; nothing while it runs, or where it has none."""
    status, notices = run.status(), run.result().get("notices")
    return " ".join((status.text, *notices)) if notices and status.state == "done" else ""


def log_box(run: Run, lines: int) -> gr.Textbox:
    """Update of a log: its last lines without paths of the server and without what is for programs; hidden while empty."""
    said = [line for line in run.log_tail(lines).splitlines() if not line.startswith("{")]
    text = strip_paths("\n".join(said)).strip()
    return gr.Textbox(text, visible=bool(text))


def progress_bar(fraction: float) -> str:
    """A bar, `fraction` (0..1) of it filled (HTML)."""
    percent = f"{min(max(fraction, 0.0), 1.0) * 100:.1f}"
    return (
        '<div class="fg-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}">'
        f'<i style="width:{percent}%"></i></div>'
    )


def duration(seconds: float) -> str:
    """Seconds in words: «8 s», «3 min 20 s», «2 h 5 min»."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def size(count: int) -> str:
    """Bytes in words: «14 MB»."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
