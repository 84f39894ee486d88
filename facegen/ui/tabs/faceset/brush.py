"""The part of the Faceset tab where masks are drawn with a brush, and a mask of one's own is trained on them."""

from typing import Any

import gradio as gr

from facegen.ui.handlers import Shell, note, progress_card, require_consent, show_errors
from facegen.ui.pictures import Painting
from facegen.ui.services import Services, Visitor
from facegen.ui.tabs.faceset import facesets as work
from facegen.ui.tabs.faceset import mask_drawing

HINT = (
    "Green belongs to the face: paint what does, erase what does not. A dozen drawn masks teach a mask of your own; it "
    "begins with the face parser and does the other faces."
)
_BUSY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}


def build(services: Services, shell: Shell, chosen: gr.Dropdown, words: gr.HTML) -> None:
    """Lay out the section and wire it."""
    with gr.Accordion("Draw masks", open=False, elem_id="brush"):
        gr.HTML(f'<div class="fg-hint">{HINT}</div>')
        with gr.Row(elem_classes="fg-buttons"):
            before = gr.Button("◀ Face before", min_width=110)
            number = gr.Number(0, label="Face", precision=0, minimum=0, min_width=90, elem_id="brush-number")
            after = gr.Button("Next face ▶", min_width=110, elem_id="brush-next")
            keep = gr.Button("Keep this mask", variant="primary", min_width=120, elem_id="brush-keep")
        red, green, blue = mask_drawing.COLOUR
        editor = Painting(
            label="Face with its mask",
            show_label=False,
            type="numpy",
            image_mode="RGBA",
            format="png",
            sources=[],
            transforms=[],
            buttons=[],
            layers=gr.LayerOptions(allow_additional_layers=False, layers=["Mask"]),
            brush=gr.Brush(
                default_size=24,
                colors=[(f"#{red:02x}{green:02x}{blue:02x}", mask_drawing.OPACITY)],
                color_mode="fixed",
            ),
            eraser=gr.Eraser(default_size=24),
            canvas_size=(mask_drawing.CANVAS, mask_drawing.CANVAS),
            fixed_canvas=True,
            height=580,
            elem_id="brush-editor",
        )
        with gr.Row(elem_classes="fg-buttons"):
            train = gr.Button("Train a mask on the drawn ones", min_width=160, elem_id="brush-train")
            own = gr.Dropdown([], label="Trained masks", min_width=160, elem_id="brush-own")
            apply = gr.Button("Mask the other faces", min_width=130, elem_id="brush-apply")
        status = gr.HTML(note("Choose a faceset and a face."), elem_id="brush-status")
    _wire_drawing(services, shell, chosen, (number, before, after, keep), editor, status)
    _wire_training(services, shell, chosen, (train, own, apply), status, words)


def _wire_drawing(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    tools: tuple[gr.Number, gr.Button, gr.Button, gr.Button],
    editor: gr.ImageEditor,
    status: gr.HTML,
) -> None:
    number, before, after, keep = tools

    def view(visitor: Visitor, name: str | None, place: float, said: str = "") -> Any:
        faceset = work.open_faceset(services, visitor, name)
        record = mask_drawing.record_at(faceset, int(place or 0))
        position = faceset.records.index(record)
        kind = f"mask by {record.mask_kind}" if record.mask_kind else "no mask yet"
        sentence = f"{said} Face {position} of {len(faceset)}, {kind}; {mask_drawing.count(faceset)} drawn by hand."
        return note(sentence.strip()), mask_drawing.editor_value(faceset, record), position

    @show_errors(3)
    def look(visitor: Visitor, name: str | None, place: float) -> Any:
        return view(visitor, name, place)

    @show_errors(3)
    def keep_drawn(visitor: Visitor, name: str | None, place: float, value: Any) -> Any:
        from facegen.facesets import mask as masking

        faceset = work.open_faceset(services, visitor, name)
        record = mask_drawing.record_at(faceset, int(place or 0))
        layers = [mask_drawing.read_layer(services, visitor, layer) for layer in value or ()]
        masking.set_drawn_mask(faceset, record, mask_drawing.painted_mask(layers, faceset.picture(record).shape[0]))
        return view(visitor, name, int(place or 0) + 1, "Kept.")

    made = [status, editor, number]
    for button, way in ((before, -1), (after, 1)):
        button.click(
            show_errors(3)(lambda visitor, name, place, way=way: view(visitor, name, int(place or 0) + way)),
            [shell.visitor, chosen, number],
            made,
            **_BUSY,
        )
    number.submit(look, [shell.visitor, chosen, number], made, **_BUSY)
    keep.click(keep_drawn, [shell.visitor, chosen, number, editor], made, **_BUSY)


def _wire_training(
    services: Services,
    shell: Shell,
    chosen: gr.Dropdown,
    tools: tuple[gr.Button, gr.Dropdown, gr.Button],
    status: gr.HTML,
    words: gr.HTML,
) -> None:
    train, own, apply = tools

    def list_masks(visitor: Visitor) -> gr.Dropdown:
        names = mask_drawing.trained_masks(services, visitor)
        return gr.Dropdown(names, value=names[0] if names else None)

    @show_errors(2)
    async def train_mask(visitor: Visitor, consent: bool, name: str | None) -> Any:
        require_consent(consent)
        run = mask_drawing.train(services, visitor, work.open_faceset(services, visitor, name))
        async for state in services.watch(run):
            yield progress_card(state), gr.skip()
        yield progress_card(run.status()), list_masks(visitor)

    @show_errors(2)
    def mask_others(visitor: Visitor, name: str | None, run_name: str | None) -> Any:
        faceset = mask_drawing.apply(services, visitor, work.open_faceset(services, visitor, name), run_name)
        said = note(f"{len(faceset)} faces have masks; the drawn ones stayed. Turn the page to see them.")
        return said, said

    train.click(
        train_mask,
        [shell.visitor, shell.consent, chosen],
        [status, own],
        show_progress="hidden",
        concurrency_limit=None,
        api_visibility="private",
    )
    gr.on(fn=list_masks, inputs=[shell.visitor], outputs=own, show_progress="hidden", api_visibility="private")
    apply.click(mask_others, [shell.visitor, chosen, own], [status, words], **_BUSY)
