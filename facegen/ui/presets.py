"""Presets: options of a job stored by name in the visitor's browser, exported and imported as JSON; and resets by group."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from facegen.errors import InputError
from facegen.json_file import read_object
from facegen.ui.handlers import Shell, note, show_errors
from facegen.ui.options import Widgets, parse
from facegen.ui.services import Services, Visitor

_SECRET = "facegen"
"""Gradio encrypts what a browser keeps; a fixed word lets the next studio read it, and options are no secret."""
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def reset_button(components: Sequence[Any]) -> Any:
    """A button that sets the widgets of a group back to what they were at first; returns its event, to be followed by more."""
    first = [component.value for component in components]
    reset = gr.Button("Reset these", size="sm", elem_classes="fg-reset")
    return reset.click(lambda: first if len(first) > 1 else first[0], None, list(components), **_QUIET)


def build(services: Services, shell: Shell, job: str, groups: Sequence[Widgets]) -> list[Any]:
    """Lay out the presets of a job and wire them.

    Args:
        services: of the studio.
        shell: of the page.
        job: name of the job; each has presets of its own.
        groups: the widgets whose values are kept.

    Returns:
        The events after which the widgets show a preset, to be followed by more.
    """
    components = [component for group in groups for component in group.components]
    names = [name for group in groups for name in group.names]
    kept = gr.BrowserState({}, storage_key=f"facegen-presets-{job}", secret=_SECRET)
    with gr.Accordion("Presets: keep these options by name", open=False, elem_id=f"{job}-presets"):
        with gr.Row(elem_classes="fg-buttons"):
            name = gr.Textbox(label="Name", max_length=40, scale=2, min_width=120, elem_id=f"{job}-preset-name")
            save = gr.Button("Keep", size="sm", min_width=70, elem_id=f"{job}-preset-keep")
        with gr.Row(elem_classes="fg-buttons"):
            chosen = gr.Dropdown([], label="Kept", scale=2, min_width=120, elem_id=f"{job}-preset-chosen")
            load = gr.Button("Use", size="sm", min_width=70, elem_id=f"{job}-preset-use")
            remove = gr.Button("Forget", size="sm", min_width=70)
        with gr.Row(elem_classes="fg-buttons"):
            away = gr.Button("As JSON", size="sm", min_width=90, elem_id=f"{job}-preset-json")
            file = gr.DownloadButton("", visible="hidden", elem_id=f"{job}-preset-file")
            back = gr.UploadButton("From JSON", size="sm", min_width=90, file_types=[".json"])
        words = gr.HTML()

    @show_errors(3)
    def keep(presets: dict[str, Any] | None, title: str, *values: Any) -> Any:
        title = (title or "").strip()
        if not title:
            raise InputError("Expected a name for these options, found none; write one.")
        presets = {**(presets or {}), title: dict(zip(names, values, strict=True))}
        return note(f"«{title}» is kept in this browser."), presets, gr.Dropdown(sorted(presets), value=title)

    @show_errors(1 + len(components))
    def use(presets: dict[str, Any] | None, title: str | None) -> Any:
        if not title or title not in (presets or {}):
            raise InputError("Expected a kept preset, found none chosen; choose one.")
        return note(f"«{title}» is set."), *_values((presets or {})[title])

    def forget(presets: dict[str, Any] | None, title: str | None) -> Any:
        left = {key: value for key, value in (presets or {}).items() if key != title}
        return note("Forgotten."), left, gr.Dropdown(sorted(left), value=None)

    def export(visitor: Visitor, *values: Any) -> str:
        path = services.visitor_folder(visitor) / secrets.token_hex(4) / f"facegen-{job}.json"
        path.parent.mkdir()
        path.write_text(json.dumps(dict(zip(names, values, strict=True)), indent=1), encoding="utf-8")
        return str(path)

    @show_errors(1 + len(components))
    def take(path: str) -> Any:
        settings = read_object(Path(path))
        if not set(settings) & set(names):
            raise InputError(f"Expected options of {job} in {Path(path).name}, found none; choose another file.")
        return note(f"The options of {Path(path).name} are set."), *_values(settings)

    def _values(settings: dict[str, Any]) -> list[Any]:
        """Of each widget its value there, checked; what is not there stays."""
        for group in groups:
            parse(group.cls, {key: settings[key] for key in group.names if key in settings})
        return [settings.get(key, gr.skip()) for key in names]

    def offer(presets: dict[str, Any] | None) -> Any:
        return gr.Dropdown(sorted(presets or {}))

    save.click(keep, [kept, name, *components], [words, kept, chosen], **_QUIET)
    used = load.click(use, [kept, chosen], [words, *components], **_QUIET)
    remove.click(forget, [kept, chosen], [words, kept, chosen], **_QUIET)
    chosen.focus(offer, kept, chosen, **_QUIET)
    # the file is made when it is asked for, and then taken
    fetch = f"() => setTimeout(() => document.querySelector('#{job}-preset-file')?.click(), 300)"
    away.click(export, [shell.visitor, *components], file, **_QUIET).then(None, js=fetch)
    taken = back.upload(take, back, [words, *components], **_QUIET)
    return [used, taken]
