"""The row below a choice whose weights files are missing, with a button that fetches them."""

import asyncio
import html
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from facegen import hub
from facegen.catalog import find_weight
from facegen.errors import InputError
from facegen.hub import WeightFile
from facegen.ui.handlers import note, progress_bar, show_errors, size
from facegen.ui.services import Services

_WATCH_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class MissingRow:
    """The widgets."""

    column: gr.Column
    words: gr.HTML
    accepted: gr.CheckboxGroup
    fetch: gr.Button
    names: gr.State
    """Names of the files that are missing."""

    @property
    def components(self) -> list[Any]:
        """All of them."""
        return [self.words, self.column, self.accepted, self.fetch, self.names]


def build_missing(prefix: str) -> MissingRow:
    """The row, unseen as long as nothing is missing; its elements' ids begin with `prefix`."""
    with gr.Column(visible=False, elem_id=f"{prefix}-missing") as column:
        words = gr.HTML()
        accepted = gr.CheckboxGroup([], label="I accept the licence of", elem_id=f"{prefix}-missing-accepted")
        fetch = gr.Button("Fetch these", size="sm", elem_id=f"{prefix}-missing-fetch")
    return MissingRow(column=column, words=words, accepted=accepted, fetch=fetch, names=gr.State(()))


def wire_missing(
    services: Services, row: MissingRow, choices: Sequence[Any], needed: Callable[..., Iterable[WeightFile]]
) -> Any:
    """Let the row follow choices.

    Args:
        services: the studio's.
        row: the widgets.
        choices: the components that choose.
        needed: from their values to the files that these need.

    Returns:
        What happens when the files are there, to be followed by more.
    """

    def show(*values: Any) -> list[Any]:
        missing = [weight for weight in needed(*values) if not hub.is_present(weight)]
        if not missing:
            return ["", gr.Column(visible=False), gr.CheckboxGroup(choices=[], value=[]), gr.skip(), ()]
        waiting = [weight for weight in missing if not hub.is_accepted(weight)]
        total = sum(weight.size or 0 for weight in missing)
        files = f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
        amount = size(total) if all(weight.size for weight in missing) else "size not stated"
        words = note(f"This choice needs {files} from the Hub, {amount}: {', '.join(w.name for w in missing)}.")
        is_own = not services.settings.shared
        return [
            words + licence_list(waiting),
            gr.Column(visible=True),
            gr.CheckboxGroup(choices=[w.name for w in waiting], value=[], visible=bool(waiting) and is_own),
            gr.Button(visible=is_own),
            tuple(weight.name for weight in missing),
        ]

    @show_errors(5)
    async def fetch(names: tuple[str, ...], ticked: list[str]) -> AsyncIterator[list[Any]]:
        require_own(services)
        weights = [find_weight(name) for name in names]
        accept_ticked(weights, ticked)
        services.downloads.start(weights)
        while under_way := [d for w in weights if (d := services.downloads.get(w)) is not None and d.is_active]:
            bars = (note(d.transfer.text) + progress_bar(d.transfer.fraction) for d in under_way)
            yield ["".join(bars), gr.skip(), gr.CheckboxGroup(visible=False), gr.Button(visible=False), gr.skip()]
            await asyncio.sleep(_WATCH_SECONDS)
        failed = [d.error for w in weights if (d := services.downloads.get(w)) is not None and d.error]
        if failed:
            raise InputError(failed[0])
        yield ["", gr.Column(visible=False), gr.skip(), gr.Button(visible=True), ()]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    gr.on(
        [choice.change for choice in choices], show, list(choices), row.components, trigger_mode="always_last", **quiet
    )
    return row.fetch.click(fetch, [row.names, row.accepted], row.components, **quiet)


def require_own(services: Services) -> None:
    """Leave downloads to whoever runs a studio.

    Raises:
        InputError: it is a shared one.
    """
    if services.settings.shared:
        raise InputError("Expected a studio of your own, found a shared one; ask whoever runs it for this model.")


def accept_ticked(weights: Iterable[WeightFile], ticked: Sequence[str]) -> None:
    """Accept the licences of files whose names were ticked.

    Raises:
        InputError: one is to be accepted and was not ticked.
    """
    weights = list(weights)
    left = [weight.name for weight in weights if not hub.is_accepted(weight) and weight.name not in ticked]
    if left:
        raise InputError(f"Expected the licence of {left[0]} to be accepted, found its box empty; tick it first.")
    for weight in weights:
        if weight.needs_acceptance:
            hub.remember_licence(weight)


def licence(weight: WeightFile) -> str:
    """The licence of a file with its link, and why it is to be accepted where it is (HTML)."""
    name, link = html.escape(weight.licence), html.escape(weight.licence_link)
    shown = f'<a href="{link}" target="_blank" rel="noopener">{name}</a>' if link.startswith("https:") else name
    terms = "" if weight.is_permissive else ' <span class="fg-chip">own terms</span>'
    reason = f'<div class="fg-hint">{html.escape(weight.terms)}</div>' if weight.terms else ""
    return shown + terms + reason


def licence_list(weights: Iterable[WeightFile]) -> str:
    """The licences of several files (HTML)."""
    rows = "".join(f"<li><b>{html.escape(weight.name)}</b>: {licence(weight)}</li>" for weight in weights)
    return f'<div class="fg-hint"><ul>{rows}</ul></div>' if rows else ""
