"""Options whose files are still on the Hub: greyed in their lists, each with a sentence and a button that fetches them."""

import asyncio
import html
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr

from facegen import hub
from facegen.catalog import find_weight
from facegen.errors import InputError
from facegen.hub import WeightFile
from facegen.jobs.job import count_text
from facegen.ui.handlers import note, notice, progress_bar, show_errors, size
from facegen.ui.services import Services, Visitor

Files = Callable[[Any], Sequence[WeightFile]]
"""From a value of a widget to the files of the Hub that it needs."""
IsAbsent = Callable[[WeightFile], bool]
Choices = Callable[[Visitor], Sequence[tuple[str, Any]]]
"""(words, value) of what a visitor may choose."""

_WATCH_SECONDS = 0.5
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_BRIDGE = "element.addEventListener('hub-option', (event) => trigger('click', event.detail));"


@dataclass(frozen=True, kw_only=True)
class MissingRow:
    """What stands below a widget while a file of it is missing."""

    column: gr.Column
    words: gr.HTML
    accepted: gr.CheckboxGroup
    fetch: gr.Button
    wanted: gr.State
    """The `_Wanted` of the button."""

    @property
    def components(self) -> list[Any]:
        """All of them."""
        return [self.words, self.column, self.accepted, self.fetch, self.wanted]


@dataclass(frozen=True)
class _Wanted:
    """What is missing: the name of an option, and those of its files."""

    option: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _HubField:
    """A list with such options, or a slider that as a whole is one."""

    component: Any
    row: MissingRow
    files: Files
    choices: Choices
    is_renewed: bool
    """Whether its choices may be others whenever it is opened."""
    name: str
    """What is fetched for any of its options; empty where each is named by itself."""

    @property
    def is_slider(self) -> bool:
        """Whether it as a whole is such an option."""
        return isinstance(self.component, gr.Slider)


class HubOptions:
    """The widgets of a page that have such options."""

    def __init__(self) -> None:
        self._fields: list[_HubField] = []

    def add(self, component: Any, files: Files, choices: Choices | None = None, *, name: str = "") -> None:
        """Build the row of a widget, where the page is at.

        Args:
            component: a drop-down or a slider; it needs an `elem_id`.
            files: what one of its values needs.
            choices: what is offered, where that changes.
            name: what is fetched for any of its options, where each has the same files.
        """
        first = [] if isinstance(component, gr.Slider) else list(component.choices)
        self._fields.append(
            _HubField(
                component=component,
                row=_build_row(component.elem_id),
                files=files,
                choices=choices or (lambda _: first),
                is_renewed=choices is not None,
                name=name,
            )
        )

    def wire(self, services: Services, visitor: gr.State, opened: Sequence[Any]) -> None:
        """Let the lists follow what is here, and the rows follow the lists.

        Args:
            services: the studio's.
            visitor: the page's.
            opened: events at which files may have come or gone.
        """
        bridge = gr.HTML(js_on_load=_BRIDGE, elem_id="hub-options")
        components = [field.component for field in self._fields]
        sliders = [field for field in self._fields if field.is_slider]
        renewed = [bridge, *components, *(part for field in sliders for part in field.row.components)]

        def renew(visitor: Visitor, *values: Any) -> list[Any]:
            is_absent = cache(_is_absent)
            offered = [field.choices(visitor) for field in self._fields]
            updates = [
                _update(field, choices, value, is_absent)
                for field, choices, value in zip(self._fields, offered, values, strict=True)
            ]
            rows = [part for field in sliders for part in _describe_slider(services, field)]
            return [_places(self._fields, offered, is_absent), *updates, *rows]

        def describe_pressed(event: gr.EventData) -> list[Any]:
            """A greyed option was pressed."""
            updates: list[Any] = []
            for field in self._fields:
                if field.component.elem_id == event.field:
                    updates += _describe(services, *_missing(field, event.value)) or _fetched(event.value)
                else:
                    updates += [gr.skip() for _ in field.row.components]
            return updates

        renewal: dict[str, Any] = {
            "fn": renew, "inputs": [visitor, *components], "outputs": renewed, "trigger_mode": "always_last", **_QUIET
        }  # fmt: skip
        gr.on([*opened, *(field.component.focus for field in self._fields if field.is_renewed)], **renewal)
        described = bridge.click(
            describe_pressed, None, [part for field in self._fields for part in field.row.components], **_QUIET
        )
        described.then(**renewal)
        for field in self._fields:
            self._wire_row(services, field, renewal)

    def _wire_row(self, services: Services, field: _HubField, renewal: dict[str, Any]) -> None:
        row = field.row

        def follow(value: Any) -> list[Any]:
            """A preset, or what was typed, may name what is missing."""
            return _describe(services, *_missing(field, value)) or _hidden()

        row.fetch.click(_fetching(services), [row.wanted, row.accepted], row.components, **_QUIET).then(**renewal)
        if not field.is_slider:
            field.component.change(follow, field.component, row.components, trigger_mode="always_last", **_QUIET)


