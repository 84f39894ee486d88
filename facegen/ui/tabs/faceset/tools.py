"""The part of the Faceset tab that makes facesets of others: people apart, sizes, restored faces, other programs."""

from typing import Any

import gradio as gr

from facegen.facesets.options import EXPORTS
from facegen.ui.handlers import Shell, note, show_errors
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import copies
from facegen.ui.tabs.faceset import facesets as work

_BUSY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}


def build(services: Services, shell: Shell, chosen: gr.Dropdown, words: gr.HTML) -> None:
    """Lay out the sections and wire them."""
    with gr.Accordion("People", open=False, elem_id="faceset-people"):
        with gr.Row(elem_classes="fg-buttons"):
            tell = gr.Button("Tell people apart", min_width=130, elem_id="faceset-cluster")
            split = gr.Button("A faceset for each", min_width=130, elem_id="faceset-split")
        tiles = gr.Gallery(
            label="People", show_label=False, columns=6, height=200, object_fit="contain", allow_preview=False,
            interactive=False, visible=False, buttons=[], elem_classes="fg-faces", elem_id="faceset-persons",
        )  # fmt: skip
    with gr.Accordion("Copies: another size, restored details", open=False, elem_id="faceset-copies"):
        name = gr.Textbox("copy", label="Name of the new faceset", max_length=64, elem_id="faceset-copy-name")
        with gr.Row():
            size = gr.Slider(32, 1024, value=128, step=16, label="Pixels", min_width=150)
            kind = gr.Dropdown(
                [("As it is", ""), *[(title, name) for name, title in work.FACE_TYPES.items()]],
                value="",
                label="How much is shown",
                min_width=150,
            )
            strength = gr.Slider(0.05, 1, value=1, step=0.05, label="Restore how much", min_width=150)
        with gr.Row(elem_classes="fg-buttons"):
            resize = gr.Button("Copy in this size", min_width=130, elem_id="faceset-resize")
            enhance = gr.Button("Copy with details restored", min_width=130, elem_id="faceset-enhance")
    with gr.Accordion("DeepFaceLab and faceswap", open=False, elem_id="faceset-exchange"):
        files = gr.File(
            label="JPEG or PNG faces, faceset.pak, or .fsa with its video", file_count="multiple", height=120,
            elem_id="faceset-import-files",
        )  # fmt: skip
        with gr.Row():
            taken = gr.Textbox("imported", label="Name of the new faceset", max_length=64, min_width=150)
            program = gr.Dropdown(list(EXPORTS), value=EXPORTS[0], label="Write for", min_width=150)
        with gr.Row(elem_classes="fg-buttons"):
            take = gr.Button("Take them over", min_width=130, elem_id="faceset-import")
            hand = gr.Button("Write this faceset", min_width=130, elem_id="faceset-export")
        made = gr.File(label="Written", visible=False, interactive=False, elem_id="faceset-exported")
    both = [words, chosen]
    _wire_people(services, shell, chosen, (tell, split), words, tiles)
    _wire_copies(services, shell, chosen, (name, size, kind, strength, resize, enhance), both)
    _wire_exchange(services, shell, chosen, (files, taken, program, take, hand), both, made)


def _update_choices(services: Services, visitor: Visitor, value: str | None) -> gr.Dropdown:
    return gr.Dropdown(work.names(services, visitor), value=value)


def _wire_people(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    buttons: tuple[gr.Button, gr.Button],
    words: gr.HTML,
    tiles: gr.Gallery,
) -> None:
    tell, split = buttons

    @show_errors(2)
    def look(visitor: Visitor, name: str | None) -> Any:
        found = copies.people(work.open_faceset(services, visitor, name))
        said = "One person." if len(found) == 1 else f"{len(found)} people, the one with most faces first."
        return note(said), gr.Gallery(found, visible=True)

    @show_errors(2)
    def split_people(visitor: Visitor, name: str | None) -> Any:
        made = copies.split(services, visitor, work.open_faceset(services, visitor, name))
        said = f"{len(made)} people with {copies.MIN_MASKS} faces or more have facesets of their own: {', '.join(made[:4])}."
        return note(said), _update_choices(services, visitor, name)

    tell.click(look, [shell.visitor, chosen], [words, tiles], **_BUSY)
    split.click(split_people, [shell.visitor, chosen], [words, chosen], **_BUSY)


def _wire_copies(
    services: Services, shell: Shell, chosen: gr.Dropdown, tools: tuple[Any, ...], made: list[Any]
) -> None:
    name, size, kind, strength, resize, enhance = tools

    @show_errors(2)
    def resize_copy(visitor: Visitor, origin: str | None, new: str, side: float, face_type: str) -> Any:
        faceset = work.open_faceset(services, visitor, origin)
        return note(copies.resize(services, visitor, faceset, new, side, face_type)), _update_choices(
            services, visitor, new
        )

    @show_errors(2)
    def enhance_copy(visitor: Visitor, origin: str | None, new: str, how_much: float) -> Any:
        faceset = work.open_faceset(services, visitor, origin)
        return note(copies.enhance(services, visitor, faceset, new, how_much)), _update_choices(services, visitor, new)

    resize.click(resize_copy, [shell.visitor, chosen, name, size, kind], made, **_BUSY)
    enhance.click(enhance_copy, [shell.visitor, chosen, name, strength], made, **_BUSY)


def _wire_exchange(
    services: Services, shell: Shell, chosen: gr.Dropdown, tools: tuple[Any, ...], made: list[Any], written: gr.File
) -> None:
    files, taken, program, take, hand = tools

    @show_errors(2)
    def import_faceset(visitor: Visitor, new: str, paths: list[str] | None) -> Any:
        return note(copies.import_faceset(services, visitor, new, paths or [])), _update_choices(services, visitor, new)

    @show_errors(2)
    def export_faceset(visitor: Visitor, name: str | None, kind: str) -> Any:
        path = copies.export_faceset(services, visitor, work.open_faceset(services, visitor, name), kind)
        return note(f"Written for {kind}."), gr.File(path, visible=True)

    take.click(import_faceset, [shell.visitor, taken, files], made, **_BUSY)
    hand.click(export_faceset, [shell.visitor, chosen, program], [made[0], written], **_BUSY)
