"""Several targets for one source: a queued run each, with its state and a retry of failed ones."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from facegen.errors import FacegenError, InputError
from facegen.jobs.batch import BatchRow, BatchState, write_summary
from facegen.swap.jobs import SWAP
from facegen.swap.request import SwapRequest
from facegen.ui.handlers import Shell, note, progress_bar, require_consent, show_errors
from facegen.ui.messages import to_browser_message
from facegen.ui.services import PICTURE_SUFFIXES, VIDEO_SUFFIXES, Services, Visitor

MOST = 50
_SECONDS = 1.0
_REFUSED: Literal["refused"] = "refused"
MakeRequest = Callable[[Visitor, str, tuple[Any, ...]], SwapRequest]
"""The request that the tab's widgets say, for another target."""


def build(services: Services, shell: Shell, inputs: list[Any], make_request: MakeRequest) -> None:
    """Lay out the accordion and wire it.

    Args:
        services: of the studio.
        shell: of the page.
        inputs: the tab's widgets.
        make_request: makes a request of their values for a target.
    """
    # (file, its run or "", why it was refused or "")
    queued, timer = gr.State([]), gr.Timer(_SECONDS, active=False)
    with gr.Accordion("Many files: the same face into each", open=False, elem_id="swap-batch"):
        targets = gr.File(
            label="Target videos and pictures",
            file_count="multiple",
            file_types=[*VIDEO_SUFFIXES, *PICTURE_SUFFIXES],
            height=130,
            elem_id="swap-targets",
        )
        with gr.Row(elem_classes="fg-buttons"):
            begin = gr.Button("Run all", min_width=90, elem_id="swap-batch-run")
            retry = gr.Button("Retry what failed", min_width=110, interactive=False, elem_id="swap-batch-retry")
        words = gr.HTML(elem_id="swap-batch-states")
        results = gr.File(label="Results", file_count="multiple", interactive=False, visible=False)

    def start(visitor: Visitor, target: str, values: tuple[Any, ...]) -> tuple[str, str, str]:
        try:
            return target, services.start(visitor, SWAP, make_request(visitor, target, values)).name, ""
        except FacegenError as error:
            return target, "", to_browser_message(str(error))

    @show_errors(3)
    def run_all(visitor: Visitor, consent: bool, paths: list[str] | None, *values: Any) -> Any:
        require_consent(consent)
        if not paths or len(paths) > MOST:
            raise InputError(f"Expected 1 to {MOST} targets, found {len(paths or ())}; choose files first.")
        begun = [start(visitor, path, values) for path in paths]
        return _table(services, visitor, begun), begun, gr.Timer(active=True)

    @show_errors(3)
    def run_failed(visitor: Visitor, consent: bool, before: list[Any], *values: Any) -> Any:
        require_consent(consent)
        failed = [_state(services, visitor, row)[0] in ("failed", "cancelled", _REFUSED) for row in before]
        again = [start(visitor, row[0], values) if is_bad else row for row, is_bad in zip(before, failed, strict=True)]
        return _table(services, visitor, again), again, gr.Timer(active=True)

    def follow(visitor: Visitor, rows: list[Any]) -> Any:
        states = [_state(services, visitor, row)[0] for row in rows]
        is_active = any(state in ("queued", "running") for state in states)
        is_retry = not is_active and any(state in ("failed", "cancelled", _REFUSED) for state in states)
        made = [] if is_active else [*_results(services, visitor, rows), _summary(services, visitor, rows)]
        return (
            _table(services, visitor, rows),
            gr.Timer(active=is_active),
            gr.Button(interactive=is_retry),
            gr.File(made or None, visible=bool(made)),
        )

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    made = [words, queued, timer]
    begin.click(run_all, [shell.visitor, shell.consent, targets, *inputs], made, **quiet)
    retry.click(run_failed, [shell.visitor, shell.consent, queued, *inputs], made, **quiet)
    timer.tick(follow, [shell.visitor, queued], [words, timer, retry, results], trigger_mode="once", **quiet)


def _state(services: Services, visitor: Visitor, row: tuple[str, str, str]) -> tuple[BatchState, float, str]:
    """State, progress and words of a target."""
    _, name, refusal = row
    if not name:
        return _REFUSED, 0.0, refusal
    try:
        status = services.run(visitor, name).status()
    except InputError:
        return "deleted", 0.0, ""
    return status.state, status.progress, to_browser_message(status.text)


def _table(services: Services, visitor: Visitor, rows: list[tuple[str, str, str]]) -> str:
    """A line for each target (HTML)."""
    if not rows:
        return note("No file yet.")
    lines = []
    for row in rows:
        state, progress, words = _state(services, visitor, row)
        bar = progress_bar(progress) if state in ("queued", "running") else ""
        lines.append(
            f'<tr data-state="{state}"><td>{html.escape(Path(row[0]).name)}</td>'
            f'<td><span class="fg-chip {state}">{state}</span></td><td>{html.escape(words)}{bar}</td></tr>'
        )
    return f'<table class="fg-table"><tbody>{"".join(lines)}</tbody></table>'


def _results(services: Services, visitor: Visitor, rows: list[tuple[str, str, str]]) -> list[str]:
    done = [
        services.run(visitor, name)
        for _, name, _ in rows
        if name and _state(services, visitor, ("", name, ""))[0] == "done"
    ]
    outputs = [services.output(run) for run in done]
    return [services.publish(visitor, path) for path in outputs if path is not None]


def _summary(services: Services, visitor: Visitor, rows: list[tuple[str, str, str]]) -> str:
    """How each target went, as a CSV file."""
    path = services.visitor_folder(visitor) / "summary.csv"
    lines = []
    for file, run, refusal in rows:
        state, _, words = _state(services, visitor, (file, run, refusal))
        lines.append(BatchRow(file=Path(file).name, output=run, state=state, text=words))
    write_summary(path, lines)
    return str(path)