def _build_row(field: str) -> MissingRow:
    with gr.Column(visible=False, elem_id=f"{field}-missing") as column:
        words = gr.HTML()
        accepted = gr.CheckboxGroup([], label="I accept the licence of")
        fetch = gr.Button("", size="sm", elem_id=f"{field}-fetch")
    return MissingRow(column=column, words=words, accepted=accepted, fetch=fetch, wanted=gr.State(_Wanted()))


def _is_absent(weight: WeightFile) -> bool:
    return not hub.is_present(weight)


def _missing(field: _HubField, value: Any) -> tuple[str, list[WeightFile]]:
    """Which of a widget's chosen options miss files, and these; an option may be written with a strength, «name=0.8»."""
    chosen = value if isinstance(value, list) else [value]
    options = [part.partition("=")[0].strip() if isinstance(part, str) else part for part in chosen]
    absent = {option: list(filter(_is_absent, field.files(option))) for option in options}
    files = {weight.name: weight for weights in absent.values() for weight in weights}
    return field.name or ", ".join(str(option) for option, weights in absent.items() if weights), list(files.values())


def _update(field: _HubField, offered: Sequence[tuple[str, Any]], value: Any, is_absent: IsAbsent) -> Any:
    """A widget as it is offered now; what is chosen goes only where it is offered no more."""
    if field.is_slider:
        return gr.Slider(interactive=not any(map(is_absent, field.files(1))))
    choices = [
        (f"{words} (to be fetched)" if any(map(is_absent, field.files(one))) else words, one) for words, one in offered
    ]
    is_offered = isinstance(value, list) or value in [one for _, one in offered]
    return gr.Dropdown(choices) if is_offered else gr.Dropdown(choices, value=offered[0][1])


def _places(
    fields: Sequence[_HubField], offered: Sequence[Sequence[tuple[str, Any]]], is_absent: IsAbsent
) -> str:  # fmt: skip
    """For the page's script, by widget: the places of greyed options in its list, and their values (HTML)."""
    places = {
        field.component.elem_id: {
            place: one for place, (_, one) in enumerate(choices) if any(map(is_absent, field.files(one)))
        }
        for field, choices in zip(fields, offered, strict=True)
    }
    return f'<div hidden data-missing="{html.escape(json.dumps(places))}"></div>'


def _describe(services: Services, option: str, missing: Sequence[WeightFile]) -> list[Any]:
    """Updates of a row for an option and what it misses; none where it misses nothing."""
    if not missing:
        return []
    is_own = not services.settings.shared
    waiting = [weight for weight in missing if not hub.is_accepted(weight)]
    amount = size(sum(weight.size or 0 for weight in missing)) if all(w.size for w in missing) else "size not stated"
    names = [weight.name for weight in missing]
    listed = "" if names == [option] else f": {', '.join(names)}"
    remedy = "" if is_own else " Ask whoever runs this studio for it."
    words = f"{option} is not here yet. It needs {count_text(len(names), 'file')} of the Hub, {amount}{listed}.{remedy}"
    return [
        note(words) + licence_list(waiting),
        gr.Column(visible=True),
        gr.CheckboxGroup(choices=[weight.name for weight in waiting], value=[], visible=bool(waiting) and is_own),
        gr.Button(f"Fetch {option} ({amount})", visible=is_own),
        _Wanted(option, tuple(names)),
    ]


def _describe_slider(services: Services, field: _HubField) -> list[Any]:
    """Updates of a slider's row, which stays as it is while a download is under way."""
    downloads = [services.downloads.get(weight) for weight in field.files(1)]
    if any(download is not None and download.is_active for download in downloads):
        return [gr.skip() for _ in field.row.components]
    return _describe(services, *_missing(field, 1)) or _hidden()


def _hidden() -> list[Any]:
    """Updates of a row that is not needed."""
    return ["", gr.Column(visible=False), gr.CheckboxGroup(choices=[], value=[]), gr.skip(), _Wanted()]


def _fetched(option: str) -> list[Any]:
    """Updates of a row whose files are here now."""
    words = note(f"{option} is here now: choose it.")
    return [words, gr.Column(visible=True), gr.CheckboxGroup(visible=False), gr.Button(visible=False), _Wanted()]


def _fetching(services: Services) -> Callable[..., AsyncIterator[list[Any]]]:
    """The handler of a row's button, which follows the download."""

    @show_errors(5)
    async def fetch(wanted: _Wanted, ticked: list[str]) -> AsyncIterator[list[Any]]:
        require_own(services)
        weights = [find_weight(name) for name in wanted.files]
        accept_ticked(weights, ticked)
        services.downloads.start(weights)
        while under_way := [d for w in weights if (d := services.downloads.get(w)) is not None and d.is_active]:
            bars = (note(d.transfer.text) + progress_bar(d.transfer.fraction) for d in under_way)
            yield ["".join(bars), gr.skip(), gr.CheckboxGroup(visible=False), gr.Button(visible=False), gr.skip()]
            await asyncio.sleep(_WATCH_SECONDS)
        failed = [d.error for w in weights if (d := services.downloads.get(w)) is not None and d.error]
        if failed:
            yield [notice(failed[0]), gr.skip(), gr.skip(), gr.Button(visible=True), gr.skip()]
        else:
            yield _fetched(wanted.option)

    handler: Callable[..., AsyncIterator[list[Any]]] = fetch
    return handler


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
